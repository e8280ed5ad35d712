"""What is written down: one event a line, whatever callers send, and of an error its kind and its place, never the values in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

import workers.drain as draining
from app.access.models import MemberRole
from app.catalog import service as catalog
from app.kernel import hosts, logs, web
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, TaskRow, add_task, handles
from tenants.directory import Tenant
from tenants.session import raw, tenant_session, tenant_tx
from tests.attacks.routes import Route
from tests.attacks.visitors import Caller, member
from tests.world import World

CANARY = "Canary-7Q2K-13822220046"
Provoke = Callable[[AsyncSession, str], Awaitable[Any]]


@pytest.fixture
def written(application: object, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the web's and the worker's loggers write while a test runs, from the least severe line on."""
    book = io.StringIO()
    for module in (web, hosts, draining):
        logger = structlog.wrap_logger(
            structlog.PrintLogger(book),  # type: ignore[arg-type]
            processors=structlog.get_config()["processors"],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        )
        monkeypatch.setattr(module, "_log", logger)
    return book


def lines(book: io.StringIO) -> list[dict[str, Any]]:
    """Its lines; each is one JSON object, to any reader's idea of a line."""
    return [json.loads(line) for line in book.getvalue().splitlines()]


# One event a line

HOSTILE = (
    "a\r\nlevel: error", 'x", "level": "error', "\x1b[2J\x1b[31mred", "\x00", "\x7f\x85\x9b", "\u2028\u2029", "\ud800", "\u202eright to left",
    "a" * 1_000_000, "${jndi:ldap://evil.example}", "{event}%s%n", "\\u000a\\n",
)  # fmt: skip


def is_one_line(line: str) -> bool:
    return len(line.splitlines()) == 1 and line.isprintable() | ("\u202e" in line) and len(line.encode("utf-8")) < 10_000


@pytest.mark.case("K10")
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_value_cannot_end_its_line_or_obey_a_terminal(value: str) -> None:
    own = logs._line(logs._hide(None, "", {"event": value, "agent": value}))
    record = logging.LogRecord("library", logging.ERROR, __file__, 1, "it said %s", (value,), None)
    library = logs._LibraryLine().format(record)
    for line in (own, library):
        assert is_one_line(line), line[:300]
        assert len(json.loads(line)) in (2, 3)


@pytest.mark.case("K10")
@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_at_all_is_one_line_and_reads_back(value: str) -> None:
    line = logs._line({"event": value})
    assert len(line.splitlines()) == 1
    assert json.loads(line)["event"] == value


@pytest.mark.anyio
@pytest.mark.case("K10")
async def test_requests_write_one_line_each_whatever_they_carry(world: World, written: io.StringIO) -> None:
    nobody, asked = Caller(world, world.tenant), 0
    for value in HOSTILE:
        sent = value.encode("ascii", "ignore").decode().replace("\r\n", " ").replace("\x00", "")
        for name in ("user-agent", "referer", "x-request-id", "x-forwarded-for", "cookie", "accept-language", "hx-current-url"):
            await nobody.ask(Route("GET", "/log-in"), {}, headers={name: sent[:200_000]})
            asked += 1
    await nobody.ask(Route("GET", "/no%0d%0asuch%1b[31m"), {}, query="?q=%0d%0a")
    found = [line for line in lines(written) if line["event"] == "request"]
    assert len(found) == asked + 1
    assert {line["route"] for line in found} == {"/log-in", "unmatched"}
    assert max(len(line) for line in written.getvalue().splitlines()) < 1_000


@pytest.mark.case("K10")
@pytest.mark.parametrize(
    "name", ["password", "api_secret", "csrf_token", "Authorization", "cookie", "contact", "key_text", "email"]
)
def test_values_with_a_secrets_name_are_blanked(name: str) -> None:
    assert CANARY not in logs._line(logs._hide(None, "", {"event": "x", name: CANARY}))


# Errors


async def _twice(session: AsyncSession, name: str) -> None:
    tx = await raw(session)
    for _ in range(2):
        await tx.execute("insert into category (id, name, position) values ($1, $2, 1)", new_id(), name)


async def _no_position(session: AsyncSession, name: str) -> None:
    await (await raw(session)).execute("insert into category (id, name, position) values ($1, $2, null)", new_id(), name)


async def _wrong_state(session: AsyncSession, name: str) -> None:
    await session.execute(text("update storefront set contact_rule = :rule"), {"rule": name})


async def _wrong_parameter(session: AsyncSession, name: str) -> None:
    await (await raw(session)).fetchval("select $1::int", name)


