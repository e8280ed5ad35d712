"""Orders that a company owes for: one unit of one SKU for each of its people, at an agreed price, many in one transaction.

No buyer pays and no gateway takes money, so such an order is owed from its first moment; what it costs stands on the company's account.
Limits of buyers, price rules and the least price are of the shop: here two companies have agreed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from app.catalog import accounts
from app.catalog.accounts import AccountField
from app.inventory import service as inventory
from app.kernel import history
from app.kernel.contact import Contact
from app.kernel.history import Happened
from app.kernel.ids import new_id, new_number
from app.kernel.tasks import Lane, add_tasks
from app.kernel.vault import Keyring, keyring
from app.ledger import service as ledger
from app.ledger.service import Posting, TransferKind
from app.ordering.models import OrderState
from tenants.session import Tx

DELIVER_BATCH = "fulfillment.deliver_batch"
"""The task that delivers an order of a batch, for which no buyer waits."""


class StockMoved(RuntimeError):
    """What was free a moment ago was sold meanwhile. The task is tried again."""


@dataclass(frozen=True, slots=True)
class AgreedGoods:
    """One SKU at the price that was agreed for one of it. `billed_to` is the batch that owes for it."""

    billed_to: UUID
    storefront_id: UUID
    listing_id: UUID
    sku_id: UUID
    product_id: UUID
    product_name: str
    sku_name: str
    delivery_kind: str
    fields: tuple[AccountField, ...]
    unit_price_minor: int
    currency: str
    locale: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets one unit, and the account it credits where it does. `key` makes his order once, whoever asks and how often."""

    key: str
    contact: Contact
    account: Mapping[str, str] = field(default_factory=dict, repr=False)


async def place_on_account(tx: Tx, goods: AgreedGoods, recipients: Sequence[Recipient]) -> dict[str, UUID]:
    """Order one unit for each recipient and have it delivered, behind buyers who wait; the orders by their keys.

    As many are ordered as there is stock that no sales channel keeps for itself; one whose number is taken is left out as well. Both come next time.
    Locks: the stock row, and with the commit the ledger's accounts. Raises: UniqueViolationError for a key that was ordered before, StockMoved.
    """
    free = await inventory.free_units(tx, goods.sku_id)
    ring = await keyring(tx)
    drawn = {new_id(): one for one in recipients[:free]}
    if not drawn:
        return {}
    made = await tx.fetch(_ORDERS, *_columns([_order(i, one, goods, ring) for i, one in drawn.items()]), *_shared(goods))
    placed = {row["id"]: drawn[row["id"]] for row in made}
    if not placed:
        return {}
    lines = {order_id: new_id() for order_id in placed}
    await tx.execute(
        _LINES, list(lines.values()), list(lines), goods.product_id, goods.sku_id, goods.listing_id, goods.product_name, goods.sku_name,
        goods.delivery_kind, goods.unit_price_minor,
    )  # fmt: skip
    await tx.execute(_UNITS, list(lines.values()), list(lines), goods.sku_id, goods.unit_price_minor)
    await _keep_accounts(tx, goods, {lines[order_id]: one.account for order_id, one in placed.items() if one.account})
    facts = {"amount_minor": goods.unit_price_minor, "currency": goods.currency}
    await history.record(tx, *(Happened("order", i, "order.on_account", None, OrderState.PAID, facts=facts) for i in placed))
    await add_tasks(tx, DELIVER_BATCH, lane=Lane.BULK, subject_ids=list(placed))
    await ledger.transfer(tx, [charged(goods.billed_to, i, goods.unit_price_minor, goods.currency) for i in placed])
    if not await inventory.reserve_again(tx, {goods.sku_id: len(placed)}):
        raise StockMoved(goods.sku_id)
    return {one.key: i for i, one in placed.items()}


def charged(billed_to: UUID, order_id: UUID, amount_minor: int, currency: str) -> Posting:
    """What puts an order on the account of the batch it belongs to."""
    return Posting(TransferKind.ON_ACCOUNT, billed_to, amount_minor, currency, str(order_id))


def transfer_ids(order: asyncpg.Record) -> list[UUID]:
    """The transfers of an order on its company's account, made or not; none of an order its buyer paid."""
    kinds = (TransferKind.ON_ACCOUNT, TransferKind.OFF_ACCOUNT_UNDELIVERED, TransferKind.OFF_ACCOUNT_DELIVERED)
    if order["billed_to"] is None:
        return []
    return [Posting(kind, order["billed_to"], 0, order["currency"], str(order["id"])).id for kind in kinds]


def _order(order_id: UUID, recipient: Recipient, goods: AgreedGoods, ring: Keyring) -> tuple[object, ...]:
    contact = recipient.contact
    asked = f"{recipient.key} {goods.sku_id} {goods.unit_price_minor}"
    return (
        order_id, new_number("N"), recipient.key, hashlib.sha256(asked.encode()).digest(), contact.kind,
        ring.seal("shop_order", "contact", order_id, contact.value), contact.masked, ring.fingerprint("contact", contact.value),
        ring.fingerprint("contact_tail", contact.tail),
    )  # fmt: skip


def _shared(goods: AgreedGoods) -> tuple[object, ...]:
    return goods.storefront_id, goods.locale, goods.unit_price_minor, goods.currency, goods.billed_to


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


async def _keep_accounts(tx: Tx, goods: AgreedGoods, by_line: Mapping[UUID, Mapping[str, str]]) -> None:
    ring, rows = await keyring(tx), []
    for line_id, account in by_line.items():
        shown = accounts.masked(goods.fields, account)
        kept = ring.seal("recharge_account", "account", line_id, json.dumps(dict(account)))
        rows.append((line_id, kept, " ".join(one["value"] for one in shown), json.dumps(shown)))
    if rows:
        await tx.execute(_ACCOUNTS, *_columns(rows))


_ORDERS = """
insert into shop_order
  (id, order_no, state, storefront_id, idempotency_key, request_hash, contact_kind, contact, contact_masked, contact_fingerprint, tail_fingerprint,
   locale, total_minor, currency, placed_at, expires_at, paid_at, billed_to)
select o.id, o.order_no, 'paid', $10, o.key, o.request_hash, o.contact_kind, o.contact, o.masked, o.contact_fp, o.tail_fp,
       $11, $12, $13, now(), now(), now(), $14
from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::bytea[], $7::text[], $8::bytea[], $9::bytea[])
  as o (id, order_no, key, request_hash, contact_kind, contact, masked, contact_fp, tail_fp)
on conflict (order_no) do nothing
returning id
"""
_LINES = """
insert into order_line
  (id, order_id, line_no, product_id, sku_id, listing_id, product_name, sku_name, delivery_kind, quantity, unit_price_minor, total_minor, attributes)
select l.id, l.order_id, 1, $3, $4, $5, $6, $7, $8, 1, $9, $9, p.attributes
from unnest($1::uuid[], $2::uuid[]) as l (id, order_id) join product p on p.id = $3
"""
_UNITS = """
insert into delivery_unit (order_line_id, unit_no, order_id, sku_id, state, amount_minor)
select l.id, 1, l.order_id, $3, 'owed', $4 from unnest($1::uuid[], $2::uuid[]) as l (id, order_id)
"""
_ACCOUNTS = """
insert into recharge_account (order_line_id, account, masked, shown)
select a.line_id, a.account, a.masked, a.shown::jsonb from unnest($1::uuid[], $2::bytea[], $3::text[], $4::text[]) as a (line_id, account, masked, shown)
"""
