"""What goes wrong stays where it is: a supplier that hangs, a job that fails for ever, a lease that ran out, a batch of thousands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.fulfillment import asking, attempts, buying
from app.kernel.tasks import Lane
from tenants.session import databases, tenant_tx
from tests.app.fulfillment.supply import Source, attempt_states, make_due, order_state, routed, settle, source
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import World
from workers.drain import _sweep_home, drain_home

pytestmark = [pytest.mark.anyio, pytest.mark.database]
_IN_TRANSACTION = """
select count(*) from pg_stat_activity
where datname = current_database() and state like 'idle in transaction%' and pid <> pg_backend_pid()
"""
_RUNS_OUT = "update task set lease_until = now() - interval '1 second' where kind = $1 and state = 'running'"


@pytest.fixture(scope="module")
def two_companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SupplierSimulator]]:
    with ExitStack() as stack:
        yield [stack.enter_context(supplier_simulator(tmp_path_factory.mktemp(name), "tango")) for name in ("a", "b")]


@pytest.fixture
async def companies(world: World, two_companies: list[SupplierSimulator]) -> AsyncIterator[list[SupplierSimulator]]:
    for company in two_companies:
        company.clear_script()
        company.conduct(state="up", latency_ms=0, repeats="protocol")
    yield two_companies
    await buying.finish(within_s=0)
    for company in two_companies:
        company.conduct(state="up", latency_ms=0, repeats="protocol")


def effects(*sources: Source) -> list[int]:
    return [one.totals()["effects"] for one in sources]


async def until_called(company: SupplierSimulator, at_once: int) -> None:
    """Wait until so many calls are with the company."""
    async with asyncio.timeout(120):
        while company.totals()["calls"]["at_once"] < at_once:  # noqa: ASYNC110  # another process brings it about
            await asyncio.sleep(0.02)


async def until_idle() -> None:
    """Wait until no connection of our pool is in use: one that is held during a call that hangs never comes back."""
    pool = await databases().pool("main")
    async with asyncio.timeout(60):
        while pool.get_idle_size() < pool.get_size():  # noqa: ASYNC110  # a pool tells nobody
            await asyncio.sleep(0.005)


@pytest.mark.case("B09")
async def test_a_supplier_that_hangs_on_every_call_holds_up_nobody_and_no_transaction(
    world: World, companies: list[SupplierSimulator], tmp_path: Path
) -> None:
    with supplier_simulator(tmp_path, "tango") as hangs:
        await _beside_one_that_hangs(world, hangs, companies[0])


async def _beside_one_that_hangs(world: World, hangs: SupplierSimulator, serves: SupplierSimulator) -> None:
    slow, well = await source(world, hangs), await source(world, serves)
    of_slow, of_well = await routed(world, slow), await routed(world, well)
    before = effects(slow, well)
    asked = await world.paid(of_slow.skus[0].listing.id)
    hangs.script({"drop": True}, on="place", times=1)
    await settle(world)
    assert await attempt_states(world, asked.id) == ["unknown"]
    hangs.conduct(state="hanging")
    hung = [await world.paid(of_slow.skus[0].listing.id, 3, contact=f"138{number:08d}") for number in range(2)]
    await world.work(Lane.ORDERS, Lane.SUPPLY)
    await until_called(hangs, 6)
    await make_due(world)
    question = asyncio.create_task(drain_home(world.tenant, Lane.QUESTIONS))
    await until_called(hangs, 7)
    assert await world.until("select true where (" + _IN_TRANSACTION + ") = 0")
    await until_idle()  # seven calls are under way, and no connection to the database with them
    served = [await world.paid(of_well.skus[0].listing.id, contact=f"139{number:08d}") for number in range(5)]
    await world.work(Lane.ORDERS, Lane.SUPPLY)
    await world.until("select count(*) = 5 from shop_order where state = 'delivered'")
    assert [await order_state(world, order.id) for order in served] == ["delivered"] * 5
    assert hangs.totals()["calls"]["at_once"] == 7, "and it still hangs"
    assert {state for order in hung for state in await attempt_states(world, order.id)} == {"sending"}
    assert effects(slow, well) == [before[0] + 1, before[1] + 5]
    question.cancel()
    await asyncio.gather(question, return_exceptions=True)
    await buying.finish(within_s=0)


@pytest.mark.case("B11")
async def test_a_question_whose_lease_ran_out_is_asked_twice_and_delivers_once(
    world: World, companies: list[SupplierSimulator]
) -> None:
    first = await source(world, companies[0])
    product = await routed(world, first)
    before = effects(first)
    companies[0].script({"drop": True}, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    companies[0].script({"delay_ms": 4000}, on="query", times=1)
    await make_due(world)
    slow = asyncio.create_task(drain_home(world.tenant, Lane.QUESTIONS))
    await until_called(companies[0], 1)
    async with tenant_tx(world.tenant) as tx:
        assert await tx.execute(_RUNS_OUT, "fulfillment.ask") == 1
    await _sweep_home(world.tenant)
    await drain_home(world.tenant, Lane.QUESTIONS)
    assert await order_state(world, placed.id) == "delivered"
    assert not slow.done(), "the first body is still at work"
    await slow
    await settle(world)
    assert effects(first) == [before[0] + 1]
    assert await world.value("select count(*) from transfer where kind = 'sale'") == 1
    assert await world.value("select count(*) from card_key") == 1


async def _two_pumps(world: World, companies: list[SupplierSimulator]) -> int:
    """Two workers at one connection, the second while the first's calls run, at a company that sells again under a number it knows; its sales."""
    first = await source(world, companies[0])
    product = await routed(world, first)
    before = effects(first)[0]
    companies[0].conduct(latency_ms=2500, repeats="again")
    await world.paid(product.skus[0].listing.id, 4)
    await world.work(Lane.ORDERS, Lane.SUPPLY)
    await until_called(companies[0], 4)
    one = [pump for pump in buying._pumps.values() if not pump.done()]
    buying._pumps.clear()  # what another process knows of the first: nothing
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update task set run_at = now() where kind = 'fulfillment.buy'")
    await world.work(Lane.SUPPLY)
    await buying.buy(world.tenant, first.connection_id)
    other = [pump for pump in buying._pumps.values() if not pump.done()]
    assert one, "the first is at work"
    assert other, "and so is the second"
    await asyncio.gather(*one, *other)
    companies[0].conduct(latency_ms=0, repeats="protocol")
    return effects(first)[0] - before


