"""Test orders: one unit bought from a connection to see that its credentials work and how fast goods arrive.

Bought as carefully as for a buyer: the row is written before the call, no call runs inside a transaction, a number is sent once and then only asked
about. What comes belongs to no order; it is kept sealed and can be shown to staff.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.kernel import audit, clock, links
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import Keyring, keyring
from app.suppliers.connecting import Opened, connection_of
from app.suppliers.connectors.port import (
    Accepted,
    Asked,
    Delivered,
    Found,
    Issued,
    NoSuchPurchase,
    Purchase,
    Rejected,
    Unknown,
)
from app.suppliers.models import OPEN_TESTS, TEST_EDGES, TestState
from tenants.directory import Tenant
from tenants.session import Tx, raw, tenant_tx

CALL_S = 30
_DELAYS_S = (1, 2, 3, 5, 5, 10, 20, 40, 60, 120, 300)
_NOT_FOUND = N_("the supplier knows nothing of it")


class TestRunning(DomainError):
    message = N_("A test order of this connection is still under way. Wait for its answer: it is never sent twice.")


class NotForTest(DomainError):
    status = 422
    message = N_("Choose goods of this connection that are on sale.")


@dataclass(frozen=True, slots=True)
class TestTerms:
    """What is bought as a test. `account` is the recharge account by field name, for a top-up."""

    offer_id: UUID
    account: Mapping[str, str] = field(default_factory=dict, repr=False)
    face_value_minor: int | None = None


async def start(session: AsyncSession, connection_id: UUID, terms: TestTerms, *, actor: Actor) -> UUID:
    """Have one unit bought; the test order's id. It costs what it costs: in live mode our balance pays.

    Locks: the connection. Raises: TestRunning, NotForTest.
    """
    tx, test_id = await raw(session), new_id()
    connection = await tx.fetchrow("select id, mode from supplier_connection where id = $1 for update", connection_id)
    offer = await tx.fetchrow(_OFFER, terms.offer_id, connection_id)
    if connection is None or offer is None or not offer["is_on_sale"]:
        raise NotForTest
    if await tx.fetchval(_RUNNING, connection_id, list(OPEN_TESTS)):
        raise TestRunning
    ring = await keyring(session)
    account = ring.seal("test_order", "account", test_id, json.dumps(dict(terms.account))) if terms.account else None
    is_range = offer["least_minor"] is not None
    await tx.execute(
        _INSERT, test_id, connection_id, offer["id"], test_id.hex, connection["mode"], offer["supplier_sku"], offer["currency"],
        None if is_range else offer["unit_cost"], terms.face_value_minor if is_range else None, account,
    )  # fmt: skip
    facts = {"offer": str(offer["id"]), "mode": connection["mode"]}
    await audit.record(session, actor, "supplier.test_ordered", subject=("supplier_connection", connection_id), facts=facts)
    await add_task(session, "suppliers.test", lane=Lane.SUPPLY, subject_id=test_id)
    return test_id


async def go_on(tenant: Tenant, test_id: UUID) -> None:
    """Send a planned test order, or ask about one that was sent; asks again by itself until it is decided.

    Idempotent. A worker that died during the call leaves an order that is asked about.
    """
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(_LOCK, test_id)
        if row is None or row["state"] not in OPEN_TESTS:
            return
        is_first = row["state"] == TestState.PLANNED
        opened = await connection_of(tx, row["connection_id"])
        purchase = await _purchase(tx, tenant, row) if is_first else None
        if is_first:
            await tx.execute(_SEND, test_id)
            due = clock.now() + timedelta(seconds=CALL_S + 10)
            await add_task(tx, "suppliers.test", lane=Lane.SUPPLY, subject_id=test_id, run_at=due)
    found = await _call(opened, row, purchase)
    async with tenant_tx(tenant) as tx:
        await _record(tx, test_id, found, is_first=is_first, grace=opened.connector.traits.not_found_grace)


async def _purchase(tx: Tx, tenant: Tenant, row: asyncpg.Record) -> Purchase:
    account = {}
    if row["account"] is not None:
        account = json.loads((await keyring(tx)).open("test_order", "account", row["id"], row["account"]).reveal())
    return Purchase(
        out_no=row["out_no"],
        supplier_sku=row["supplier_sku"],
        account=account,
        face_value_minor=row["face_value_minor"],
        currency=row["currency"],
        most_cost=row["most_cost"],
        notice_url=links.supply_notice(tenant, row["connection_id"]),
    )


async def _call(opened: Opened, row: asyncpg.Record, purchase: Purchase | None) -> Found:
    try:
        async with asyncio.timeout(CALL_S):
            if purchase is not None:
                return await opened.connector.place(purchase)
            return await opened.connector.query(Asked(row["out_no"], row["supplier_ref"], row["sent_at"]))
    except TimeoutError:
        return Unknown("the call took too long")


async def _record(tx: Tx, test_id: UUID, found: Found, *, is_first: bool, grace: timedelta) -> None:
    row = await tx.fetchrow(_LOCK, test_id)
    if row is None or row["state"] not in OPEN_TESTS:
        return
    match found:
        case Delivered():
            await _deliver(tx, row, found)
        case Accepted(supplier_ref, _):
            await _wait(tx, row, TestState.ACCEPTED, supplier_ref=supplier_ref)
        case Rejected(reason, says, _):
            await _fail(tx, row, reason, says)
        case NoSuchPurchase():
            if clock.now() < row["sent_at"] + grace or row["times_asked"] == 0:
                await _wait(tx, row, TestState.UNKNOWN, says=_NOT_FOUND)
            else:
                await _fail(tx, row, "not_found", _NOT_FOUND)
        case Unknown(says, is_sent, _):
            if is_first and not is_sent:
                await _fail(tx, row, "not_sent", says)
            else:
                await _wait(tx, row, TestState.UNKNOWN, says=says)


async def _deliver(tx: Tx, row: asyncpg.Record, delivered: Delivered) -> None:
    issued, marks, ring = None, list[bytes](), await keyring(tx)
    if delivered.issued:
        secrets = json.dumps([_plain(one) for one in delivered.issued], ensure_ascii=False)
        issued = ring.seal("test_order", "issued", row["id"], secrets)
        marks = [card_mark(ring, one) for one in delivered.issued]
    _follows(row, TestState.SUCCEEDED)
    took_ms = await tx.fetchval(_DELIVER, row["id"], delivered.supplier_ref, delivered.unit_cost, issued, marks)
    await tx.execute(_TESTED, row["connection_id"], took_ms)


async def _wait(tx: Tx, row: asyncpg.Record, state: TestState, *, supplier_ref: str | None = None, says: str = "") -> None:
    if row["state"] != state:
        _follows(row, state)
    await tx.execute(_WAIT, row["id"], state, supplier_ref, says[:500])
    delay_s = _DELAYS_S[min(row["times_asked"], len(_DELAYS_S) - 1)]
    await tx.execute("delete from task where dedupe = $1 and state = 'waiting'", f"suppliers.test:{row['id']}")
    due = clock.now() + timedelta(seconds=delay_s)
    await add_task(tx, "suppliers.test", lane=Lane.SUPPLY, subject_id=row["id"], run_at=due)


async def _fail(tx: Tx, row: asyncpg.Record, reason: str, says: str) -> None:
    _follows(row, TestState.FAILED)
    await tx.execute(_FAIL, row["id"], reason, says[:500])


def _follows(row: asyncpg.Record, state: TestState) -> None:
    assert state in TEST_EDGES[TestState(row["state"])], (row["state"], state)


def _plain(one: Issued) -> dict[str, str]:
    expires = one.expires_on.isoformat() if one.expires_on else ""
    return {"number": one.number, "password": one.password, "link": one.link, "expires_on": expires}


def card_mark(ring: Keyring, issued: Issued) -> bytes:
    """Stands for one secret, the same for the same: a card that a test order brought has been seen, and must never be a buyer's."""
    return ring.fingerprint("tested_card", " ".join((issued.number or issued.link, issued.password)).strip())


