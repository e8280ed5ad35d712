"""Importing card-keys: upload, check, confirm, move into the pool. Each step can be killed and goes on where it was.

Plain keys exist only in memory: the upload is sealed before it is stored, each new line is sealed for the key it will become.
"""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from itertools import islice
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.inventory import queries, rules
from app.inventory.files import KeyFile, UnreadableFile, read
from app.inventory.models import BATCH_EDGES, NEVER, BatchState, ImportBatch, LineVerdict
from app.inventory.service import BatchStateRefuses, put_on_shelf, warn_if_low
from app.kernel import audit, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError
from app.kernel.history import Happened
from app.kernel.ids import new_id, new_number
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import Keyring, keyring
from tenants.directory import Tenant
from tenants.session import Tx, raw, tenant_tx

_log = structlog.get_logger(__name__)
_CHUNK_BYTES = 1024 * 1024
_CHECKED_AT_ONCE = 5_000
_MOVED_AT_ONCE = 10_000


class EmptyImport(DomainError):
    status = 422
    message = N_("There is no line in it. Paste keys, or choose a file.")


class TooManyLines(UnreadableFile):
    message = N_("More than 1,000,000 lines. Split the file and import the parts one after another.")


class NothingToImport(DomainError):
    message = N_("None of the lines is new. Nothing would be imported.")


async def start_import(
    session: AsyncSession, *, sku_id: UUID, body: bytes, file_name: str, terms: tuple[Decimal, date | None], actor: Actor
) -> ImportBatch:
    """Store an upload, sealed, and have it checked. `terms` are unit cost in major units and last valid day.

    Raises: NotFound, EmptyImport.
    """
    await queries.pool_or_404(session, sku_id)
    if not body.strip():
        raise EmptyImport
    batch = ImportBatch(
        id=new_id(),
        batch_no=new_number("B"),
        sku_id=sku_id,
        file_name=file_name[:200],
        unit_cost=terms[0],
        expires_on=terms[1] or NEVER,
        created_by=actor.name,
    )
    session.add(batch)
    await session.flush()
    tx = await raw(session)
    ring = await keyring(tx)
    for seq in range(0, len(body), _CHUNK_BYTES):
        row_id = new_id()
        sealed = ring.seal("import_chunk", "body", row_id, body[seq : seq + _CHUNK_BYTES].hex())
        await tx.execute(
            "insert into import_chunk (batch_id, seq, row_id, body) values ($1, $2, $3, $4)",
            batch.id,
            seq // _CHUNK_BYTES,
            row_id,
            sealed,
        )
    await audit.record(
        tx,
        actor,
        "import_batch.uploaded",
        subject=("import_batch", batch.id),
        facts={"batch_no": batch.batch_no, "bytes": len(body)},
    )
    await add_task(tx, "inventory.check_import", lane=Lane.BULK, subject_id=batch.id)
    return batch


async def check(tenant: Tenant, batch_id: UUID) -> None:
    """Read the upload and sort its lines into new, duplicate and bad. Idempotent: a killed check starts its lines over."""
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow("select state, file_name, sku_id from import_batch where id = $1", batch_id)
        if row is None or row["state"] != BatchState.CHECKING:
            return
        body, ring = await _upload(tx, batch_id), await keyring(tx)
        await tx.execute("delete from import_line where batch_id = $1", batch_id)
    try:
        file = await asyncio.to_thread(read, body, row["file_name"])
        if len(file.lines) > rules.MOST_LINES + 1:
            raise TooManyLines
    except UnreadableFile as refusal:
        await _reject(tenant, batch_id, refusal.message)
        return
    await _stage(tenant, batch_id, file, ring)
    async with tenant_tx(tenant) as tx:
        await tx.execute("set local statement_timeout = '10min'")
        await tx.execute(_DUPLICATES_IN_FILE, batch_id)
        await tx.execute(_DUPLICATES_IN_POOL, batch_id, row["sku_id"])
        await tx.execute(_READY, batch_id, file.encoding)
        await tx.execute("delete from import_chunk where batch_id = $1", batch_id)
        await history.record(tx, Happened("import_batch", batch_id, "import_batch.ready", BatchState.CHECKING, BatchState.READY))


async def confirm(session: AsyncSession, *, batch_no: str, actor: Actor) -> ImportBatch:
    """Import the lines that are new. Idempotent: confirming again changes nothing. Locks: the batch. Raises: BatchStateRefuses, NothingToImport."""
    batch = await _move(session, batch_no, BatchState.IMPORTING, actor)
    if batch.new_count == 0:
        raise NothingToImport
    if batch.state == BatchState.IMPORTING:
        await add_task(session, "inventory.import_keys", lane=Lane.BULK, subject_id=batch.id)
    return batch


async def abandon(session: AsyncSession, *, batch_no: str, actor: Actor) -> ImportBatch:
    """Throw a checked upload away. Idempotent. Raises: BatchStateRefuses."""
    batch = await _move(session, batch_no, BatchState.ABANDONED, actor)
    tx = await raw(session)
    await tx.execute("delete from import_line where batch_id = $1", batch.id)
    await tx.execute("delete from import_chunk where batch_id = $1", batch.id)
    return batch


