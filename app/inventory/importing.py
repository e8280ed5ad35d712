"""Importing card-keys: upload, check, confirm, move into the pool. Each step can be killed and goes on where it was.

Plain keys exist only in memory: the upload is sealed before it is stored, each new line is sealed for the key it will become. What costs
processor time runs in a thread, a piece at a time, so that neither a page nor another task of the same process waits for it.
"""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from itertools import islice
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.inventory import by_value, queries, rules
from app.inventory.files import KeyFile, UnreadableFile, read
from app.inventory.models import BATCH_EDGES, NEVER, BatchState, ImportBatch, LineVerdict
from app.inventory.quarantining import BatchStateRefuses
from app.inventory.rules import ReadLine
from app.inventory.service import put_on_shelf, warn_if_low
from app.kernel import audit, clock, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError
from app.kernel.history import Happened
from app.kernel.ids import drawn_number, new_id
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import Keyring, keyring
from tenants.directory import Tenant
from tenants.session import Tx, raw, tenant_session, tenant_tx

_CHUNK_BYTES = 1024 * 1024
_CHECKED_AT_ONCE = 2_000
_MOVED_AT_ONCE = 10_000
_LONG_S = 300
"""What one statement over a million lines may take."""
_KEPT_BAD_LINES = 10_000
"""How many bad lines, masked, stay to be looked at after the import."""


class EmptyImport(DomainError):
    status = 422
    message = N_("There is no line in it. Paste keys, or choose a file.")


class NothingToImport(DomainError):
    message = N_("None of the lines is new. Nothing would be imported.")


class AlreadyExpired(DomainError):
    message = N_("The last valid day of these keys is over, so they could never be sold. Abandon this import.")


class CheckDisturbed(RuntimeError):
    """Two checks of one upload ran at once and their lines do not add up. The task is tried again and starts over."""


async def start_import(
    session: AsyncSession, *, sku_id: UUID, body: bytes, file_name: str, terms: tuple[Decimal, date | None], actor: Actor
) -> ImportBatch:
    """Store an upload, sealed, and have it checked. `terms` are unit cost in major units and last valid day.

    Raises: NotFound, EmptyImport, SoldByValue.
    """
    batch = await _keep_upload(session, sku_id=sku_id, body=body, file_name=file_name, terms=terms, actor=actor)
    await add_task(session, "inventory.check_import", lane=Lane.BULK, subject_id=batch.id)
    return batch


async def import_at_once(tenant: Tenant, *, sku_id: UUID, body: bytes, file_name: str, unit_cost: Decimal, actor: Actor) -> None:
    """Read, confirm and import a short upload without asking anybody in between. Not idempotent. Its transactions are its own.

    Raises: NotFound, EmptyImport, NothingToImport, SoldByValue.
    """
    async with tenant_session(tenant) as session:
        batch = await _keep_upload(session, sku_id=sku_id, body=body, file_name=file_name, terms=(unit_cost, None), actor=actor)
    await check(tenant, batch.id)
    async with tenant_session(tenant) as session:
        moved = await _move(session, batch.batch_no, BatchState.IMPORTING, actor)
        if moved.new_count == 0:
            raise NothingToImport
    await import_keys(tenant, batch.id)


async def _keep_upload(
    session: AsyncSession, *, sku_id: UUID, body: bytes, file_name: str, terms: tuple[Decimal, date | None], actor: Actor
) -> ImportBatch:
    await queries.pool_or_404(session, sku_id)
    if not body or body.isspace():
        raise EmptyImport
    tx, batch_id = await raw(session), new_id()
    await by_value.refuse_by_value(tx, sku_id)
    values = (sku_id, file_name[:200], terms[0], terms[1] or NEVER, actor.name)
    batch_no = await drawn_number("B", lambda number: tx.execute(_NEW_BATCH, batch_id, number, *values))
    batch = await queries.batch_or_404(session, batch_no)
    await _store(tx, batch.id, body)
    await audit.record(
        tx,
        actor,
        "import_batch.uploaded",
        subject=("import_batch", batch.id),
        facts={"batch_no": batch.batch_no, "bytes": len(body)},
    )
    return batch