async def unseen(tx: Tx, cards: Sequence[Issued]) -> list[bool]:
    """Of cards that a supplier sold, in their order: whether no test order brought them, which staff may have read."""
    if not cards:
        return []
    ring = await keyring(tx)
    marks = [card_mark(ring, one) for one in cards]
    seen = {row["mark"] for row in await tx.fetch(_SEEN, marks)}
    return [mark not in seen for mark in marks]


async def reveal(tx: Tx, test_id: UUID, *, reason: str, actor: Actor) -> Sequence[Mapping[str, str]]:
    """What a test order brought, written down with who read it and why. Raises: NotFound."""
    row = await tx.fetchrow("select id, connection_id, issued from test_order where id = $1", test_id)
    if row is None or row["issued"] is None:
        raise NotFound
    await audit.record(tx, actor, "supplier.test_revealed", subject=("test_order", test_id), reason=reason)
    found: Sequence[Mapping[str, str]] = json.loads(
        (await keyring(tx)).open("test_order", "issued", test_id, row["issued"]).reveal()
    )
    return found


async def bought_or_404(tx: Tx, test_id: UUID) -> asyncpg.Record:
    """A test order that brought something. Raises: NotFound."""
    row = await tx.fetchrow(_ONE, test_id)
    if row is None:
        raise NotFound
    return row


