"""Work whose tenant was edited, left out or swapped: it runs in the tenant its row stands in, or not at all; and stores never mix two tenants."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.inventory.queries import sellable
from app.kernel import rates
from app.kernel.ids import new_id
from app.kernel.rates import Limit
from app.kernel.tasks import Lane, TaskRow, add_task, handles
from app.kernel.vault import CannotOpen, keyring
from app.storefront.shelf import shelf_of
from tenants.directory import Tenant
from tenants.session import tenant_tx
from tests.attacks.merchant import buyers_session, fingerprint, merchant
from tests.attacks.routes import Route
from tests.attacks.visitors import Caller
from tests.world import World
from workers import worker
from workers.drain import drain, drain_home

pytestmark = [pytest.mark.anyio]
_ran: list[tuple[str, UUID | None]] = []


@handles("attacks.note", lane=Lane.ORDERS, at_once=5)
async def _note(tenant: Tenant, tasks: list[TaskRow]) -> None:
    async with tenant_tx(tenant) as tx:
        assert await tx.fetchval("select current_user::text") == tenant.role
    _ran.extend((tenant.slug, task.subject_id) for task in tasks)


def job(worker_is_stopping: bool = False) -> dict[str, Any]:
    """What the queue gives a job."""
    stopping = asyncio.Event()
    if worker_is_stopping:
        stopping.set()
    return {"worker": type("Worker", (), {"event": stopping})()}


@pytest.mark.case("G07")
@pytest.mark.parametrize(
    "schemas",
    [
        ["t_ffffffffffff"],
        ["public; drop schema public"],
        ["../public"],
        [""],
        ["information_schema"],
        ["pg_catalog"],
        ["quanyi"],
        [],
        None,
    ],
)
async def test_a_job_that_names_no_tenant_does_nothing(world: World, schemas: list[str] | None) -> None:
    await drain(Lane.ORDERS)
    before = await fingerprint(world.tenant)
    await worker.drain_lane(job(), lane="orders", schemas=schemas)
    assert await fingerprint(world.tenant) == before


@pytest.mark.case("G07")
async def test_a_job_of_a_lane_that_is_none_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="is not a valid Lane"):
        await worker.drain_lane(job(), lane="orders; delete", schemas=[world.tenant.schema])


@pytest.mark.case("G07")
async def test_a_job_for_another_tenant_does_that_tenants_own_work(world: World) -> None:
    """Whatever home a ring names, the tasks come from that home's own table and run bound to it."""
    other, subjects = await world.new_tenant("Other"), [uuid4(), uuid4()]
    _ran.clear()
    for tenant, subject in zip((world.tenant, other), subjects, strict=True):
        async with tenant_tx(tenant) as tx:
            await add_task(tx, "attacks.note", lane=Lane.ORDERS, subject_id=subject)
    await worker.drain_lane(job(), lane="orders", schemas=[other.schema])
    await world.work()
    assert sorted(_ran) == sorted([(world.tenant.slug, subjects[0]), (other.slug, subjects[1])])


SUBJECTS = {
    "fulfillment.deliver": "shop_order",
    "payments.ask": "payment",
    "payments.send_refund": "payment",
    "payments.refund_order": "payment",
    "inventory.import_keys": "import_batch",
    "integrations.send": "outgoing_message",
}


@pytest.mark.case("G07")
async def test_a_task_with_another_tenants_subject_touches_neither(world: World) -> None:
    """A row put in by hand: its subject is an order, payment, batch or message of the other tenant."""
    other = await merchant(world, await world.new_tenant("Other"), canary="Marlin")
    await world.product()
    before = await fingerprint(world.tenant, other.tenant)
    for kind, table in SUBJECTS.items():
        subject = await world.value(f"select id from {table} limit 1", tenant=other.tenant)
        async with tenant_tx(world.tenant) as tx:
            await tx.execute(
                "insert into task (id, kind, lane, subject_id, dedupe, run_at) values ($1, $2, 'orders', $3, $4, now())",
                new_id(), kind, subject, f"{kind}:{subject}",
            )  # fmt: skip
        await drain_home(world.tenant, Lane.ORDERS)
        async with tenant_tx(world.tenant) as tx:
            await tx.execute("delete from task")
        assert await fingerprint(world.tenant, other.tenant) == before, kind


# Numbers, names and keys that two tenants share