async def check(tenant: Tenant, batch_id: UUID) -> None:
    """Read the upload and sort its lines into new, duplicate and bad. Idempotent: a killed check starts its lines over; one whose upload was
    abandoned meanwhile leaves nothing.

    Raises: CheckDisturbed.
    """
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow("select state, file_name, sku_id from import_batch where id = $1", batch_id)
        if row is None or row["state"] != BatchState.CHECKING:
            return
        body, ring = await _upload(tx, batch_id), await keyring(tx)
        await _long(tx, "delete from import_line where batch_id = $1", batch_id)
    try:
        file = await asyncio.to_thread(read, body, row["file_name"])
    except UnreadableFile as refusal:
        await _reject(tenant, batch_id, refusal.message)
        return
    staged = await _stage(tenant, batch_id, file, ring)
    async with tenant_tx(tenant) as tx:
        if await tx.fetchval("select state from import_batch where id = $1 for update", batch_id) != BatchState.CHECKING:
            await _long(tx, "delete from import_line where batch_id = $1", batch_id)
            return
        if not staged:
            await _set_rejected(tx, batch_id, EmptyImport.message)
            return
        await _long(tx, _DUPLICATES_IN_FILE, batch_id)
        await _long(tx, _DUPLICATES_IN_POOL, batch_id, row["sku_id"])
        await _long(tx, _READY, batch_id, file.encoding)
        if await tx.fetchval("select lines_read from import_batch where id = $1", batch_id) != staged:
            raise CheckDisturbed(batch_id)
        await tx.execute("delete from import_chunk where batch_id = $1", batch_id)
        await history.record(tx, Happened("import_batch", batch_id, "import_batch.ready", BatchState.CHECKING, BatchState.READY))


async def confirm(session: AsyncSession, *, batch_no: str, actor: Actor) -> ImportBatch:
    """Import the lines that are new. Idempotent: confirming again changes nothing. Locks: the batch, then the stock row.

    Raises: NotFound, BatchStateRefuses, NothingToImport, AlreadyExpired, SoldByValue.
    """
    batch = await _move(session, batch_no, BatchState.IMPORTING, actor)
    if batch.new_count == 0:
        raise NothingToImport
    if batch.state == BatchState.IMPORTING and batch.expires_on < clock.business_day():
        raise AlreadyExpired
    if batch.state == BatchState.IMPORTING:
        await add_task(session, "inventory.import_keys", lane=Lane.BULK, subject_id=batch.id)
    return batch


async def abandon(session: AsyncSession, *, batch_no: str, actor: Actor) -> ImportBatch:
    """Throw a checked upload away. Idempotent. Raises: BatchStateRefuses."""
    batch = await _move(session, batch_no, BatchState.ABANDONED, actor)
    tx = await raw(session)
    await _long(tx, "delete from import_line where batch_id = $1", batch.id)
    await tx.execute("delete from import_chunk where batch_id = $1", batch.id)
    return batch


async def import_keys(tenant: Tenant, batch_id: UUID) -> None:
    """Move checked lines into the pool, ten thousand a transaction, each with its progress and its stock. Idempotent and resumable."""
    after = 0
    while True:
        async with tenant_tx(tenant) as tx:
            row = await tx.fetchrow("select state, sku_id, expires_on from import_batch where id = $1 for update", batch_id)
            if row is None or row["state"] != BatchState.IMPORTING:
                return
            counted = await tx.fetchrow(_MOVE, batch_id, _MOVED_AT_ONCE, after)
            assert counted is not None
            if counted["imported"]:
                await put_on_shelf(
                    tx, sku_id=row["sku_id"], units=counted["imported"], from_column="imported", last_day=row["expires_on"]
                )
            if counted["moved"] == 0:
                await _finish(tx, batch_id)
                await warn_if_low(tx, [row["sku_id"]])
                return
            after = counted["last"]


async def _finish(tx: Tx, batch_id: UUID) -> None:
    await tx.execute(_DONE, batch_id)
    await _long(tx, _TIDY, batch_id, _KEPT_BAD_LINES)
    await add_task(tx, "replenishment.count", lane=Lane.BULK, subject_id=batch_id)
    await history.record(
        tx, Happened("import_batch", batch_id, "import_batch.imported", BatchState.IMPORTING, BatchState.IMPORTED)
    )