@pytest.mark.case("B11")
async def test_a_purchase_whose_job_is_swept_while_it_runs_is_made_once(world: World, companies: list[SupplierSimulator]) -> None:
    assert await _two_pumps(world, companies) == 4
    assert await world.value("select count(*) from delivery_unit where state = 'delivered'") == 4


@pytest.mark.case("B11")
async def test_red_without_the_state_before_the_call_the_second_body_buys_again(
    world: World, companies: list[SupplierSimulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard: what is on its way is not taken to be sent."""
    taken = "(state = 'planned' or (state = 'sending' and times_sent < 2))"
    unguarded = attempts._SEND.replace("a.state = 'sending'", "a.state = 'nothing'").replace("state = 'planned'", taken)
    monkeypatch.setattr(attempts, "_SEND", unguarded)
    assert await _two_pumps(world, companies) > 4


@pytest.mark.case("B16")
async def test_work_that_fails_for_ever_is_given_up_with_a_case_and_holds_up_no_other(
    world: World, companies: list[SupplierSimulator]
) -> None:
    """A buyer's contact that cannot be opened: his order can never be ended, whatever is tried."""
    world.may_break.add("INV-12")
    first = await source(world, companies[0])
    product = await routed(world, first)
    card = await world.product(name="Own stock")
    await world.stock(card.skus[0].id, 5)
    poison = await world.paid(card.skus[0].listing.id, contact="13700137000")
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update shop_order set contact = '\\x00' where id = $1", poison.id)
    others = [await world.paid(card.skus[0].listing.id, contact=f"138{number:08d}") for number in range(3)]
    others.append(await world.paid(product.skus[0].listing.id, contact="13900139000"))
    await settle(world)
    assert [await order_state(world, order.id) for order in others] == ["delivered"] * 4, "served beside it at once"
    tries = await _until_given_up(world, "fulfillment.deliver")
    assert tries == 12
    assert await order_state(world, poison.id) == "paid"
    case = await world.rows("select kind, facts from staff_case where order_id = $1 and state = 'open'", poison.id)
    assert [row["kind"] for row in case] == ["work_failed"]
    later = await world.bought(card.skus[0].listing.id, contact="13600136000")
    assert await order_state(world, later.id) == "delivered"


async def _until_given_up(world: World, kind: str) -> int:
    """Let time pass for a task that fails until nobody tries it any more; how often it was tried."""
    for _ in range(100):
        rows = await world.rows("select state, attempts from task where kind = $1", kind)
        if [row["state"] for row in rows] == ["failed"]:
            return int(rows[0]["attempts"])
        await make_due(world, kind)
        await world.work(Lane.ORDERS, Lane.QUESTIONS)
    raise AssertionError("it is tried for ever")


@pytest.mark.case("B16")
async def test_a_question_that_fails_for_ever_is_a_persons_too(
    world: World, companies: list[SupplierSimulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await source(world, companies[0])
    product = await routed(world, first)
    companies[0].script({"drop": True}, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)

    async def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(asking, "_ask", breaks)
    assert await _until_given_up(world, "fulfillment.ask") == 60
    case = await world.rows("select kind from staff_case where order_id = $1 and state = 'open'", placed.id)
    assert [row["kind"] for row in case] == ["work_failed"]
    assert await attempt_states(world, placed.id) == ["unknown"], "and it is bought by nobody else"


async def test_a_buyer_who_waits_is_bought_for_before_a_batch_that_was_there_first(
    world: World, companies: list[SupplierSimulator]
) -> None:
    """Counted at the company: of forty purchases of a batch and one of a buyer, planned last, the buyer's is among the first."""
    first = await source(world, companies[0])
    product = await routed(world, first)
    listing = product.skus[0].listing.id
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update supplier_connection set calls_at_once = 2, is_on = false where id = $1", first.connection_id)
    batch = [await world.paid(listing, 10, contact=f"138{number:08d}") for number in range(4)]
    await _plan_as_batch(world, [order.id for order in batch], first)
    buyer = await world.paid(listing, contact="13900139000")
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update supplier_connection set is_on = true where id = $1", first.connection_id)
    await settle(world)
    assert {await order_state(world, order.id) for order in (*batch, buyer)} == {"delivered"}
    bought = [effect["out_no"] for effect in reversed(companies[0].book()["effects"])]
    ours = [row["out_no"] for row in await world.rows("select out_no from attempt order by priority, id")]
    in_order = [out_no for out_no in bought if out_no in ours]
    assert len(in_order) == 41
    mine = await world.value("select out_no from attempt where order_id = $1", buyer.id)
    assert in_order.index(mine) < 8, "before all of the batch but what was on its way"


async def _plan_as_batch(world: World, order_ids: list[object], one: Source) -> None:
    """Plan what is owed of orders behind the buyers who wait."""
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update supplier_connection set is_on = true where id = $1", one.connection_id)
        await tx.execute("delete from task where kind = 'fulfillment.deliver' and subject_id = any($1)", order_ids)
        await attempts.plan(tx, await tx.fetch(_UNITS, order_ids))
        await tx.execute("update supplier_connection set is_on = false where id = $1", one.connection_id)


_UNITS = """
select u.order_id, u.order_line_id, u.unit_no, u.sku_id, u.amount_minor as worth_minor, o.paid_at,
       null::bigint as value_minor, null as value_currency, 1 as priority
from delivery_unit u join shop_order o on o.id = u.order_id
where u.order_id = any($1)
"""