async def import_keys(tenant: Tenant, batch_id: UUID) -> None:
    """Move checked lines into the pool, ten thousand a transaction, each with its progress and its stock. Idempotent and resumable."""
    while True:
        async with tenant_tx(tenant) as tx:
            row = await tx.fetchrow("select state, sku_id from import_batch where id = $1 for update", batch_id)
            if row is None or row["state"] != BatchState.IMPORTING:
                return
            counted = await tx.fetchrow(_MOVE, batch_id, _MOVED_AT_ONCE)
            assert counted is not None
            if counted["imported"]:
                await put_on_shelf(tx, sku_id=row["sku_id"], units=counted["imported"], from_column="imported")
            if counted["moved"] == 0:
                await tx.execute(_DONE, batch_id)
                await tx.execute("delete from import_line where batch_id = $1", batch_id)
                await history.record(
                    tx, Happened("import_batch", batch_id, "import_batch.imported", BatchState.IMPORTING, BatchState.IMPORTED)
                )
                await warn_if_low(tx, [row["sku_id"]])
                return


async def _stage(tenant: Tenant, batch_id: UUID, file: KeyFile, ring: Keyring) -> None:
    numbered = enumerate(file.lines, start=1)
    while block := list(islice(numbered, _CHECKED_AT_ONCE)):
        records = await asyncio.to_thread(_records, batch_id, block, ring)
        async with tenant_tx(tenant) as tx:
            await tx.copy_records(
                "import_line",
                columns=(
                    "batch_id",
                    "line_no",
                    "verdict",
                    "problem",
                    "masked",
                    "card_key_id",
                    "secret",
                    "fingerprint",
                    "tail_fingerprint",
                ),
                records=records,
            )
            await tx.execute(
                "update import_batch set lines_read = $2, lines_done = $3 where id = $1", batch_id, len(file.lines), block[-1][0]
            )


def _records(batch_id: UUID, block: list[tuple[int, list[str]]], ring: Keyring) -> list[tuple[object, ...]]:
    return [_record(batch_id, line_no, cells, ring) for line_no, cells in block if any(cells)]


def _record(batch_id: UUID, line_no: int, cells: list[str], ring: Keyring) -> tuple[object, ...]:
    line = rules.read_line(cells)
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


async def _upload(tx: Tx, batch_id: UUID) -> bytes:
    ring = await keyring(tx)
    rows = await tx.fetch("select row_id, body from import_chunk where batch_id = $1 order by seq", batch_id)
    return b"".join(bytes.fromhex(ring.open("import_chunk", "body", row["row_id"], row["body"]).reveal()) for row in rows)


async def _reject(tenant: Tenant, batch_id: UUID, problem: str) -> None:
    async with tenant_tx(tenant) as tx:
        await tx.execute(
            "update import_batch set state = 'rejected', problem = $2 where id = $1 and state = 'checking'", batch_id, problem
        )
        await tx.execute("delete from import_chunk where batch_id = $1", batch_id)
        await history.record(
            tx, Happened("import_batch", batch_id, "import_batch.rejected", BatchState.CHECKING, BatchState.REJECTED, problem)
        )


async def _move(session: AsyncSession, batch_no: str, to: BatchState, actor: Actor) -> ImportBatch:
    batch = await queries.batch_or_404(session, batch_no)
    await session.refresh(batch, with_for_update=True)
    before = BatchState(batch.state)
    if before is to or (to is BatchState.IMPORTING and before is BatchState.IMPORTED):
        return batch
    if to not in BATCH_EDGES[before]:
        raise BatchStateRefuses(batch_no=batch_no)
    batch.state = to
    batch.lines_done = 0
    await session.flush()
    await history.record(session, Happened("import_batch", batch.id, f"import_batch.{to}", before, to), actor=actor)
    await audit.record(session, actor, f"import_batch.{to}", subject=("import_batch", batch.id), facts={"batch_no": batch_no})
    return batch


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
set state = 'ready', encoding = $2, checked_at = now(), lines_done = b.lines_read,
    new_count = c.new_count, duplicate_in_file = c.in_file, duplicate_in_pool = c.in_pool, bad_count = c.bad
from (
  select count(*) filter (where verdict = 'new') as new_count, count(*) filter (where verdict = 'duplicate_in_file') as in_file,
         count(*) filter (where verdict = 'duplicate_in_pool') as in_pool, count(*) filter (where verdict = 'bad') as bad
  from import_line where batch_id = $1
) c
where b.id = $1
"""
_MOVE = """
with taken as (
  delete from import_line
  where batch_id = $1 and line_no in (select line_no from import_line where batch_id = $1 and verdict = 'new' order by line_no limit $2)
  returning card_key_id, masked, secret, fingerprint, tail_fingerprint
), made as (
  insert into card_key (id, sku_id, batch_id, pos, expires_on, masked, secret, fingerprint, tail_fingerprint, unit_cost)
  select t.card_key_id, b.sku_id, b.id, floor(random() * 2147483647)::int, b.expires_on, t.masked, t.secret, t.fingerprint, t.tail_fingerprint, b.unit_cost
  from taken t cross join import_batch b where b.id = $1
  on conflict (sku_id, fingerprint) do nothing
  returning id
), counted as (
  select (select count(*) from taken) as moved, (select count(*) from made) as imported
)
update import_batch b
set lines_done = b.lines_done + c.moved, imported_count = b.imported_count + c.imported, duplicate_in_pool = b.duplicate_in_pool + c.moved - c.imported
from counted c
where b.id = $1
returning c.moved, c.imported
"""
_DONE = "update import_batch set state = 'imported', imported_at = now() where id = $1"
