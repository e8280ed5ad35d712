"""Verbs on payments: connecting a gateway, opening a payment, asking about one whose notice never came.

No call to a gateway runs inside a transaction: the intent is committed first, then the call is made, then its outcome is recorded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from app.kernel import audit, links
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_, DomainError
from app.kernel.faults import fault
from app.kernel.ids import drawn_number, new_id
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from app.ordering import service as ordering
from app.ordering.models import OrderState
from app.payments.capturing import move_payments, take_answer
from app.payments.gateways import open_gateway, sandbox
from app.payments.gateways.port import (
    Captured,
    Closed,
    Declined,
    Gateway,
    NoSuchPayment,
    NotPaid,
    PaymentRequest,
    Placed,
    Unknown,
)
from app.payments.models import PaymentState
from app.settings import settings
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_ASK_AFTER_S = (20, 20, 40, 60, 60, 120, 120, 240, 480, 960)
"""Seconds between questions about a payment nobody told us about; the last repeats while the order may still be paid late."""
_ASK_FOR = timedelta(hours=2)
_NOT_FOUND_GRACE = timedelta(minutes=2)


class NoGateway(DomainError):
    message = N_("This shop cannot take payments yet. The merchant has to connect a payment gateway first.")


class NotPayable(DomainError):
    message = N_("This order can no longer be paid. If money was taken all the same, it is given back by itself.")


class NotReconciled(DomainError):
    status = 503
    message = N_("This shop is being restored and takes no payments for now. Try again later; nothing was charged.")


class GatewayBusy(DomainError):
    status = 503
    message = N_("The payment company did not answer. Nothing was charged; try again in a moment.")


class StillOpening(RuntimeError):
    """The gateway has not said what became of a payment that is to be closed. The task is tried again later."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A tenant's account at a gateway, opened and ready to be called."""

    id: UUID
    gateway: Gateway


async def connect_gateway(tx: Tx, *, gateway: str, name: str, config: dict[str, str], actor: Actor) -> UUID:
    """Store a tenant's credentials at a gateway, sealed. Raises: IncompleteConnection for a missing or empty secret."""
    open_gateway(gateway, config)
    connection_id = new_id()
    sealed = (await keyring(tx)).seal("gateway_connection", "config", connection_id, json.dumps(config))
    await tx.execute(
        "insert into gateway_connection (id, gateway, name, merchant_id, config) values ($1, $2, $3, $4, $5)",
        connection_id, gateway, name, config["merchant_id"], sealed,
    )  # fmt: skip
    await audit.record(tx, actor, "gateway.connected", subject=("gateway_connection", connection_id), facts={"gateway": gateway})
    return connection_id


async def connect_sandbox(tenant: Tenant) -> None:
    """Give a new tenant an account at the sandbox gateway, where one is set. The call is made with no transaction open.

    Idempotent: a tenant that has a connection keeps it. Raises: CallFailed, and the task that called is tried again.
    """
    base_url = settings().sandbox_gateway_url
    async with tenant_tx(tenant) as tx:
        if not base_url or await tx.fetchval("select exists (select 1 from gateway_connection)"):
            return
    config = await sandbox.open_account(base_url)
    async with tenant_tx(tenant) as tx:
        await tx.execute("lock table gateway_connection in share row exclusive mode")
        if not await tx.fetchval("select exists (select 1 from gateway_connection)"):
            await connect_gateway(tx, gateway="sandbox", name="Sandbox", config=config, actor=SYSTEM)


async def connection_of(tx: Tx, connection_id: UUID | None = None) -> Connection:
    """The connection named, live or replaced since, or for a new payment the newest live one. Raises: NoGateway."""
    row = await tx.fetchrow(_CONNECTION, connection_id)
    if row is None:
        raise NoGateway
    config = json.loads((await keyring(tx)).open("gateway_connection", "config", row["id"], row["config"]).reveal())
    return Connection(row["id"], open_gateway(row["gateway"], config))


async def open_payment(tenant: Tenant, order_id: UUID) -> str:
    """The address where the buyer pays an order.

    Idempotent while a payment is open: it gives the same address. Locks: the order, while the payment row is written.
    Raises: NoGateway, NotPayable, NotReconciled, GatewayBusy, NotFound.
    """
    if tenant.is_reconciling:
        raise NotReconciled
    async with tenant_tx(tenant) as tx:
        row = await _payment_to_open(tx, order_id)
        if row["pay_url"]:
            return str(row["pay_url"])
        connection = await connection_of(tx, row["connection_id"])
        back = links.order(tenant, row["order_no"], (await keyring(tx)).link_signature("order", row["order_id"]))
    outcome = await connection.gateway.create_payment(_request(tenant, row, back))
    await fault("payment.called")
    async with tenant_tx(tenant) as tx:
        payment = await tx.fetchrow(
            "select id, payment_no, state, amount_minor, currency from payment where id = $1 for update", row["id"]
        )
        assert payment is not None
        match outcome:
            case Placed(gateway_ref, pay_url):
                await tx.execute(
                    "update payment set gateway_ref = $2, pay_url = $3 where id = $1", row["id"], gateway_ref, pay_url
                )
                if payment["state"] == PaymentState.OPENING:
                    await tx.execute("update payment set state = 'open' where id = $1", row["id"])
                return pay_url
            case Declined() if payment["state"] == PaymentState.OPENING:
                await move_payments(tx, [payment], PaymentState.DECLINED)
            case Declined() | Unknown():
                pass  # asked about by its task; the buyer may press pay again and the same number is sent
    raise GatewayBusy


