"""Every kind of task and the verb it calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from app.access import messages as access_messages
from app.aftersales import checking, deadlines, failing, recalling, remedying
from app.catalog import service as catalog
from app.customers import service as customers
from app.fulfillment import asking, buying, handing, mailing, shelving, showing, undelivered
from app.fulfillment import service as fulfillment
from app.integrations import robots, sending, webhook_sending
from app.integrations.alerts import Readers
from app.inventory import allocating, importing, quarantining, warning
from app.inventory import service as inventory
from app.issuing import placing as issuing
from app.kernel.faults import fault
from app.kernel.tasks import Handler, Lane, TaskRow, handles
from app.ordering import queries as order_queries
from app.ordering import service as ordering
from app.ordering import subscribing
from app.ordering.on_account import DELIVER_BATCH
from app.payments import refunding
from app.payments import service as payments
from app.replenishment import receiving, restocking, telling
from app.settings import settings
from app.settlement import closing, fetching, matching
from app.suppliers import alerting, exchange, health, syncing, testing, watching
from app.suppliers import importing as offer_importing
from tenants import provisioning, routing
from tenants.directory import Tenant
from tenants.session import Tx, tenant_session, tenant_tx
from workers.failing import close_cases, give_up_refused


@handles("fulfillment.deliver", lane=Lane.ORDERS, timeout_s=30, at_once=100)
async def deliver(tenant: Tenant, tasks: list[TaskRow]) -> None:
    async with tenant_tx(tenant) as tx:
        await fulfillment.deliver_orders(tx, [task.subject_id for task in tasks if task.subject_id])
        await fault("delivery.before_commit")
    buying.wake(tenant)
    await fault("delivery.committed")


@handles(DELIVER_BATCH, lane=Lane.BULK, timeout_s=60, at_once=100)
async def deliver_batch(tenant: Tenant, tasks: list[TaskRow]) -> None:
    async with tenant_tx(tenant) as tx:
        await fulfillment.deliver_orders(tx, [task.subject_id for task in tasks if task.subject_id])


@handles("fulfillment.look_at_queue", lane=Lane.ORDERS, timeout_s=30, at_once=50)
async def look_at_queue(tenant: Tenant, tasks: list[TaskRow]) -> None:
    readers = await access_messages.stock_watchers(tenant)
    async with tenant_tx(tenant) as tx:
        await handing.look_at(tx, [task.subject_id for task in tasks if task.subject_id], readers)


@handles("fulfillment.ask", lane=Lane.QUESTIONS, timeout_s=90, at_once=50, tries=60)
async def ask_supplier(tenant: Tenant, tasks: list[TaskRow]) -> None:
    await asking.ask(tenant, [task.subject_id for task in tasks if task.subject_id])


@handles("aftersales.rates", lane=Lane.MESSAGES, timeout_s=60)
async def look_at_rates(tenant: Tenant, _tasks: list[TaskRow]) -> None:
    readers = await access_messages.after_sale_watchers(tenant)
    async with tenant_tx(tenant) as tx:
        await failing.look(tx, readers)


async def _watch_balance(tx: Tx, connection_id: UUID, readers: Readers) -> None:
    await watching.watch_balance(tx, connection_id, await showing.pace_of(tx, connection_id), readers)


@handles("ordering.expire", lane=Lane.ORDERS, timeout_s=30)
async def expire(tenant: Tenant, _tasks: list[TaskRow]) -> None:
    while True:
        async with tenant_tx(tenant) as tx:
            if not await ordering.expire_unpaid(tx):
                return


@handles("inventory.expire_keys", lane=Lane.BULK, timeout_s=600)
async def expire_keys(tenant: Tenant, tasks: list[TaskRow]) -> None:
    sku_id = tasks[0].subject_id
    assert sku_id
    are_left = True
    while are_left:
        async with tenant_tx(tenant) as tx:
            are_left = await inventory.expire_keys(tx, sku_id=sku_id) > 0
    async with tenant_tx(tenant) as tx:
        await inventory.expire_again(tx, sku_id)


@handles("customers.send_code", lane=Lane.MESSAGES, timeout_s=30)
async def send_code(tenant: Tenant, tasks: list[TaskRow]) -> None:
    """A contact without an order here gets no message unless it is to prove an account; its page looks the same."""
    assert tasks[0].subject_id
    async with tenant_tx(tenant) as tx:
        waiting = await customers.waiting_code(tx, tasks[0].subject_id)
        locale = await order_queries.language_of(tx, waiting["contact_fingerprint"]) if waiting else None
        if waiting and (chosen := locale or waiting["anyones_locale"]):
            await customers.send_code(tx, waiting, locale=chosen)


@handles("integrations.send", lane=Lane.MESSAGES, timeout_s=30, at_once=25)
async def send(tenant: Tenant, tasks: list[TaskRow]) -> None:
    ids = [task.subject_id for task in tasks if task.subject_id]
    await sending.send(tenant, ids, add_more=mailing.add_more, on_sent=close_cases, on_refused=give_up_refused)


@handles("tenants.furnish", lane=Lane.ORDERS, timeout_s=60, tries=40)
async def furnish(_platform: Tenant, tasks: list[TaskRow]) -> None:
    """What a new tenant needs to sell: its storefront, should its sign-up have stopped before it, and a gateway to be paid through."""
    assert tasks[0].subject_id
    tenant = await routing.by_id(tasks[0].subject_id)
    assert tenant is not None, "a tenant that signed up is in the directory"
    async with tenant_session(tenant) as session:
        await catalog.open_storefront(session, name=tenant.name)
    await payments.connect_sandbox(tenant)


@handles("tenants.refill", lane=Lane.BULK, timeout_s=120)
async def refill(_tenant: Tenant, _tasks: list[TaskRow]) -> None:
    owner_url = settings().owner_database_url
    assert owner_url, "the worker needs QUANYI_OWNER_DATABASE_URL to make tenants"
    await provisioning.refill(owner_url, wanted=settings().spare_tenants)


def _called(verb: Callable[[Tenant, UUID], Awaitable[object]]) -> Handler:
    """A verb about one subject that makes its own transactions."""

    async def handler(tenant: Tenant, tasks: list[TaskRow]) -> None:
        await verb(tenant, _subject_of(tasks))

    return handler


def _in_one_transaction(verb: Callable[[Tx, UUID], Awaitable[object]]) -> Handler:
    """A verb about one subject that runs in a transaction of ours."""

    async def handler(tenant: Tenant, tasks: list[TaskRow]) -> None:
        async with tenant_tx(tenant) as tx:
            await verb(tx, _subject_of(tasks))

    return handler


def _telling(
    verb: Callable[[Tx, UUID, Readers], Awaitable[object]], readers_of: Callable[[Tenant], Awaitable[Readers]]
) -> Handler:
    """A verb about one subject that tells some of the merchant's people of it."""

    async def handler(tenant: Tenant, tasks: list[TaskRow]) -> None:
        readers = await readers_of(tenant)
        async with tenant_tx(tenant) as tx:
            await verb(tx, _subject_of(tasks), readers)

    return handler


