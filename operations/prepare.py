"""`./quanyi prepare`: the roles and the database of a real installation, through an administrator's login."""

import argparse
import os

from operations.trouble import Trouble
from tenants.bootstrap import APP, OWNER, Passwords, login_of, prepare_database


def run(arguments: list[str]) -> int:
    """Reads what to make from the same settings the programs run with, so the two cannot differ. Idempotent."""
    what = "Create the roles and the database that the settings QUANYI_DATABASE_URL and QUANYI_OWNER_DATABASE_URL name."
    argparse.ArgumentParser(prog="./quanyi prepare", description=f"{what} DATABASE_URL is the login it is done with.").parse_args(
        arguments
    )
    app_user, app_password, app_database = login_of(_needed("QUANYI_DATABASE_URL"))
    owner_user, owner_password, owner_database = login_of(_needed("QUANYI_OWNER_DATABASE_URL"))
    if (app_user, owner_user) != (APP, OWNER):
        raise Trouble(f"QUANYI_DATABASE_URL must log in as {APP} and QUANYI_OWNER_DATABASE_URL as {OWNER}.")
    if app_database != owner_database or not app_database:
        raise Trouble("QUANYI_DATABASE_URL and QUANYI_OWNER_DATABASE_URL must name the same database.")
    if not app_password or not owner_password:
        raise Trouble("QUANYI_DATABASE_URL and QUANYI_OWNER_DATABASE_URL must carry the passwords to set.")
    passwords = Passwords(owner=owner_password, app=app_password)
    prepare_database(_needed("DATABASE_URL"), name=app_database, passwords=passwords)
    print(f"The database {app_database} and its roles are ready.")
    return 0


def _needed(name: str) -> str:
    if value := os.environ.get(name):
        return value
    raise Trouble(f"Please set {name}.")
