"""Taking in a supplier's statement: a file, or what his interface tells of a day. The same file, or the same line in another, changes nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Final
from uuid import UUID

from app.inventory import files
from app.kernel import audit
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_, DomainError
from app.kernel.ids import new_id
from app.kernel.money import CNY
from app.kernel.tasks import Lane, add_task
from app.settlement import rules
from app.settlement.rules import Line, Reading
from app.suppliers.connecting import connection_of
from app.suppliers.connectors.port import Ability, Unknown
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

LARGEST_BYTES: Final = 32 * 1024 * 1024
MOST_LINES: Final = 500_000
_AT_ONCE: Final = 5_000
_MOST_PAGES: Final = 2_000


class NoHeading(DomainError):
    status = 422
    message = N_("The file is empty. Its first row must name the columns.")


class ColumnsUnclear(DomainError):
    """Says which columns are still to be named; `faults` are msgids by field."""

    status = 422
    message = N_("Some columns are unclear. Name them as the file's first row does.")

    def __init__(self, faults: Mapping[str, str], head: Sequence[str]) -> None:
        super().__init__()
        self.faults = dict(faults)
        self.head = list(head)


class BadLine(DomainError):
    status = 422
    message = N_("Line %(line_no)s: %(says)s Nothing was imported. Correct the file, or its columns, and import it again.")


class TooLong(DomainError):
    status = 422
    message = N_("More than %(most)s lines. Import the days one after another.")


class NotTold(RuntimeError):
    """The supplier's interface did not tell the whole statement. Its task is tried again."""


@dataclass(frozen=True, slots=True)
class Given:
    """A statement's file as its form gives it, with the days it covers and what its columns are called, where they are not called as usual."""

    body: bytes
    file_name: str
    first_day: date
    last_day: date
    columns: Mapping[str, str]
    success_words: tuple[str, ...] = ()
    currency: str = CNY


async def columns_of(tx: Tx, connection_id: UUID) -> dict[str, str]:
    """What the columns of a connection's statements were called last."""
    found = await tx.fetchval("select columns from statement_columns where connection_id = $1", connection_id)
    return dict(json.loads(found) if isinstance(found, str) else found or {})


async def import_file(tx: Tx, connection_id: UUID, given: Given, *, actor: Actor) -> tuple[UUID, bool]:
    """Take a statement in; its id, and whether it is new. It is compared by a task.

    Idempotent: the same bytes are the statement they were. Bounded: rows are read and stored a few thousand at a time.
    Raises: UnreadableFile, NoHeading, ColumnsUnclear, BadLine, TooLong; then nothing is kept.
    """
    digest = hashlib.sha256(given.body).digest()
    known = await tx.fetchval("select id from supplier_statement where connection_id = $1 and digest = $2", connection_id, digest)
    if known is not None:
        return known, False
    rows = await asyncio.to_thread(files.read_cells, given.body, given.file_name)
    head = await asyncio.to_thread(next, rows, None)
    if head is None:
        raise NoHeading
    places = rules.find_columns(head[1], given.columns)
    if faults := rules.lacking(places, given.columns):
        raise ColumnsUnclear(faults, head[1])
    reading = Reading(places, frozenset(word.lower() for word in given.success_words or rules.SUCCESS_WORDS))
    statement_id = await _open(tx, connection_id, given, digest, actor)
    await _keep(tx, statement_id, connection_id, _lines(rows, reading))
    columns = {**given.columns, "success_words": ", ".join(given.success_words)}
    await tx.execute(_REMEMBER, connection_id, json.dumps({name: value for name, value in columns.items() if value}))
    await add_task(tx, "settlement.match", lane=Lane.BULK, subject_id=statement_id)
    return statement_id, True


