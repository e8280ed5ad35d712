"""Stock under any order of events, on the real database: a machine that imports, sells, voids, quarantines, expires and refunds as it likes.

After each step it asks INV-1 (one live delivery per key), INV-2 (each paid unit delivered or refunded, never both) and INV-3 (the counters are
what the rows say, and add up).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from app.fulfillment import service as fulfillment
from app.inventory import quarantining
from app.inventory import service as inventory
from app.kernel import clock
from app.ordering import service as ordering
from app.ordering.placing import Placed, SoldOut
from app.payments import refunding
from app.payments import service as payments
from app.payments.refunding import NothingToRefund
from tenants.directory import Tenant
from tenants.session import AWAY, tenant_session, tenant_tx
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
T = TypeVar("T")
_WAIT_S = 60
EXAMPLES, STEPS = 12, 25
WHICH = st.integers(0, 9)


class StockMachine(RuleBasedStateMachine):
    """A SKU and a buyer of its own in each run. `orders` are all it placed; `unpaid` those the gateway has not been paid for."""

    world: World
    loop: asyncio.AbstractEventLoop

    def run_in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_WAIT_S)

    @initialize(n=st.integers(1, 4), quantity=st.integers(1, 3))
    def open_shop(self, n: int, quantity: int) -> None:
        self.orders: list[Placed] = []
        self.unpaid: list[Placed] = []
        self.batches: list[str] = []
        self.tenant: Tenant = self.world.tenant
        self.buyer = f"138{secrets.randbelow(10**8):08d}"
        product = self.run_in_loop(self.world.product(name=f"Machine {secrets.token_hex(4)}"))
        self.sku_id: UUID = product.skus[0].id
        self.listing_id: UUID = product.skus[0].listing.id
        self.import_keys(n, 3)
        self.reserve(quantity)

    @rule(n=st.integers(1, 4), days=st.sampled_from([None, 0, 3]))
    def import_keys(self, n: int, days: int | None) -> None:
        keys = [f"KEY-{secrets.token_hex(8)}" for _ in range(n)]
        last = None if days is None else clock.business_day() + timedelta(days=days)
        self.batches.append(self.run_in_loop(self.world.stock(self.sku_id, keys, tenant=self.tenant, expires_on=last)))

    @rule(quantity=st.integers(1, 3))
    def reserve(self, quantity: int) -> None:
        self.run_in_loop(self._reserve(quantity))

    async def _reserve(self, quantity: int) -> None:
        try:
            placed = await self.world.order(self.listing_id, quantity, contact=self.buyer, tenant=self.tenant)
        except SoldOut:
            return
        await payments.open_payment(self.tenant, placed.id)
        self.orders.append(placed)
        self.unpaid.append(placed)

    @precondition(lambda self: self.unpaid)
    @rule(which=WHICH)
    def let_expire(self, which: int) -> None:
        self.run_in_loop(self._let_expire(self.unpaid[which % len(self.unpaid)]))

    async def _let_expire(self, order: Placed) -> None:
        async with tenant_tx(self.tenant) as tx:
            await tx.execute("update shop_order set expires_at = now() - interval '1 second' where id = $1", order.id)
            await ordering.expire_unpaid(tx)

    @precondition(lambda self: self.unpaid)
    @rule(which=WHICH)
    def pay(self, which: int) -> None:
        """On time or late: the gateway takes the money of an order that has meanwhile expired, too."""
        order = self.unpaid[which % len(self.unpaid)]
        self.unpaid.remove(order)
        self.run_in_loop(self._pay(order))

    async def _pay(self, order: Placed) -> None:
        async with tenant_tx(self.tenant) as tx:
            payment_no = await tx.fetchval("select payment_no from payment where order_id = $1", order.id)
        await asyncio.to_thread(self.world.gateway.pay, payment_no)
        await self.world.ask_gateway(order, tenant=self.tenant)

    @rule(quantity=st.integers(1, 3), is_delivered=st.booleans())
    def buy(self, quantity: int, is_delivered: bool) -> None:
        before = len(self.unpaid)
        self.reserve(quantity)
        if len(self.unpaid) > before:
            self.pay(before)
        if is_delivered:
            self.work()

    @rule()
    def work(self) -> None:
        """Claims, deliveries and refunds that are due."""
        self.run_in_loop(self.world.work(tenant=self.tenant))

    @rule()
    def crash(self) -> None:
        """A worker dies with its keys claimed and its transaction open; the server rolls it back, another goes on later."""
        self.run_in_loop(self._crash())

    async def _crash(self) -> None:
        paid = await self.world.rows("select id from shop_order where state = 'paid'", tenant=self.tenant)
        with contextlib.suppress(*AWAY):
            async with tenant_tx(self.tenant) as tx:
                await fulfillment.deliver_orders(tx, [row["id"] for row in paid])
                tx.connection.terminate()

    @rule()
    def void(self) -> None:
        self.run_in_loop(self._void())

    async def _void(self) -> None:
        rows = await self.world.rows("select id from card_key where state = 'free' order by pos limit 1", tenant=self.tenant)
        async with tenant_session(self.tenant) as session:
            for row in rows:
                await inventory.void_key(session, card_key_id=row["id"], reason="torn", actor=STAFF)

    @rule(which=WHICH, stop=st.booleans())
    def quarantine_or_release(self, which: int, stop: bool) -> None:
        self.run_in_loop(self._turn(self.batches[which % len(self.batches)], stop=stop))

    async def _turn(self, batch_no: str, *, stop: bool) -> None:
        verb = quarantining.quarantine if stop else quarantining.unquarantine
        async with tenant_session(self.tenant) as session:
            await verb(session, batch_no=batch_no, reason="supplier says so", actor=STAFF)

    @rule(which=WHICH, is_tidied=st.booleans())
    def days_pass(self, which: int, is_tidied: bool) -> None:
        """The keys of a batch are past their last day; whether they were taken off the shelf yet or not, none is delivered."""
        self.run_in_loop(self._days_pass(self.batches[which % len(self.batches)], is_tidied=is_tidied))

    async def _days_pass(self, batch_no: str, *, is_tidied: bool) -> None:
        async with tenant_tx(self.tenant) as tx:
            await tx.execute(_PAST, batch_no, clock.business_day() - timedelta(days=1))
            await tx.execute("update stock set turns_on = business_day() where sku_id = $1", self.sku_id)
            if is_tidied:
                await inventory.expire_keys(tx)

    @precondition(lambda self: self.orders)
    @rule(which=WHICH)
    def refund(self, which: int) -> None:
        self.run_in_loop(self._refund(self.orders[which % len(self.orders)]))

    async def _refund(self, order: Placed) -> None:
        try:
            async with tenant_tx(self.tenant) as tx:
                await refunding.refund_by_merchant(tx, order.id, reason="asked for", actor=STAFF)
        except NothingToRefund:
            return

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "sku_id"):
            self.run_in_loop(self._check())

    async def _check(self) -> None:
        async with tenant_tx(self.tenant) as tx:
            for name, query in _NEVER.items():
                assert await tx.fetch(query, self.sku_id) == [], name
            for row in await tx.fetch(_COUNTED, self.sku_id):
                assert row["counters"] == row["counted"], row

    def teardown(self) -> None:
        if hasattr(self, "sku_id"):
            self.run_in_loop(self._end())

    async def _end(self) -> None:
        """Whatever happened, once the work is done nothing paid is left open, and the books balance."""
        await self.world.work(tenant=self.tenant)
        await self._check()
        open_orders = await self.world.rows(
            "select order_no, state from shop_order where state in ('paid', 'refunding')", tenant=self.tenant
        )
        assert open_orders == []
        await self.world.assert_books_balance(self.tenant)


@pytest.mark.case("A11", "A13")
async def test_stock_is_right_whatever_happens(world: World) -> None:
    StockMachine.world, StockMachine.loop = world, asyncio.get_running_loop()
    checks = list(HealthCheck)
    chosen = settings(
        database=None,
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=checks,
        print_blob=True,
    )
    await asyncio.to_thread(run_state_machine_as_test, StockMachine, settings=chosen)


_PAST = """
update card_key k set expires_on = $2
from import_batch b
where b.batch_no = $1 and k.batch_id = b.id and k.state in ('free', 'quarantined') and b.expires_on < '9999-12-31'
"""
_NEVER = {
    "INV-1: two live deliveries of one key": """