async def newest(tx: Tx, connection_id: UUID, *, limit: int) -> list[asyncpg.Record]:
    """A connection's newest test orders, without what they brought."""
    return await tx.fetch(_OF_CONNECTION, connection_id, limit)


_OFFER = "select id, supplier_sku, unit_cost, currency, is_on_sale, least_minor from supplier_offer where id = $1 and connection_id = $2"
_RUNNING = "select exists (select 1 from test_order where connection_id = $1 and state = any($2))"
_INSERT = """
insert into test_order (id, connection_id, offer_id, out_no, mode, supplier_sku, currency, most_cost, face_value_minor, account)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_ONE = """
select t.id, t.connection_id, t.out_no, t.decided_at, o.name as offer_name
from test_order t join supplier_offer o on o.id = t.offer_id
where t.id = $1 and t.issued is not null
"""
_LOCK = """
select id, connection_id, out_no, state, supplier_sku, currency, most_cost, face_value_minor, account, sent_at, times_asked, supplier_ref
from test_order where id = $1
for update
"""
_SEND = "update test_order set state = 'sending', sent_at = clock_timestamp(), updated_at = now() where id = $1"
_WAIT = """
update test_order
set state = $2, supplier_ref = coalesce($3, supplier_ref), says = $4, times_asked = times_asked + 1, updated_at = now()
where id = $1
"""
_SEEN = "select m.mark from unnest($1::bytea[]) as m (mark) where exists (select 1 from test_order t where m.mark = any(t.card_marks))"
_FAIL = "update test_order set state = 'failed', reason = $2, says = $3, decided_at = now(), updated_at = now() where id = $1"
_DELIVER = """
update test_order
set state = 'succeeded', supplier_ref = $2, unit_cost = $3, issued = $4, card_marks = $5, says = '', decided_at = clock_timestamp(), updated_at = now(),
    took_ms = least(2147483647, extract(epoch from clock_timestamp() - sent_at) * 1000)::int
where id = $1
returning took_ms
"""
_TESTED = "update supplier_connection set tested_at = now(), test_ms = $2, updated_at = now() where id = $1"
_OF_CONNECTION = """
select t.id, t.state, t.mode, t.out_no, t.supplier_ref, t.created_at, t.sent_at, t.decided_at, t.took_ms, t.unit_cost, t.most_cost, t.currency, t.reason,
       t.says, t.issued is not null as has_issued, o.name as offer_name
from test_order t join supplier_offer o on o.id = t.offer_id
where t.connection_id = $1
order by t.created_at desc, t.id desc
limit $2
"""