def _subject_of(tasks: list[TaskRow]) -> UUID:
    subject_id = tasks[0].subject_id
    assert subject_id
    return subject_id


handles("fulfillment.buy", lane=Lane.SUPPLY, timeout_s=30)(_called(buying.buy))
handles("aftersales.check", lane=Lane.SUPPLY, timeout_s=60)(_called(checking.check))
handles("issuing.go_on", lane=Lane.BULK, timeout_s=120)(_called(issuing.go_on))
handles("aftersales.recall", lane=Lane.BULK, timeout_s=600)(_called(recalling.go_on))
handles("suppliers.sync", lane=Lane.BULK, timeout_s=300)(_called(syncing.sync))
handles("suppliers.test", lane=Lane.SUPPLY, timeout_s=60, tries=60)(_called(testing.go_on))
handles("suppliers.import_offers", lane=Lane.BULK, timeout_s=600)(_called(offer_importing.go_on))
handles("settlement.fetch", lane=Lane.BULK, timeout_s=600)(_called(fetching.fetch_due))
handles("payments.ask", lane=Lane.ORDERS, timeout_s=30)(_called(payments.ask))
handles("payments.close", lane=Lane.ORDERS, timeout_s=60)(_called(payments.close))
handles("payments.send_refund", lane=Lane.ORDERS, timeout_s=60, tries=60)(_called(refunding.send_refund))
handles("inventory.check_import", lane=Lane.BULK, timeout_s=600, tries=3)(_called(importing.check))
handles("inventory.import_keys", lane=Lane.BULK, timeout_s=600)(_called(importing.import_keys))
handles("inventory.turn_batch", lane=Lane.BULK, timeout_s=600)(_called(quarantining.go_on))
handles("integrations.tell_robot", lane=Lane.MESSAGES, timeout_s=300)(_called(robots.tell))
handles("integrations.tell_webhook", lane=Lane.MESSAGES, timeout_s=100)(_called(webhook_sending.tell))

