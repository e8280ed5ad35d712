"""`./quanyi reset`: stop the demo and delete what it stored, so that the next start begins anew."""

import argparse
import os
import shutil
import sys

from operations.places import DATA
from operations.stop import stop_everything
from operations.trouble import Trouble
from tenants.embedded_files import homes_of


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./quanyi reset", description="Delete the demo's data of this checkout.")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(arguments)
    if DATA.is_symlink():
        raise Trouble(f"{DATA} is a link to another place. Delete what it points to yourself.")
    if not options.yes and not _agreed():
        print("Nothing was deleted.")
        return 1
    stop_everything()
    for home in list(homes_of(DATA / "postgres")):
        shutil.rmtree(home, ignore_errors=True)
    if DATA.exists():
        shutil.rmtree(DATA)
    print(f"Deleted {DATA}.")
    if os.environ.get("DATABASE_URL"):
        print("The database on the server of DATABASE_URL was not touched.")
    return 0


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise Trouble("./quanyi reset asks before it deletes. Without a terminal, say ./quanyi reset --yes")
    return input(f"Delete {DATA} with its database, secrets and logs? [y/N] ").strip().lower() in ("y", "yes")
