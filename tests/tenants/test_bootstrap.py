"""The roles and the database: what each login may do, and above all what it may not."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tenants.bootstrap import APP, DatabaseRefused, Passwords, Urls, identity_of, login_of, prepare_database, url_for
from tenants.embedded import EmbeddedPostgres

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
PASSWORDS = Passwords(owner="owner's p@ss/word", app="app:pass?word")
SMALL = {"shared_buffers": "16MB", "max_locks_per_transaction": "64", "fsync": "off"}
PROGRAMS = [
    pytest.param(None, id="embedded-18"),
    pytest.param(
        DEBIAN_15, id="debian-15", marks=pytest.mark.skipif(not DEBIAN_15.exists(), reason="PostgreSQL 15 is not installed")
    ),
]


@pytest.fixture(params=PROGRAMS, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    with tempfile.TemporaryDirectory(prefix="qy") as name:
        Path(name).chmod(0o711)
        made = EmbeddedPostgres(Path(name) / "pg", bin_dir=request.param, settings=SMALL).start()
        yield made
        made.delete()


@pytest.fixture
def urls(server: EmbeddedPostgres) -> Urls:
    return prepare_database(server.admin_url(), name="shop", passwords=PASSWORDS)


def ask(url: str, *queries: str) -> object:
    """The first column of the last answer, all in one transaction."""
    with psycopg.connect(url) as connection:
        for query in queries:
            cursor = connection.execute(query)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def test_application_owns_nothing_and_sees_nothing(urls: Urls) -> None:
    ask(urls.owner_url, "create table if not exists public.secret (n int)")
    assert ask(urls.app_url, "select current_user") == APP
    for forbidden in (
        "select * from public.secret",
        "create table public.own (n int)",
        "create schema own",
        "create role stranger",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(urls.app_url, forbidden)


def test_application_steps_into_the_platform_role_only_by_saying_so(urls: Urls) -> None:
    ask(urls.owner_url, "create table if not exists public.seen as select 7 n", "grant select on public.seen to quanyi_platform")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(urls.app_url, "select n from public.seen")
    assert ask(urls.app_url, "set local role quanyi_platform", "select n from public.seen") == 7


def test_application_may_not_become_the_owner(urls: Urls) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(urls.app_url, "set local role quanyi_owner")


def test_owner_makes_tenants_whose_roles_ring_the_bell(urls: Urls) -> None:
    ask(
        urls.owner_url,
        "drop schema if exists work cascade",
        "drop schema if exists t_one cascade",
        "drop role if exists t_one",
        "create role t_one nologin",
        "create schema t_one",
        "create table t_one.item as select 1 n",
        "grant usage on schema t_one to t_one",
        "grant select on t_one.item to t_one",
        "grant t_one to quanyi_app",
        "grant quanyi_ringer to t_one",
        "create schema work",
        "create table work.bell (n int)",
        "grant usage on schema work to quanyi_ringer",
        "grant insert on work.bell to quanyi_ringer",
    )
    enter = "select set_config('role', 't_one', true), set_config('search_path', 't_one', true)"
    assert ask(urls.app_url, enter, "insert into work.bell values (1)", "select n from item") == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(urls.app_url, enter, "select n from work.bell")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(urls.app_url, "select n from t_one.item")


def test_limits_hold_for_the_application_alone(urls: Urls) -> None:
    assert ask(urls.app_url, "show statement_timeout") == "30s"
    assert ask(urls.app_url, "show lock_timeout") == "5s"
    assert ask(urls.app_url, "show idle_in_transaction_session_timeout") == "30s"
    assert ask(urls.owner_url, "show statement_timeout") == "0"


def test_strangers_may_not_connect(server: EmbeddedPostgres, urls: Urls) -> None:
    ask(server.admin_url(), "drop role if exists stranger", "create role stranger login password 'stranger'")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        ask(url_for(urls.app_url, user="stranger", password="stranger", database="shop"), "select 1")


def test_preparing_again_keeps_data_and_may_change_passwords(server: EmbeddedPostgres, urls: Urls) -> None:
    ask(urls.owner_url, "create table if not exists public.kept as select 42 n")
    changed = prepare_database(server.admin_url(), name="shop", passwords=Passwords(owner="second", app="second too"))
    assert ask(changed.owner_url, "select n from public.kept") == 42
    assert ask(changed.app_url, "select 1") == 1
    with pytest.raises(psycopg.OperationalError, match="password"):
        ask(urls.app_url, "select 1")


def test_many_prepare_at_once(server: EmbeddedPostgres) -> None:
    with ThreadPoolExecutor(6) as threads:
        made = list(
            threads.map(lambda n: prepare_database(server.admin_url(), name=f"many_{n % 2}", passwords=PASSWORDS), range(6))
        )
    assert [ask(urls.app_url, "select 1") for urls in made] == [1] * 6


def test_administrator_without_superuser_prepares_too(server: EmbeddedPostgres, urls: Urls) -> None:
    ask(urls.owner_url, "drop schema if exists t_one cascade", "drop schema if exists work cascade", "drop role if exists t_one")
    with psycopg.connect(server.admin_url(), autocommit=True) as admin:
        databases = [
            row[0] for row in admin.execute("select datname from pg_database where datname in ('shop', 'many_0', 'many_1')")
        ]
        for name in databases:
            admin.execute(f"drop database {name} with (force)")
        for role in ("quanyi_owner", "quanyi_app", "quanyi_platform", "quanyi_ringer", "manager"):
            admin.execute(f"drop role if exists {role}")
        admin.execute("create role manager login createrole createdb password 'manager'")
    manager_url = url_for(server.admin_url(), user="manager", password="manager", database="postgres")
    for _ in range(2):
        made = prepare_database(manager_url, name="shop", passwords=PASSWORDS)
    ask(made.owner_url, "create role t_two", "grant t_two to quanyi_app", "grant quanyi_ringer to t_two", "drop role t_two")
    assert ask(made.app_url, "set local role quanyi_platform", "select current_user") == "quanyi_platform"


def test_login_without_rights_is_told_so(server: EmbeddedPostgres, urls: Urls) -> None:
    with pytest.raises(DatabaseRefused, match="may not prepare"):
        prepare_database(
            url_for(urls.app_url, user=APP, password=PASSWORDS.app, database="shop"), name="other", passwords=PASSWORDS
        )


def test_superuser_application_role_is_refused(server: EmbeddedPostgres, urls: Urls) -> None:
    ask(server.admin_url(), "alter role quanyi_app superuser")
    try:
        with pytest.raises(DatabaseRefused, match="quanyi_app"):
            prepare_database(server.admin_url(), name="shop", passwords=PASSWORDS)
    finally:
        ask(server.admin_url(), "alter role quanyi_app nosuperuser")


def test_database_of_another_encoding_is_refused(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.admin_url(), autocommit=True) as admin:
        admin.execute("drop database if exists latin")
        admin.execute("create database latin template template0 encoding 'LATIN1' locale 'C'")
    with pytest.raises(DatabaseRefused, match="LATIN1"):
        prepare_database(server.admin_url(), name="latin", passwords=PASSWORDS)


def test_server_that_is_not_there_is_said() -> None:
    with pytest.raises(DatabaseRefused, match="cannot be reached"):
        prepare_database("postgresql://postgres:x@127.0.0.1:1/postgres", name="shop", passwords=PASSWORDS)


def test_identity_follows_the_database_not_its_name(server: EmbeddedPostgres, urls: Urls) -> None:
    prepare_database(server.admin_url(), name="brief", passwords=PASSWORDS)
    before = identity_of(server.admin_url("brief"))
    assert before != identity_of(urls.app_url)
    with psycopg.connect(server.admin_url(), autocommit=True) as admin:
        admin.execute("drop database brief")
    prepare_database(server.admin_url(), name="brief", passwords=PASSWORDS)
    assert identity_of(server.admin_url("brief")) != before


def test_addresses_keep_the_servers_options() -> None:
    made = url_for(
        "postgres://admin:x@db.internal:6432/postgres?sslmode=require&user=evil", user="a b", password="p@/:", database="shop"
    )
    assert made == "postgresql://a%20b:p%40%2F%3A@db.internal:6432/shop?sslmode=require"
    assert login_of(made) == ("a b", "p@/:", "shop")