handles("replenishment.count", lane=Lane.BULK, timeout_s=60)(_in_one_transaction(receiving.count))
handles("replenishment.ask_when_low", lane=Lane.BULK, timeout_s=30)(_in_one_transaction(restocking.ask_by_itself))
handles("suppliers.turn_rate", lane=Lane.ORDERS, timeout_s=60)(_in_one_transaction(exchange.turn))
handles("inventory.return_idle", lane=Lane.BULK, timeout_s=30)(_in_one_transaction(allocating.return_idle))
handles("fulfillment.shelve", lane=Lane.ORDERS, timeout_s=30)(_in_one_transaction(shelving.shelve))
handles(subscribing.TURN, lane=Lane.ORDERS, timeout_s=30)(_in_one_transaction(subscribing.turn))
handles("aftersales.follow", lane=Lane.ORDERS, timeout_s=30)(_in_one_transaction(remedying.follow))
handles("settlement.match", lane=Lane.BULK, timeout_s=600)(_in_one_transaction(matching.match))
handles("suppliers.probe", lane=Lane.ORDERS, timeout_s=30)(_in_one_transaction(health.probe))
handles("payments.refund_order", lane=Lane.ORDERS, timeout_s=30)(_in_one_transaction(refunding.refund_order))

handles("integrations.webhook_failed", lane=Lane.MESSAGES, timeout_s=30)(
    _telling(webhook_sending.tell_failed, access_messages.stock_watchers)
)
handles("aftersales.watch", lane=Lane.MESSAGES, timeout_s=30)(_telling(deadlines.watch, access_messages.after_sale_watchers))
handles("suppliers.tell_breaker", lane=Lane.MESSAGES, timeout_s=30)(
    _telling(alerting.tell_breaker, access_messages.stock_watchers)
)
handles("suppliers.tell_shelf", lane=Lane.MESSAGES, timeout_s=30)(_telling(alerting.tell_shelf, access_messages.stock_watchers))
handles("suppliers.tell_balance", lane=Lane.MESSAGES, timeout_s=30)(
    _telling(alerting.tell_balance, access_messages.stock_watchers)
)
handles("suppliers.tell_too_dear", lane=Lane.MESSAGES, timeout_s=30)(
    _telling(alerting.tell_too_dear, access_messages.stock_watchers)
)
handles("suppliers.watch", lane=Lane.MESSAGES, timeout_s=30)(_telling(watching.watch, access_messages.stock_watchers))
handles("settlement.close", lane=Lane.BULK, timeout_s=600)(_telling(closing.close_due, access_messages.money_watchers))
handles(subscribing.TELL_MISSED, lane=Lane.MESSAGES, timeout_s=30)(
    _telling(subscribing.tell_missed, access_messages.stock_watchers)
)
handles("inventory.warn", lane=Lane.MESSAGES, timeout_s=30)(_telling(warning.warn, access_messages.stock_watchers))
handles(undelivered.TELL, lane=Lane.MESSAGES, timeout_s=30)(_telling(undelivered.tell, access_messages.stock_watchers))
handles("fulfillment.watch_balance", lane=Lane.MESSAGES, timeout_s=30)(_telling(_watch_balance, access_messages.stock_watchers))
handles("replenishment.tell_answer", lane=Lane.MESSAGES, timeout_s=30)(
    _telling(telling.tell_answer, access_messages.stock_watchers)
)
handles("replenishment.tell_sent", lane=Lane.MESSAGES, timeout_s=30)(_telling(telling.tell_sent, access_messages.stock_watchers))
handles("replenishment.tell_file", lane=Lane.MESSAGES, timeout_s=30)(_telling(telling.tell_file, access_messages.stock_watchers))
handles("replenishment.tell_message", lane=Lane.MESSAGES, timeout_s=30)(
    _telling(telling.tell_message, access_messages.stock_watchers)
)
