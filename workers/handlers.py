"""Every kind of task and the verb it calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from app.access import messages as access_messages
from app.catalog import service as catalog
from app.customers import service as customers
from app.fulfillment import asking, buying, mailing, shelving, showing
from app.fulfillment import service as fulfillment
from app.integrations import robots, sending
from app.integrations.alerts import Readers
from app.inventory import importing, quarantining, warning
from app.inventory import service as inventory
from app.kernel.faults import fault
from app.kernel.tasks import Lane, TaskRow, handles
from app.ordering import queries as order_queries
from app.ordering import service as ordering
from app.payments import refunding
from app.payments import service as payments
from app.settings import settings
from app.suppliers import alerting, health, syncing, testing, watching
from app.suppliers import importing as offer_importing
from tenants import provisioning, routing
from tenants.directory import Tenant
from tenants.session import Tx, tenant_session, tenant_tx


@handles("fulfillment.deliver", lane=Lane.ORDERS, timeout_s=30, at_once=100)
async def deliver(tenant: Tenant, tasks: list[TaskRow]) -> None:
    async with tenant_tx(tenant) as tx:
        await fulfillment.deliver_orders(tx, [task.subject_id for task in tasks if task.subject_id])
        await fault("delivery.before_commit")
    buying.wake(tenant)
    await fault("delivery.committed")


@handles("fulfillment.buy", lane=Lane.SUPPLY, timeout_s=30)
async def buy(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    await buying.buy(tenant, tasks[0].subject_id)


@handles("fulfillment.ask", lane=Lane.QUESTIONS, timeout_s=90, at_once=50, tries=60)
async def ask_supplier(tenant: Tenant, tasks: list[TaskRow]) -> None:
    await asking.ask(tenant, [task.subject_id for task in tasks if task.subject_id])


@handles("fulfillment.shelve", lane=Lane.ORDERS, timeout_s=30)
async def shelve(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    async with tenant_tx(tenant) as tx:
        await shelving.shelve(tx, tasks[0].subject_id)


@handles("suppliers.sync", lane=Lane.BULK, timeout_s=300)
async def sync_supplier(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    await syncing.sync(tenant, tasks[0].subject_id)


@handles("suppliers.test", lane=Lane.SUPPLY, timeout_s=60, tries=60)
async def test_supplier(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    await testing.go_on(tenant, tasks[0].subject_id)


@handles("suppliers.import_offers", lane=Lane.BULK, timeout_s=600)
async def import_offers(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    await offer_importing.go_on(tenant, tasks[0].subject_id)


@handles("suppliers.tell_breaker", lane=Lane.MESSAGES, timeout_s=30)
async def tell_breaker(tenant: Tenant, tasks: list[TaskRow]) -> None:
    await _tell(tenant, tasks, alerting.tell_breaker)


@handles("suppliers.tell_shelf", lane=Lane.MESSAGES, timeout_s=30)
async def tell_shelf(tenant: Tenant, tasks: list[TaskRow]) -> None:
    await _tell(tenant, tasks, alerting.tell_shelf)


@handles("suppliers.tell_balance", lane=Lane.MESSAGES, timeout_s=30)
async def tell_balance(tenant: Tenant, tasks: list[TaskRow]) -> None:
    await _tell(tenant, tasks, alerting.tell_balance)


@handles("suppliers.tell_too_dear", lane=Lane.MESSAGES, timeout_s=30)
async def tell_too_dear(tenant: Tenant, tasks: list[TaskRow]) -> None:
    await _tell(tenant, tasks, alerting.tell_too_dear)


@handles("suppliers.watch", lane=Lane.MESSAGES, timeout_s=30)
async def watch_supplier(tenant: Tenant, tasks: list[TaskRow]) -> None:
    await _tell(tenant, tasks, watching.watch)


@handles("fulfillment.watch_balance", lane=Lane.MESSAGES, timeout_s=30)
async def watch_balance(tenant: Tenant, tasks: list[TaskRow]) -> None:
    async def look(tx: Tx, connection_id: UUID, readers: Readers) -> None:
        await watching.watch_balance(tx, connection_id, await showing.pace_of(tx, connection_id), readers)

    await _tell(tenant, tasks, look)


async def _tell(tenant: Tenant, tasks: list[TaskRow], tell: Callable[[Tx, UUID, Readers], Awaitable[None]]) -> None:
    assert tasks[0].subject_id
    readers = await access_messages.stock_watchers(tenant)
    async with tenant_tx(tenant) as tx:
        await tell(tx, tasks[0].subject_id, readers)


@handles("suppliers.probe", lane=Lane.ORDERS, timeout_s=30)
async def probe(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    async with tenant_tx(tenant) as tx:
        await health.probe(tx, tasks[0].subject_id)


@handles("ordering.expire", lane=Lane.ORDERS, timeout_s=30)
async def expire(tenant: Tenant, _tasks: list[TaskRow]) -> None:
    while True:
        async with tenant_tx(tenant) as tx:
            if not await ordering.expire_unpaid(tx):
                return


@handles("payments.ask", lane=Lane.ORDERS, timeout_s=30)
async def ask(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    await payments.ask(tenant, tasks[0].subject_id)


@handles("payments.close", lane=Lane.ORDERS, timeout_s=60)
async def close_payments(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    await payments.close(tenant, tasks[0].subject_id)


@handles("payments.refund_order", lane=Lane.ORDERS, timeout_s=30)
async def refund_order(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    async with tenant_tx(tenant) as tx:
        await refunding.refund_order(tx, tasks[0].subject_id)


@handles("payments.send_refund", lane=Lane.ORDERS, timeout_s=60, tries=60)
async def send_refund(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    await refunding.send_refund(tenant, tasks[0].subject_id)


@handles("inventory.check_import", lane=Lane.BULK, timeout_s=600, tries=3)
async def check_import(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    await importing.check(tenant, tasks[0].subject_id)


@handles("inventory.import_keys", lane=Lane.BULK, timeout_s=600)
async def import_keys(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    await importing.import_keys(tenant, tasks[0].subject_id)


@handles("inventory.turn_batch", lane=Lane.BULK, timeout_s=600)
async def turn_batch(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    await quarantining.go_on(tenant, tasks[0].subject_id)


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


@handles("inventory.warn", lane=Lane.MESSAGES, timeout_s=30)
async def warn(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    recipients = await access_messages.stock_watchers(tenant)
    async with tenant_tx(tenant) as tx:
        await warning.warn(tx, tasks[0].subject_id, recipients)


@handles("customers.send_code", lane=Lane.MESSAGES, timeout_s=30)
async def send_code(tenant: Tenant, tasks: list[TaskRow]) -> None:
    """A contact without an order here gets no message; its page looks the same."""
    assert tasks[0].subject_id
    async with tenant_tx(tenant) as tx:
        waiting = await customers.waiting_code(tx, tasks[0].subject_id)
        locale = await order_queries.language_of(tx, waiting["contact_fingerprint"]) if waiting else None
        if waiting and locale:
            await customers.send_code(tx, waiting, locale=locale)


@handles("integrations.send", lane=Lane.MESSAGES, timeout_s=30)
async def send(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    await sending.send(tenant, tasks[0].subject_id, more_lines=mailing.lines)


@handles("integrations.tell_robot", lane=Lane.MESSAGES, timeout_s=300)
async def tell_robot(tenant: Tenant, tasks: list[TaskRow]) -> None:
    assert tasks[0].subject_id
    await robots.tell(tenant, tasks[0].subject_id)


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