async def _wrong_cast(session: AsyncSession, name: str) -> None:
    await (await raw(session)).fetchval("select $1::text::int", name)


async def _wrong_cast_in_session(session: AsyncSession, name: str) -> None:
    await session.execute(text("select cast(cast(:name as text) as date)"), {"name": name})


async def _unknown_table(session: AsyncSession, name: str) -> None:
    await session.execute(text("select :name from nowhere"), {"name": name})


async def _missing_value(session: AsyncSession, name: str) -> None:
    await session.execute(text("select :name, :other"), {"name": name})


async def _not_a_number(_session: AsyncSession, name: str) -> None:
    int(name)


async def _no_such_name(_session: AsyncSession, name: str) -> None:
    {"": name}[name]


async def _no_text(_session: AsyncSession, name: str) -> None:
    (name.encode() + b"\xff").decode()


async def _no_model(_session: AsyncSession, name: str) -> None:
    TypeAdapter(dict[str, int]).validate_python({name: name})


async def _no_json(_session: AsyncSession, name: str) -> None:
    json.loads(f'{{"{name}": {name}')


async def _after_another(session: AsyncSession, name: str) -> None:
    try:
        await _twice(session, name)
    except Exception as error:
        raise RuntimeError(f"could not keep {name!r}") from error


async def _in_a_group(session: AsyncSession, name: str) -> None:
    raise ExceptionGroup("several", [ValueError(f"no '{name}'"), KeyError(name)])


PROVOKED: tuple[Provoke, ...] = (
    _twice, _no_position, _wrong_state, _wrong_parameter, _wrong_cast, _wrong_cast_in_session, _unknown_table, _missing_value,
    _not_a_number, _no_such_name, _no_text, _no_model, _no_json, _after_another, _in_a_group,
)  # fmt: skip


@pytest.mark.anyio
@pytest.mark.case("K11")
@pytest.mark.parametrize("provoke", PROVOKED, ids=lambda provoke: provoke.__name__)
async def test_an_error_shows_neither_parameters_nor_what_was_sent(
    world: World, written: io.StringIO, monkeypatch: pytest.MonkeyPatch, provoke: Provoke
) -> None:
    """A page that breaks on what it was sent: the answer and the log tell where, and nothing of it."""

    async def broken(session: AsyncSession, name: str) -> None:
        await provoke(session, name)

    monkeypatch.setattr(catalog, "category_named", broken)
    who = await member(world, world.tenant, MemberRole.OWNER)
    form = {"name": CANARY, "password": CANARY}
    answer = await who.ask(Route("POST", "/m/{tenant_slug}/categories"), {"tenant_slug": world.tenant.slug}, form)
    assert answer.status_code in (500, 503)
    assert CANARY not in answer.text + str(answer.headers)
    assert "Traceback" not in answer.text
    assert CANARY not in written.getvalue()
    bugs = [line for line in lines(written) if line["event"] == "bug"]
    if answer.status_code == 500:
        assert len(bugs) == 1
        assert f"in {provoke.__name__}" in bugs[0]["exception"], "where it happened is told"


@handles("attacks.break", lane=Lane.ORDERS, tries=1)
async def _break(tenant: Tenant, _tasks: list[TaskRow]) -> None:
    async with tenant_session(tenant) as session:
        await _broken_by[0](session, CANARY)


_broken_by: list[Provoke] = [_twice]


@pytest.mark.anyio
@pytest.mark.case("K11")
async def test_a_failed_task_keeps_no_value_of_what_broke_it(world: World, written: io.StringIO) -> None:
    for provoke in PROVOKED:
        _broken_by[0] = provoke
        async with tenant_tx(world.tenant) as tx:
            await add_task(tx, "attacks.break", lane=Lane.ORDERS, subject_id=new_id())
        await draining.drain_home(world.tenant, Lane.ORDERS)
    kept = [row["last_error"] for row in await world.rows("select last_error from task where kind = 'attacks.break'")]
    assert len(kept) == len(PROVOKED)
    assert all(kept)
    assert CANARY not in "".join(kept) + written.getvalue()
    await world.rows("delete from task where kind = 'attacks.break' returning id")


@pytest.mark.case("K11")
def test_red_the_words_of_such_errors_do_hold_the_values() -> None:
    """Without the rule: what a traceback would print."""
    with pytest.raises(ValueError, match=CANARY) as found:
        int(CANARY)
    assert CANARY not in logs.told(found.value)
    assert logs.told(found.value).startswith("ValueError: invalid literal for int()")