async def ask(tenant: Tenant, payment_id: UUID) -> None:
    """Ask the gateway about a payment, and act as its notice would have made us act. Asks again later while it is open."""
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(_ASKED, payment_id)
        if row is None or row["state"] not in (PaymentState.OPENING, PaymentState.OPEN):
            return
        connection = await connection_of(tx, row["connection_id"])
    found = await connection.gateway.query_payment(row["payment_no"])
    async with tenant_tx(tenant) as tx:
        match found:
            case Captured():
                if not await take_answer(tx, payment_id, found):
                    await _ask_again(tx, row)
            case Closed():
                await _close(tx, payment_id)
            case NoSuchPayment() if row["age"] > _NOT_FOUND_GRACE:
                await _close(tx, payment_id)
            case NotPaid() | NoSuchPayment() | Unknown():
                await _ask_again(tx, row)


async def ask_now(tx: Tx, order_id: UUID) -> None:
    """Have an order's open payments asked about at once: what a buyer's "I have paid" does."""
    for row in await tx.fetch("select id from payment where order_id = $1 and state in ('opening', 'open')", order_id):
        await add_task(tx, "payments.ask", lane=Lane.ORDERS, subject_id=row["id"])


async def close(tenant: Tenant, order_id: UUID) -> None:
    """Close the open payments of an order that ended unpaid at their gateway, so that nobody pays for what he cannot have.

    Idempotent. One the buyer paid first is taken as any late payment. Raises: StillOpening where the gateway has not said yet.
    """
    async with tenant_tx(tenant) as tx:
        if await tx.fetchval("select state from shop_order where id = $1", order_id) == OrderState.AWAITING_PAYMENT:
            return
        rows = await tx.fetch(_UNFINISHED, order_id)
        gateways = {row["id"]: (await connection_of(tx, row["connection_id"])).gateway for row in rows}
    found = {row["id"]: await gateways[row["id"]].close_payment(row["payment_no"]) for row in rows}
    unsaid = []
    async with tenant_tx(tenant) as tx:
        for row in rows:
            match found[row["id"]]:
                case Captured() as captured:
                    await take_answer(tx, row["id"], captured)
                case Closed():
                    await _close(tx, row["id"])
                case NoSuchPayment() if row["age"] > _NOT_FOUND_GRACE:
                    await _close(tx, row["id"])
                case NoSuchPayment() | Unknown():
                    unsaid.append(row["payment_no"])
    if unsaid:
        raise StillOpening(", ".join(unsaid))


async def _payment_to_open(tx: Tx, order_id: UUID) -> asyncpg.Record:
    order = await ordering.lock_order(tx, order_id)
    if order["state"] != OrderState.AWAITING_PAYMENT:
        raise NotPayable
    row = await tx.fetchrow(_OPEN_PAYMENT, order_id)
    if row is None:
        connection = await connection_of(tx)
        payment_id = new_id()
        values = (order_id, connection.id, order["total_minor"], order["currency"])
        await drawn_number("P", lambda number: tx.execute(_NEW_PAYMENT, payment_id, number, *values))
        await add_task(tx, "payments.ask", lane=Lane.ORDERS, subject_id=payment_id, after_s=_ASK_AFTER_S[0])
        row = await tx.fetchrow(_OPEN_PAYMENT, order_id)
    assert row is not None
    return row


def _request(tenant: Tenant, row: asyncpg.Record, back: str) -> PaymentRequest:
    return PaymentRequest(
        out_no=row["payment_no"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        subject=f"{tenant.name} {row['order_no']}"[:120],
        notice_url=links.notice(tenant, row["connection_id"]),
        return_url=back,
        expires_at=row["expires_at"],
    )


async def _ask_again(tx: Tx, row: asyncpg.Record) -> None:
    """Have it asked about later, unless it was closed meanwhile or has been asked about for long enough."""
    if await tx.fetchval("select state from payment where id = $1", row["id"]) not in (PaymentState.OPENING, PaymentState.OPEN):
        return
    asked = row["times_asked"] + 1
    after_s = _ASK_AFTER_S[min(asked, len(_ASK_AFTER_S) - 1)]
    if row["age"] + timedelta(seconds=after_s) > _ASK_FOR:
        await _close(tx, row["id"])
        return
    await tx.execute(_ASKED_ONCE_MORE, row["id"], asked, after_s)
    await add_task(tx, "payments.ask", lane=Lane.ORDERS, subject_id=row["id"], after_s=after_s)


async def _close(tx: Tx, payment_id: UUID) -> None:
    payment = await tx.fetchrow(
        "select id, payment_no, state, amount_minor, currency from payment where id = $1 for update", payment_id
    )
    if payment is not None and payment["state"] in (PaymentState.OPENING, PaymentState.OPEN):
        await move_payments(tx, [payment], PaymentState.CLOSED)


_CONNECTION = """
select id, gateway, config from gateway_connection
where case when $1::uuid is null then is_live else id = $1 end
order by created_at desc
limit 1
"""
_OPEN_PAYMENT = """
select p.id, p.payment_no, p.connection_id, p.amount_minor, p.currency, p.pay_url, o.order_no, o.id as order_id, o.expires_at
from payment p join shop_order o on o.id = p.order_id
where p.order_id = $1 and p.state in ('opening', 'open')
order by p.created_at desc
limit 1
"""
_NEW_PAYMENT = """
insert into payment (id, payment_no, order_id, connection_id, amount_minor, currency) values ($1, $2, $3, $4, $5, $6)
on conflict (payment_no) do nothing
"""
_UNFINISHED = """
select id, payment_no, connection_id, now() - created_at as age from payment where order_id = $1 and state in ('opening', 'open') order by id
"""
_ASKED = "select id, payment_no, connection_id, state, times_asked, now() - created_at as age from payment where id = $1"
_ASKED_ONCE_MORE = "update payment set times_asked = $2, ask_at = now() + make_interval(secs => $3::int) where id = $1"
