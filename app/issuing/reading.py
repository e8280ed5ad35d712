"""Taking a file of recipients in: read and sealed in a thread, a block at a time, so that no other page waits for it. Nothing is ordered yet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

import asyncpg

from app.catalog import accounts
from app.catalog.accounts import AccountField, fields_of
from app.inventory.files import read_cells
from app.issuing.models import MOST_ROWS, IssueState
from app.issuing.rules import ReadRow, read_rows, without_heading
from app.kernel import audit, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError
from app.kernel.history import Happened
from app.kernel.ids import drawn_number, new_id
from app.kernel.vault import Keyring, keyring
from tenants.session import Tx

_AT_ONCE = 2_000


class NoRecipients(DomainError):
    status = 422
    message = N_("There is no recipient in it. Paste contacts, one a line, or choose a file.")


class TooManyRecipients(DomainError):
    status = 422
    message = N_("More than 100,000 lines. Split the file and send the parts one after another.")


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed with a company. `id` makes the batch once, however often its form is sent."""

    id: UUID
    client: str
    reference: str
    unit_price_minor: int
    locale: str


async def start(tx: Tx, terms: Terms, goods: asyncpg.Record, file: tuple[bytes, str], *, actor: Actor) -> str:
    """Keep a batch and its rows until somebody confirms it; its number. `goods` is a row of `queries.skus`, `file` its bytes and its name.

    Idempotent by the terms' id. Raises: NoRecipients, TooManyRecipients, UnreadableFile and its kinds.
    """
    if known := await tx.fetchval("select batch_no from issue_batch where id = $1", terms.id):
        return str(known)
    fields = fields_of(json.loads(goods["fields"]))
    cells = without_heading(await asyncio.to_thread(lambda: list(islice(read_cells(*file), MOST_ROWS + 2))))
    if not cells:
        raise NoRecipients
    if len(cells) > MOST_ROWS:
        raise TooManyRecipients
    rows = read_rows(cells, fields, refuses_virtual=goods["refuses_virtual_numbers"])
    batch_no = await _write(tx, terms, goods, fields, actor)
    counts = await _keep(tx, terms.id, rows, fields)
    await tx.execute(_COUNT, terms.id, *counts)
    facts = {"batch_no": batch_no, "rows": counts[0]}
    await history.record(
        tx, Happened("issue_batch", terms.id, "issue_batch.ready", None, IssueState.READY, facts=facts), actor=actor
    )
    await audit.record(tx, actor, "issue_batch.uploaded", subject=("issue_batch", terms.id), facts=facts)
    return batch_no


async def _write(tx: Tx, terms: Terms, goods: asyncpg.Record, fields: Sequence[AccountField], actor: Actor) -> str:
    agreed = (terms.client, terms.reference, terms.unit_price_minor, terms.locale, actor.name)
    named = (goods["storefront_id"], goods["listing_id"], goods["sku_id"], goods["product_id"], goods["product_name"])
    shown = (goods["sku_name"], goods["delivery_kind"], goods["currency"], json.dumps(accounts.stored(fields)))
    return await drawn_number("E", lambda number: tx.execute(_NEW, terms.id, number, *agreed, *named, *shown))


async def _keep(tx: Tx, batch_id: UUID, rows: Iterator[ReadRow], fields: Sequence[AccountField]) -> tuple[int, int, int]:
    """Store the rows; how many are good, duplicates and bad."""
    ring, good, duplicate, bad = await keyring(tx), 0, 0, 0
    while block := await asyncio.to_thread(lambda: list(islice(rows, _AT_ONCE))):
        fine = [row for row in block if not row.faults]
        wrong = [row for row in block if row.faults]
        duplicates = sum(row.is_duplicate for row in wrong)
        good, duplicate, bad = good + len(fine), duplicate + duplicates, bad + len(wrong) - duplicates
        sealed = await asyncio.to_thread(_sealed, batch_id, fine, fields, ring)
        await tx.copy_records("issue_row", columns=_ROW_COLUMNS, records=sealed)
        await tx.copy_records("issue_bad_line", columns=_BAD_COLUMNS, records=[_bad(batch_id, row) for row in wrong])
    return good, duplicate, bad


def _sealed(batch_id: UUID, rows: Sequence[ReadRow], fields: Sequence[AccountField], ring: Keyring) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for row in rows:
        assert row.contact is not None
        row_id, account = new_id(), dict(row.account)
        kept = json.dumps({"kind": row.contact.kind, "contact": row.contact.value, "account": account})
        shown = " ".join(one["value"] for one in accounts.masked(fields, account))
        found.append((
            row_id, batch_id, row.row_no, ring.seal("issue_row", "recipient", row_id, kept), row.contact.kind, row.contact.masked,
            ring.fingerprint("contact", row.contact.value), shown,
        ))  # fmt: skip
    return found


def _bad(batch_id: UUID, row: ReadRow) -> tuple[object, ...]:
    problems = [{"field": label, "says": says, "facts": dict(facts)} for label, says, facts in row.faults]
    return batch_id, row.row_no, row.is_duplicate, row.masked, json.dumps(problems)


_ROW_COLUMNS = (
    "id", "batch_id", "row_no", "recipient", "contact_kind", "contact_masked", "contact_fingerprint", "account_masked",
)  # fmt: skip
_BAD_COLUMNS = ("batch_id", "line_no", "is_duplicate", "masked", "problems")
_NEW = """
insert into issue_batch
  (id, batch_no, client, reference, unit_price_minor, locale, created_by, storefront_id, listing_id, sku_id, product_id, product_name, sku_name,
   delivery_kind, currency, fields)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16::jsonb)
on conflict (batch_no) do nothing
"""
_COUNT = "update issue_batch set row_count = $2, duplicate_count = $3, bad_count = $4 where id = $1"