async def fetch(tenant: Tenant, connection_id: UUID, day: date) -> UUID | None:
    """Ask a connection's interface for the statement of a day and take it in; None where it offers none. No call runs in a transaction.

    Idempotent: the same lines are the statement they were. Raises: NotTold.
    """
    async with tenant_tx(tenant) as tx:
        opened = await connection_of(tx, connection_id)
    if Ability.STATEMENT not in opened.connector.traits.abilities:
        return None
    lines: list[Line] = []
    cursor: str | None = None
    currency = CNY
    for _ in range(_MOST_PAGES):
        page = await opened.connector.statement(day, cursor)
        if isinstance(page, Unknown):
            raise NotTold(page.says)
        lines += [Line(one.out_no, one.supplier_ref, one.is_success, one.cost) for one in page.lines]
        currency = page.lines[0].currency if page.lines else currency
        cursor = page.next_cursor
        if cursor is None or len(lines) > MOST_LINES:
            break
    return await _take_in(tenant, connection_id, day, lines, currency)


async def _take_in(tenant: Tenant, connection_id: UUID, day: date, lines: list[Line], currency: str) -> UUID:
    digest = hashlib.sha256(b"".join([str(day).encode(), *sorted(line.fingerprint for line in lines)])).digest()
    given = Given(b"", "", day, day, {}, currency=currency)
    async with tenant_tx(tenant) as tx:
        known: UUID | None = await tx.fetchval(
            "select id from supplier_statement where connection_id = $1 and digest = $2", connection_id, digest
        )
        if known is not None:
            return known
        statement_id = await _open(tx, connection_id, given, digest, SYSTEM)
        await _keep(tx, statement_id, connection_id, iter(enumerate(lines, start=1)))
        await add_task(tx, "settlement.match", lane=Lane.BULK, subject_id=statement_id)
    return statement_id


async def _open(tx: Tx, connection_id: UUID, given: Given, digest: bytes, actor: Actor) -> UUID:
    statement_id = new_id()
    await tx.execute(
        _INSERT, statement_id, connection_id, given.file_name[:200], digest, given.first_day, given.last_day, given.currency, actor.id,
        actor.name,
    )  # fmt: skip
    facts = {"file": given.file_name[:200], "first_day": str(given.first_day), "last_day": str(given.last_day)}
    await audit.record(tx, actor, "settlement.statement_imported", subject=("supplier_statement", statement_id), facts=facts)
    return statement_id


def _lines(rows: Iterator[tuple[int, list[str]]], reading: Reading) -> Iterator[tuple[int, Line]]:
    for line_no, cells in rows:
        line = rules.read_row(cells, reading)
        if isinstance(line, str):
            raise BadLine(line_no=line_no, says=line)
        yield line_no, line


async def _keep(tx: Tx, statement_id: UUID, connection_id: UUID, lines: Iterator[tuple[int, Line]]) -> None:
    kept = read = 0
    while some := await asyncio.to_thread(list, islice(lines, _AT_ONCE)):
        read += len(some)
        if read > MOST_LINES:
            raise TooLong(most=MOST_LINES)
        columns = (
            [line_no for line_no, _ in some],
            [line.fingerprint for _, line in some],
            [line.out_no for _, line in some],
            [line.supplier_ref for _, line in some],
            [line.is_success for _, line in some],
            [line.amount for _, line in some],
        )
        kept += await tx.execute(_LINES, statement_id, connection_id, *columns)
    await tx.execute("update supplier_statement set lines = $2, repeated = $3 where id = $1", statement_id, kept, read - kept)


_INSERT = """
insert into supplier_statement (id, connection_id, file_name, digest, first_day, last_day, currency, actor_id, actor_name)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_LINES = """
insert into supplier_statement_line (statement_id, line_no, connection_id, fingerprint, out_no, supplier_ref, is_success, amount)
select $1, l.line_no, $2, l.fingerprint, l.out_no, l.supplier_ref, l.is_success, l.amount
from unnest($3::int[], $4::bytea[], $5::text[], $6::text[], $7::bool[], $8::numeric[])
  as l (line_no, fingerprint, out_no, supplier_ref, is_success, amount)
on conflict (connection_id, fingerprint) do nothing
"""
_REMEMBER = """
insert into statement_columns (connection_id, columns) values ($1, $2::jsonb)
on conflict (connection_id) do update set columns = excluded.columns
"""
