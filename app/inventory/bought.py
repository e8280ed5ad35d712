"""Card-keys that a supplier sold us for one unit: stored sealed like imported ones, already taken, each once."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID

from app.inventory import rules
from app.inventory.models import NEVER, KeyState
from app.kernel import clock, history
from app.kernel.history import Happened
from app.kernel.ids import id_of, new_id
from app.kernel.vault import Keyring, keyring
from tenants.session import Tx

_PIVOTS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class BoughtKey:
    """One secret of a delivery. `source_id` is the connection it came from; its keys of one day and SKU are one batch, to be frozen together."""

    sku_id: UUID
    source_id: UUID
    source_name: str
    number: str = field(repr=False)
    password: str = field(repr=False)
    expires_on: date | None
    unit_cost: Decimal
    currency: str
    state: KeyState = KeyState.DELIVERED


async def store_bought(tx: Tx, keys: Sequence[BoughtKey]) -> list[UUID | None]:
    """Store keys, in their order; None for one that this SKU has had before, which is nobody's to deliver. The caller moves the stock counters."""
    if not keys:
        return []
    ring = await keyring(tx)
    batches = await _batches(tx, keys)
    rows = [_row(key, batches[key.sku_id, key.source_id], ring) for key in keys]
    stored = {row["id"] for row in await tx.fetch(_STORE, *(list(column) for column in zip(*rows, strict=True)))}
    return [row[0] if row[0] in stored else None for row in rows]


async def count_aside(tx: Tx, sku_id: UUID, key_ids: Sequence[UUID], *, worth: str) -> dict[str, object]:
    """Count keys that were stored as void, nobody's and never sold, and write down with their batch what each is worth.

    Gives what a case says of them: their ids, masked, and the batch. Locks: the stock row.
    """
    await tx.execute(_ASIDE, sku_id, len(key_ids))
    rows = await tx.fetch(_MASKED, list(key_ids))
    note = " ".join([worth, *(row["masked"] for row in rows)]).strip()
    await history.record(tx, Happened("import_batch", rows[0]["batch_id"], "card_key.kept_aside", note=note))
    return {"aside": [[str(row["id"]), row["masked"]] for row in rows], "batch_no": rows[0]["batch_no"]}


def _row(key: BoughtKey, batch_id: UUID, ring: Keyring) -> tuple[UUID, *tuple[object, ...]]:
    key_id = new_id()
    line = rules.ReadLine(key.number.strip(), key.password.strip())
    return (
        key_id,
        key.sku_id,
        batch_id,
        key.state,
        secrets.randbelow(_PIVOTS),
        key.expires_on or NEVER,
        rules.masked(line.number),
        ring.seal("card_key", "secret", key_id, line.stored),
        ring.fingerprint("card_key", rules.normalised(line.stored)),
        ring.fingerprint("card_key_tail", rules.tail_of(line.stored)),
        key.unit_cost,
    )


async def _batches(tx: Tx, keys: Sequence[BoughtKey]) -> dict[tuple[UUID, UUID], UUID]:
    """The batch of each SKU and source of today, made on first use."""
    day = clock.business_day()
    first = {(key.sku_id, key.source_id): key for key in reversed(keys)}
    found = {of: id_of("bought", *of, day) for of in sorted(first)}
    rows = [
        (found[of], f"S{day:%y%m%d}-{found[of].hex[:8].upper()}", first[of].sku_id, first[of].source_name, first[of].unit_cost, first[of].currency)
        for of in found
    ]  # fmt: skip
    await tx.execute(_BATCHES, *(list(column) for column in zip(*rows, strict=True)))
    return found


_BATCHES = """
insert into import_batch (id, batch_no, sku_id, state, file_name, unit_cost, currency, created_by, checked_at, imported_at)
select b.id, b.batch_no, b.sku_id, 'imported', b.source, b.unit_cost, b.currency, b.source, now(), now()
from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::numeric[], $6::text[]) as b (id, batch_no, sku_id, source, unit_cost, currency)
on conflict do nothing
"""
_ASIDE = """
insert into stock as s (sku_id, imported, voided) values ($1, $2, $2)
on conflict (sku_id) do update set imported = s.imported + $2, voided = s.voided + $2
"""
_MASKED = """
select k.id, k.masked, k.batch_id, b.batch_no from card_key k join import_batch b on b.id = k.batch_id where k.id = any($1) order by k.id
"""
_STORE = """
insert into card_key
  (id, sku_id, batch_id, state, pos, expires_on, masked, secret, fingerprint, tail_fingerprint, unit_cost, changed_at)
select k.*, now()
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::int[], $6::date[], $7::text[], $8::bytea[], $9::bytea[], $10::bytea[],
            $11::numeric[]) as k
on conflict (sku_id, fingerprint) do nothing
returning id
"""