@pytest.mark.case("G08")
async def test_a_limit_used_up_in_one_tenant_is_whole_in_another(world: World) -> None:
    limit, other = Limit("attacks.shared", 1, 600), await world.new_tenant("Other")
    await rates.count(world.tenant, limit, "same")
    with pytest.raises(rates.TooMany):
        await rates.count(world.tenant, limit, "same")
    await rates.count(other, limit, "same")
    window = rates.RateWindow(limit)
    window.count(world.tenant, "address")
    window.count(other, "address")
    with pytest.raises(rates.TooMany):
        window.count(other, "address")


@pytest.mark.case("G08")
async def test_the_same_request_key_is_two_orders_in_two_shops(world: World) -> None:
    other = await world.new_tenant("Other")
    placed = []
    for tenant in (world.tenant, other):
        product = await world.product(tenant=tenant)
        await world.stock(product.skus[0].id, 2, tenant=tenant)
        caller = Caller(world, tenant)
        form = {
            "listing": str(product.skus[0].listing.id),
            "quantity": "1",
            "contact": "13800132046",
            "request_id": "0123456789abcdef0123",
        }
        placed += [(await caller.ask(Route("POST", "/s/checkout"), {}, form)).headers["location"] for _ in range(2)]
    assert placed[0] == placed[1]
    assert placed[2] == placed[3]
    assert placed[0] != placed[2]
    for tenant in (world.tenant, other):
        assert await world.value("select count(*) from shop_order", tenant=tenant) == 1


@pytest.mark.case("G08")
async def test_one_order_number_in_two_shops_is_two_orders(world: World) -> None:
    """Given the same number by hand, each shop shows its own and its signature opens nothing in the other."""
    mine, theirs = await merchant(world, world.tenant), await merchant(world, await world.new_tenant("Other"), canary="Marlin")
    number = str(mine.ids["order_no"])
    owner = theirs.tenant
    async with tenant_tx(owner) as tx:
        await tx.execute("update shop_order set order_no = $2 where order_no = $1", theirs.ids["order_no"], number)
    theirs.ids["order_no"] = number
    page = Route("GET", "/s/orders/{order_no}/{signature}")
    for shop, name, foreign in ((mine, "Skylark", theirs), (theirs, "Marlin", mine)):
        caller = Caller(world, shop.tenant)
        assert name in (await caller.ask(page, shop.ids)).text
        assert (await caller.ask(page, foreign.ids)).status_code == 404


@pytest.mark.case("G08")
async def test_the_same_text_has_another_fingerprint_and_opens_nowhere_else(world: World) -> None:
    other, row_id = await world.new_tenant("Other"), uuid4()
    rings = []
    for tenant in (world.tenant, other):
        async with tenant_tx(tenant) as tx:
            rings.append(await keyring(tx))
    assert rings[0].fingerprint("contact", "+8613800132046") != rings[1].fingerprint("contact", "+8613800132046")
    assert rings[0].link_signature("order", row_id) != rings[1].link_signature("order", row_id)
    sealed = rings[0].seal("card_key", "secret", row_id, "SAME-KEY")
    with pytest.raises(CannotOpen):
        rings[1].open("card_key", "secret", row_id, sealed)


@pytest.mark.case("G08")
async def test_the_same_keys_in_two_shops_are_two_stocks(world: World) -> None:
    keys, left = ["SAME-KEY-00001", "SAME-KEY-00002"], []
    for tenant in (world.tenant, await world.new_tenant("Other")):
        product = await world.product(tenant=tenant)
        await world.stock(product.skus[0].id, keys, tenant=tenant)
        async with tenant_tx(tenant) as tx:
            left += list((await sellable(tx, [product.skus[0].id])).values())
    assert left == [2, 2]


@pytest.mark.case("G08")
async def test_a_kept_shelf_is_its_own_shops(world: World) -> None:
    shelves = []
    for tenant, name in ((world.tenant, "Skylark"), (await world.new_tenant("Other"), "Marlin")):
        await world.product(tenant=tenant, name=name)
        await shelf_of(tenant)
        shelves.append((tenant, name))
    for tenant, name in shelves:
        assert [shelved.name for shelved in (await shelf_of(tenant)).products.values()] == [name]


@pytest.mark.case("G08")
async def test_a_buyers_session_token_is_of_its_shop(world: World) -> None:
    mine = await merchant(world, world.tenant)
    token = await buyers_session(world, mine.tenant)
    other = await world.new_tenant("Other")
    async with tenant_tx(other) as tx:
        assert await tx.fetchval("select count(*) from buyer_session") == 0
    answer = await Caller(world, other, buyer_cookie=token).ask(Route("GET", "/s/orders"), {})
    assert str(mine.ids["order_no"]) not in answer.text