async def _long(tx: Tx, query: str, *args: object) -> None:
    """A statement that touches every line of an upload and may take minutes."""
    await tx.execute("select set_config('statement_timeout', $1, true)", f"{_LONG_S}s")
    await tx.connection.execute(query, *args, timeout=_LONG_S)


async def _stage(tenant: Tenant, batch_id: UUID, file: KeyFile, ring: Keyring) -> int:
    """Store the lines, each with its verdict so far; how many. Stops when the upload was abandoned meanwhile."""
    staged, done = 0, 0
    while block := await asyncio.to_thread(lambda: list(islice(file.lines, _CHECKED_AT_ONCE))):
        records = await asyncio.to_thread(_records, batch_id, block, ring)
        staged, done = staged + len(records), block[-1][0]
        async with tenant_tx(tenant) as tx:
            if not await tx.execute(_PROGRESS, batch_id, max(file.line_count, done), done):
                return staged
            await tx.copy_records("import_line", columns=_LINE_COLUMNS, records=records)
    return staged


def _records(batch_id: UUID, block: list[tuple[int, ReadLine]], ring: Keyring) -> list[tuple[object, ...]]:
    return [_record(batch_id, line_no, line, ring) for line_no, line in block]


def _record(batch_id: UUID, line_no: int, line: ReadLine, ring: Keyring) -> tuple[object, ...]:
    mask = rules.masked(line.number)
    if line.problem:
        return batch_id, line_no, LineVerdict.BAD, line.problem, mask, None, None, None, None
    key_id, stored = new_id(), line.stored
    fingerprint = ring.fingerprint("card_key", rules.normalised(stored))
    tail = ring.fingerprint("card_key_tail", rules.tail_of(stored))
    return (
        batch_id,
        line_no,
        LineVerdict.NEW,
        "",
        mask,
        key_id,
        ring.seal("card_key", "secret", key_id, stored),
        fingerprint,
        tail,
    )


async def _store(tx: Tx, batch_id: UUID, body: bytes) -> None:
    ring = await keyring(tx)
    for seq, start in enumerate(range(0, len(body), _CHUNK_BYTES)):
        row_id, text = new_id(), body[start : start + _CHUNK_BYTES].decode("latin-1")
        sealed = await asyncio.to_thread(ring.seal, "import_chunk", "body", row_id, text)
        await tx.execute(
            "insert into import_chunk (batch_id, seq, row_id, body) values ($1, $2, $3, $4)", batch_id, seq, row_id, sealed
        )


