"""Roles and database of an installation, made once through an administrator's login and repeated without harm.

quanyi_owner     logs in for migrations and new tenants; owns everything, creates the tenants' roles
quanyi_app       logs in for the application; owns nothing, inherits nothing, only steps into roles it is a member of
quanyi_platform  the platform's own tables
quanyi_ringer    may insert into work.bell; every tenant's role is a member

Roles belong to the whole server, so one server holds one installation: preparing again with other passwords changes them.
"""

from dataclasses import dataclass, field
from typing import LiteralString
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from tenants.embedded_files import OLDEST_MAJOR

OWNER = "quanyi_owner"
APP = "quanyi_app"
PLATFORM_ROLE = "quanyi_platform"
RINGER = "quanyi_ringer"

# What a role may do when it is made, and what a later run sets again. Only a superuser may so much as mention SUPERUSER,
# REPLICATION or BYPASSRLS of a role that exists, so those are looked at instead.
ATTRIBUTES: dict[str, LiteralString] = {
    OWNER: "login inherit createrole",
    APP: "login noinherit nocreaterole",
    PLATFORM_ROLE: "nologin inherit nocreaterole",
    RINGER: "nologin inherit nocreaterole",
}
APP_LIMITS = {"statement_timeout": "30s", "idle_in_transaction_session_timeout": "30s", "lock_timeout": "5s"}
PREPARE_LOCK = 7_164_552_001
CONNECT_TIMEOUT_S = 10

Connection = psycopg.Connection[TupleRow]


class DatabaseRefused(RuntimeError):
    """The server or the login cannot carry an installation; the message says what to do."""


@dataclass(frozen=True)
class Passwords:
    """Of the two roles that log in."""

    owner: str = field(repr=False)
    app: str = field(repr=False)


@dataclass(frozen=True)
class Urls:
    """Addresses of the prepared database for the two roles that log in."""

    app_url: str = field(repr=False)
    owner_url: str = field(repr=False)


def prepare_database(admin_url: str, *, name: str, passwords: Passwords) -> Urls:
    """Make the roles and the database `name` on the server of `admin_url`, and close both to everyone else.

    The administrator is a superuser, or a role with CREATEROLE and CREATEDB that made the roles itself.
    Idempotent: a repeat sets attributes, passwords, memberships and grants again and keeps all data.
    Locks: one advisory lock per server, so parallel calls queue. Raises: DatabaseRefused with what to do.
    """
    urls = Urls(
        app_url=url_for(admin_url, user=APP, password=passwords.app, database=name),
        owner_url=url_for(admin_url, user=OWNER, password=passwords.owner, database=name),
    )
    try:
        with psycopg.connect(admin_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as admin:
            _refuse_old_server(admin)
            admin.execute("select pg_advisory_lock(%s)", [PREPARE_LOCK])
            with admin.transaction():
                _make_roles(admin, passwords)
            _make_database(admin, name)
            with psycopg.connect(urls.owner_url, connect_timeout=CONNECT_TIMEOUT_S) as owner:
                _close_to_strangers(owner, name)
    except psycopg.errors.InsufficientPrivilege as problem:
        raise DatabaseRefused(
            f"The login of DATABASE_URL may not prepare the database ({problem.diag.message_primary}). "
            "Give it a superuser, or a role with CREATEROLE and CREATEDB that makes the quanyi_ roles itself."
        ) from problem
    except psycopg.OperationalError as problem:
        raise DatabaseRefused(f"The database server cannot be reached: {str(problem).strip()}") from problem
    return urls


def identity_of(url: str) -> str:
    """Names this very database: a database dropped and made again, or another server, has another identity."""
    query = (
        "select (select system_identifier from pg_control_system())::text || '/' || oid "
        "from pg_database where datname = current_database()"
    )
    with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return str(row[0])


def url_for(admin_url: str, *, user: str, password: str, database: str) -> str:
    """The same server and options, another login and database."""
    parts = urlsplit(admin_url)
    where = parts.netloc.rpartition("@")[2]
    who = f"{quote(user, safe='')}:{quote(password, safe='')}"
    kept = [(key, value) for key, value in parse_qsl(parts.query) if key not in ("user", "password", "dbname")]
    return urlunsplit(("postgresql", f"{who}@{where}", "/" + quote(database, safe=""), urlencode(kept), ""))


def login_of(url: str) -> tuple[str, str, str]:
    """User, password and database an address names."""
    parts = conninfo_to_dict(url)
    return str(parts.get("user") or ""), str(parts.get("password") or ""), str(parts.get("dbname") or "")


# Roles


def _refuse_old_server(admin: Connection) -> None:
    if admin.info.server_version < OLDEST_MAJOR * 10_000:
        major = admin.info.server_version // 10_000
        raise DatabaseRefused(f"PostgreSQL {major} is too old: Quanyi needs {OLDEST_MAJOR} or later.")


def _make_roles(admin: Connection, passwords: Passwords) -> None:
    for role, attributes in ATTRIBUTES.items():
        _make_role(admin, role, attributes)
    _set_password(admin, OWNER, passwords.owner)
    _set_password(admin, APP, passwords.app)
    for setting, value in APP_LIMITS.items():
        admin.execute(
            sql.SQL("alter role {} set {} = {}").format(sql.Identifier(APP), sql.Identifier(setting), sql.Literal(value))
        )
    _refuse_mighty_roles(admin)
    for role in (PLATFORM_ROLE, RINGER):
        admin.execute(sql.SQL("grant {} to {} with admin option").format(sql.Identifier(role), sql.Identifier(OWNER)))
    _grant(admin, PLATFORM_ROLE, APP)


def _make_role(admin: Connection, role: str, attributes: LiteralString) -> None:
    known = admin.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone()
    verb = sql.SQL("alter role {} {}") if known else sql.SQL("create role {} nosuperuser nocreatedb noreplication nobypassrls {}")
    admin.execute(verb.format(sql.Identifier(role), sql.SQL(attributes)))


def _set_password(admin: Connection, role: str, password: str) -> None:
    """Sent as its scram verifier, so that no server log ever holds the password."""
    verifier = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    admin.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(verifier)))