select card_key_id from delivery_unit where sku_id = $1 and state = 'delivered' group by card_key_id having count(*) > 1
""",
    "INV-1: a delivered unit whose key is not delivered": """
select u.card_key_id from delivery_unit u left join card_key k on k.id = u.card_key_id
where u.sku_id = $1 and u.state = 'delivered' and k.state is distinct from 'delivered'
""",
    "a key delivered after its last day": "select id from card_key where sku_id = $1 and state = 'delivered' and expires_on < (now() at time zone 'Asia/Shanghai')::date",
    "INV-2: an ended line whose units are neither delivered nor refunded": """
select l.id from order_line l join shop_order o on o.id = l.order_id
where l.sku_id = $1 and o.state in ('delivered', 'partly_delivered', 'refunded')
  and l.quantity <> (select count(*) from delivery_unit u where u.order_line_id = l.id and u.state in ('delivered', 'refunded'))
""",
    "INV-2: unit numbers with a gap": """
select l.id from order_line l join delivery_unit u on u.order_line_id = l.id
where l.sku_id = $1
group by l.id, l.quantity having count(*) <> l.quantity or min(u.unit_no) <> 1 or max(u.unit_no) <> l.quantity
""",
    "INV-3: counters that do not add up": """
select * from stock
where sku_id = $1
  and (imported + short <> available + reserved + delivered + voided + quarantined + expired
    or least(available, reserved, delivered, voided, quarantined, expired, short) < 0 or (available > 0 and short > 0))
""",
}
_COUNTED = """
select array[s.imported, s.delivered, s.voided, s.quarantined, s.expired, s.reserved, s.available - s.short] as counters,
       array[count(k.id), count(*) filter (where k.state = 'delivered'), count(*) filter (where k.state = 'voided'),
             count(*) filter (where k.state = 'quarantined'), count(*) filter (where k.state = 'expired'), r.units,
             count(*) filter (where k.state = 'free') - r.units] as counted
from stock s left join card_key k on k.sku_id = s.sku_id
cross join lateral (select count(*) as units from delivery_unit u where u.sku_id = s.sku_id and u.state in ('reserved', 'owed')) r
where s.sku_id = $1
group by s.sku_id, r.units
"""