async def _upload(tx: Tx, batch_id: UUID) -> bytes:
    ring, body = await keyring(tx), bytearray()
    while row := await tx.fetchrow(_CHUNK, batch_id, len(body) // _CHUNK_BYTES):
        opened = await asyncio.to_thread(ring.open, "import_chunk", "body", row["row_id"], row["body"])
        body += opened.reveal().encode("latin-1")
        if len(body) % _CHUNK_BYTES:
            break
    return bytes(body)


async def _reject(tenant: Tenant, batch_id: UUID, problem: str) -> None:
    async with tenant_tx(tenant) as tx:
        await _set_rejected(tx, batch_id, problem)


async def _set_rejected(tx: Tx, batch_id: UUID, problem: str) -> None:
    was_checking = await tx.execute(
        "update import_batch set state = 'rejected', problem = $2 where id = $1 and state = 'checking'", batch_id, problem
    )
    await tx.execute("delete from import_chunk where batch_id = $1", batch_id)
    if was_checking:
        rejected = Happened("import_batch", batch_id, "import_batch.rejected", BatchState.CHECKING, BatchState.REJECTED, problem)
        await history.record(tx, rejected)


async def _move(session: AsyncSession, batch_no: str, to: BatchState, actor: Actor) -> ImportBatch:
    batch = await queries.batch_or_404(session, batch_no)
    await session.refresh(batch, with_for_update=True)
    before = BatchState(batch.state)
    if before is to or (to is BatchState.IMPORTING and before is BatchState.IMPORTED):
        return batch
    if to not in BATCH_EDGES[before]:
        raise BatchStateRefuses(batch_no=batch_no)
    if to is BatchState.IMPORTING:
        await by_value.hold_one_price(await raw(session), batch.sku_id)
    batch.state = to
    batch.lines_done = 0
    await session.flush()
    await history.record(session, Happened("import_batch", batch.id, f"import_batch.{to}", before, to), actor=actor)
    await audit.record(session, actor, f"import_batch.{to}", subject=("import_batch", batch.id), facts={"batch_no": batch_no})
    return batch


_LINE_COLUMNS = (
    "batch_id", "line_no", "verdict", "problem", "masked", "card_key_id", "secret", "fingerprint", "tail_fingerprint",
)  # fmt: skip
_NEW_BATCH = """
insert into import_batch (id, batch_no, sku_id, file_name, unit_cost, expires_on, created_by) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (batch_no) do nothing
"""
_CHUNK = "select row_id, body from import_chunk where batch_id = $1 and seq = $2"
_PROGRESS = "update import_batch set lines_read = $2, lines_done = $3 where id = $1 and state = 'checking'"
_DUPLICATES_IN_FILE = """
update import_line l set verdict = 'duplicate_in_file', card_key_id = null, secret = null
from (
  select line_no, row_number() over (partition by fingerprint order by line_no) as nth from import_line where batch_id = $1 and verdict = 'new'
) d
where l.batch_id = $1 and l.line_no = d.line_no and d.nth > 1
"""
_DUPLICATES_IN_POOL = """
update import_line l set verdict = 'duplicate_in_pool', card_key_id = null, secret = null
from card_key k
where l.batch_id = $1 and l.verdict = 'new' and k.sku_id = $2 and k.fingerprint = l.fingerprint
"""
_READY = """
update import_batch b
set state = 'ready', encoding = $2, checked_at = now(), lines_read = c.all_lines, lines_done = c.all_lines,
    new_count = c.new_count, duplicate_in_file = c.in_file, duplicate_in_pool = c.in_pool, bad_count = c.bad
from (
  select count(*) as all_lines, count(*) filter (where verdict = 'new') as new_count, count(*) filter (where verdict = 'duplicate_in_file') as in_file,
         count(*) filter (where verdict = 'duplicate_in_pool') as in_pool, count(*) filter (where verdict = 'bad') as bad
  from import_line where batch_id = $1
) c
where b.id = $1
"""
_MOVE = """
with taken as (
  delete from import_line
  where batch_id = $1 and line_no in (
    select line_no from import_line where batch_id = $1 and verdict = 'new' and line_no > $3 order by line_no limit $2
  )
  returning line_no, card_key_id, masked, secret, fingerprint, tail_fingerprint
), made as (
  insert into card_key (id, sku_id, batch_id, pos, expires_on, masked, secret, fingerprint, tail_fingerprint, unit_cost)
  select t.card_key_id, b.sku_id, b.id, floor(random() * 2147483647)::int, b.expires_on, t.masked, t.secret, t.fingerprint, t.tail_fingerprint, b.unit_cost
  from taken t cross join import_batch b where b.id = $1
  order by t.fingerprint
  on conflict (sku_id, fingerprint) do nothing
  returning id
), counted as (
  select (select count(*) from taken) as moved, (select count(*) from made) as imported, (select max(line_no) from taken) as last
)
update import_batch b
set lines_done = b.lines_done + c.moved, imported_count = b.imported_count + c.imported, duplicate_in_pool = b.duplicate_in_pool + c.moved - c.imported
from counted c
where b.id = $1
returning c.moved, c.imported, c.last
"""
"""Keys go in by fingerprint, so that two imports of the same keys wait for each other and never deadlock."""
_DONE = "update import_batch set state = 'imported', imported_at = now() where id = $1"
_TIDY = """
delete from import_line
where batch_id = $1
  and (verdict <> 'bad' or line_no > (select max(line_no) from (
    select line_no from import_line where batch_id = $1 and verdict = 'bad' order by line_no limit $2) kept))
"""