def _refuse_mighty_roles(admin: Connection) -> None:
    """Walls between tenants are worth nothing to a role that may pass through them."""
    query = "select rolname from pg_roles where rolname = any(%s) and (rolsuper or rolbypassrls or rolreplication)"
    mighty = [row[0] for row in admin.execute(query, [list(ATTRIBUTES)])]
    if mighty:
        names = ", ".join(mighty)
        raise DatabaseRefused(
            f"These roles have more power than they may: {names}. ALTER ROLE … NOSUPERUSER NOBYPASSRLS NOREPLICATION."
        )


def _grant(admin: Connection, role: str, member: str) -> None:
    """Membership; whether it is inherited is an attribute of the member."""
    admin.execute(sql.SQL("grant {} to {}").format(sql.Identifier(role), sql.Identifier(member)))


# Database


def _make_database(admin: Connection, name: str) -> None:
    found = admin.execute(
        "select pg_encoding_to_char(encoding), pg_get_userbyid(datdba) from pg_database where datname = %s", [name]
    ).fetchone()
    if found is None or found[1] != OWNER:
        _let_admin_give_to_owner(admin)
    if found is None:
        made = sql.SQL("create database {} owner {} template template0 encoding 'UTF8' locale 'C'")
        admin.execute(made.format(sql.Identifier(name), sql.Identifier(OWNER)))
    elif found[0] != "UTF8":
        raise DatabaseRefused(f"The database {name} is stored as {found[0]}. Quanyi needs UTF8: choose another name.")
    elif found[1] != OWNER:
        admin.execute(sql.SQL("alter database {} owner to {}").format(sql.Identifier(name), sql.Identifier(OWNER)))


def _let_admin_give_to_owner(admin: Connection) -> None:
    """Who is no superuser must be a member of the role he gives a database to."""
    row = admin.execute("select rolsuper from pg_roles where rolname = current_user").fetchone()
    if row is not None and not row[0]:
        admin.execute(sql.SQL("grant {} to current_user").format(sql.Identifier(OWNER)))


def _close_to_strangers(owner: Connection, name: str) -> None:
    database = sql.Identifier(name)
    owner.execute(sql.SQL("revoke connect on database {} from public").format(database))
    owner.execute(sql.SQL("grant connect on database {} to {}").format(database, sql.Identifier(APP)))
    owner.execute("revoke all on schema public from public")
    owner.execute(sql.SQL("grant usage on schema public to {}").format(sql.Identifier(PLATFORM_ROLE)))
