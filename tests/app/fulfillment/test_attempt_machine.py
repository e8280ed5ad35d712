"""Purchases under any order of events, with real companies: replies lost, refused, untrue or late, questions, stops, and time going by.

Whatever happens, a unit is bought once: what the companies' books say was handed out is what our attempts say succeeded, nobody got two, and in the
end every paid order is delivered or refunded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from app.ordering.placing import Placed, SoldOut
from app.suppliers import health
from tenants.session import tenant_tx
from tests.app.fulfillment.supply import Source, make_due, refund, routed, settle, source
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
T = TypeVar("T")
_WAIT_S = 300
EXAMPLES, STEPS = 6, 12
_ROUNDS = 8
FAULTS = [
    {"drop": True},
    {"before": "drop"},
    {"http_500_after_effect": True},
    {"body": "html"},
    {"refuse": "out_of_stock"},
    {"refuse": "undocumented"},
    {"decision": "failure"},
    {"misstate": "other_order"},
]
WHICH = st.integers(0, 1)


class AttemptMachine(RuleBasedStateMachine):
    """One SKU that two companies deliver."""

    world: World
    loop: asyncio.AbstractEventLoop
    companies: list[SupplierSimulator]

    def run_in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_WAIT_S)

    @initialize()
    def open_shop(self) -> None:
        self.heal()
        self.orders: list[Placed] = []
        self.sources: list[Source] = [self.run_in_loop(source(self.world, company)) for company in self.companies]
        product = self.run_in_loop(routed(self.world, *self.sources))
        self.listing_id = product.skus[0].listing.id

    @rule(units=st.integers(1, 2))
    def buy(self, units: int) -> None:
        self.run_in_loop(self._buy(units))

    async def _buy(self, units: int) -> None:
        try:
            self.orders.append(await self.world.paid(self.listing_id, units, contact=f"138{len(self.orders):08d}"))
        except SoldOut:
            return

    @rule(which=WHICH, fault=st.sampled_from(FAULTS), on=st.sampled_from(["place", "place", "query"]), times=st.integers(1, 3))
    def fail(self, which: int, fault: dict[str, Any], on: str, times: int) -> None:
        self.companies[which].script(fault, on=on, times=times)

    @rule(which=WHICH)
    def claim_to_know_nothing(self, which: int) -> None:
        self.companies[which].script({"not_found": True}, on="query", times=2)

    @rule(which=WHICH, is_stopped=st.booleans())
    def stop_or_restore(self, which: int, is_stopped: bool) -> None:
        self.run_in_loop(self._stop_or_restore(self.sources[which], is_stopped))

    async def _stop_or_restore(self, one: Source, is_stopped: bool) -> None:
        async with tenant_tx(self.world.tenant) as tx:
            await (health.trip if is_stopped else health.restore)(tx, one.connection_id, actor=STAFF)

    @rule()
    def work(self) -> None:
        self.run_in_loop(settle(self.world))

    @rule()
    def ask(self) -> None:
        self.run_in_loop(make_due(self.world))
        self.work()

    @rule()
    def let_the_grace_pass(self) -> None:
        self.run_in_loop(
            self._age("attempt set sent_at = sent_at - interval '20 minutes' where state in ('accepted', 'unknown')")
        )
        self.ask()

    async def _age(self, what: str) -> None:
        async with tenant_tx(self.world.tenant) as tx:
            await tx.execute(f"update {what}")

    @invariant()
    def nobody_is_served_twice(self) -> None:
        twice = "select count(*) from (select 1 from attempt where state = 'succeeded' group by order_line_id, unit_no having count(*) > 1) t"
        assert self.run_in_loop(self.world.value(twice)) == 0

    def heal(self) -> None:
        for company in self.companies:
            company.clear_script()

    def teardown(self) -> None:
        """Everybody answers truly again: what was open is decided, and the companies' books are what ours say."""
        if not hasattr(self, "orders"):
            return
        self.heal()
        for one in self.sources:
            self.run_in_loop(self._stop_or_restore(one, is_stopped=False))
        for _ in range(_ROUNDS):
            self.let_the_grace_pass()
            for kind in ("fulfillment.deliver", "fulfillment.buy"):
                self.run_in_loop(make_due(self.world, kind))
            self.work()
            if not self.run_in_loop(self._open_orders()):
                break
        self.run_in_loop(refund(self.world))
        self.run_in_loop(self._compare())

    async def _open_orders(self) -> list[dict[str, Any]]:
        """The orders of this run that are not over, each with what became of its purchases."""
        return await self.world.rows(_OPEN, [order.id for order in self.orders])

    async def _compare(self) -> None:
        assert await self._open_orders() == []
        ours = {
            row["out_no"]
            for row in await self.world.rows("select out_no from attempt where state in ('succeeded', 'succeeded_late')")
        }
        tried = {row["out_no"] for row in await self.world.rows("select out_no from attempt")}
        theirs = [
            effect["out_no"] for company in self.companies for effect in company.book()["effects"] if effect["out_no"] in tried
        ]
        assert sorted(theirs) == sorted(ours)
        await self.world.assert_books_balance(self.world.tenant)


_OPEN = """
select o.id, o.state, (
  select string_agg(concat_ws(' ', a.unit_no, a.seq, a.state, a.reason, a.says), '; ' order by a.unit_no, a.seq) from attempt a where a.order_id = o.id
) as attempts
from shop_order o
where o.id = any($1) and o.state not in ('delivered', 'refunded', 'partly_delivered')
"""


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SupplierSimulator]]:
    with ExitStack() as stack:
        yield [stack.enter_context(supplier_simulator(tmp_path_factory.mktemp(name), "tango")) for name in ("a", "b")]


def machine_of(world: World, companies: list[SupplierSimulator]) -> type[AttemptMachine]:
    """The machine, in this world and its loop."""
    return type("Machine", (AttemptMachine,), {"world": world, "loop": asyncio.get_running_loop(), "companies": companies})


async def test_every_fault_alone_ends_well(world: World, companies: list[SupplierSimulator]) -> None:
    """What chance may leave out of the runs below."""
    machine = machine_of(world, companies)()
    await asyncio.to_thread(_one_after_the_other, machine)


def _one_after_the_other(machine: AttemptMachine) -> None:
    machine.open_shop()
    for fault in FAULTS:
        machine.fail(0, fault, "place", 1)
        machine.buy(1)
        machine.work()
        machine.stop_or_restore(0, is_stopped=False)
    machine.teardown()


async def test_purchases_hold_under_any_order_of_events(world: World, companies: list[SupplierSimulator]) -> None:
    machine = machine_of(world, companies)
    chosen = settings(
        database=None,
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=chosen)
