"""One SKU that two companies deliver, of which one tells of its purchases by itself, and people who lay hands on them: whatever happens, in any order.

What each step answers is compared with what it has to; what all of them come to is compared with the companies' own books at the end of a run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.fulfillment import attempts, overriding, reissuing, showing
from app.fulfillment.reissuing import UnitOf
from app.kernel import links
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import DomainError
from app.ordering.placing import Placed, SoldOut
from app.payments import refunding
from app.suppliers import health
from tenants.session import tenant_tx
from tests.app.fulfillment.noticing import FAILED, PROCESSING, SUCCEEDED, Teller, teller
from tests.app.fulfillment.supply import Source, make_due, refund, routed, settle, source
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

T = TypeVar("T")
Verb = Callable[..., Awaitable[Any]]
Row = dict[str, Any]
_WAIT_S = 300
_ROUNDS = 8
FAULTS: list[Row] = [
    {"drop": True},
    {"before": "drop"},
    {"http_500_after_effect": True},
    {"body": "html"},
    {"refuse": "out_of_stock"},
    {"refuse": "undocumented"},
    {"decision": "failure"},
    {"misstate": "other_order"},
]
DISTURBANCES: list[Row] = [
    {"repeat": 2},
    {"reorder": True},
    {"delay_ms": 200},
    {"before": "drop"},
    {"forge": "signature"},
    {"forge": "other_client"},
]
COLLEAGUE = Actor(ActorKind.STAFF, UUID(int=8), "Lin")
WHY = "The buyer says so"
WHICH, PICK = st.integers(0, 1), st.integers(0, 40)
SPEAKERS = ("the company", "a forger", "another connection", "another merchant")
has_orders = precondition(lambda self: bool(self.orders))


class AttemptMachine(RuleBasedStateMachine):
    """The first company tells of its purchases, the second does not. Strangers are another connection of the merchant's, and another merchant's."""

    world: World
    loop: asyncio.AbstractEventLoop
    companies: list[SupplierSimulator]
    strangers: list[Teller]

    def run_in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_WAIT_S)

    @initialize()
    def open_shop(self) -> None:
        self.heal()
        self.orders: list[Placed] = []
        self.liars: set[UUID] = set()
        """Connections whose company denied what it may have sold."""
        self.told = self.run_in_loop(teller(self.world, self.companies[0]))
        self.sources: list[Source] = [self.told, self.run_in_loop(source(self.world, self.companies[1]))]
        product = self.run_in_loop(routed(self.world, *self.sources))
        self.listing_id = product.skus[0].listing.id

    # What buyers and companies do.

    @rule(units=st.integers(1, 2))
    def buy(self, units: int) -> None:
        self.run_in_loop(self._buy(units))

    @rule(which=WHICH, fault=st.sampled_from(FAULTS))
    def buy_where_it_fails(self, which: int, fault: Row) -> None:
        self.companies[which].script(fault, on="place", times=1)
        self.stop_or_restore(1 - which, is_stopped=True)
        self.buy(1)
        self.work()
        self.stop_or_restore(1 - which, is_stopped=False)

    async def _buy(self, units: int) -> None:
        try:
            self.orders.append(await self.world.paid(self.listing_id, units, contact=f"138{len(self.orders):08d}"))
        except SoldOut:
            return

    @rule(which=WHICH, fault=st.sampled_from(FAULTS), on=st.sampled_from(["place", "place", "query"]), times=st.integers(1, 3))
    def fail(self, which: int, fault: Row, on: str, times: int) -> None:
        self.companies[which].script(fault, on=on, times=times)

    @rule(which=WHICH)
    def claim_to_know_nothing(self, which: int) -> None:
        self.companies[which].script({"not_found": True}, on="query", times=2)
        self.liars.add(self.sources[which].connection_id)

    @rule(which=WHICH, is_stopped=st.booleans())
    def stop_or_restore(self, which: int, is_stopped: bool) -> None:
        verb = health.trip if is_stopped else health.restore
        assert self.act(verb, self.sources[which].connection_id, actor=STAFF) == "done"

    # What time brings.

    @rule()
    def work(self) -> None:
        self.run_in_loop(settle(self.world))

    @rule()
    def ask(self) -> None:
        self.run_in_loop(make_due(self.world))
        self.work()

    @rule()
    def let_the_grace_pass(self) -> None:
        aged = "update attempt set sent_at = sent_at - interval '20 minutes' where state in ('accepted', 'unknown') returning id"
        self.rows(aged)
        self.ask()

    # What is said about purchases.

    @rule(disturbance=st.sampled_from(DISTURBANCES))
    def disturb_the_next_message(self, disturbance: Row) -> None:
        self.companies[0].script(disturbance, on="notice", times=1)

    @has_orders
    @rule(
        pick=PICK,
        claim=st.sampled_from([PROCESSING, SUCCEEDED, FAILED]),
        speaker=st.sampled_from(SPEAKERS),
        is_at_home=st.booleans(),
    )
    def tell(self, pick: int, claim: str, speaker: str, is_at_home: bool) -> None:
        """A message about any purchase at the first company's address, or elsewhere. Genuine or not, it changes nothing by itself."""
        if (row := self.picked(pick)) is None:
            return
        before, by = self.stands(), self._speaker(speaker)
        key = "x" * 32 if speaker == "a forger" else by.key
        home = self.told if is_at_home else by
        elsewhere = self.sources[1].connection_id if home is self.told and not is_at_home else None
        body = by.message(row["out_no"], claim, ref=row["supplier_ref"] or "", key=key)
        is_genuine = speaker != "a forger" and home is by and elsewhere is None
        assert self.run_in_loop(home.hear(self.world, body, connection_id=elsewhere)) == (200 if is_genuine else 401)
        assert self.stands() == before
        if is_genuine and by is self.told and row["connection_id"] == self.told.connection_id:
            due = "select 1 from task where kind = 'fulfillment.ask' and subject_id = $1 and run_at <= now()"
            assert self.rows(due, row["id"]), "a genuine message has its purchase asked about"

    def _speaker(self, name: str) -> Teller:
        return self.strangers[SPEAKERS.index(name) - 2] if name.startswith("another") else self.told

    @has_orders
    @rule(
        pick=PICK,
        times=st.integers(1, 3),
        forge=st.sampled_from([None, "signature", "body", "other_client"]),
        is_at_home=st.booleans(),
    )
    def say_again(self, pick: int, times: int, forge: str | None, is_at_home: bool) -> None:
        """The first company sends what it has said of a purchase once more, late as it is, true or not, here or to another merchant's address."""
        if (row := self.picked(pick)) is None:
            return
        before, stranger = self.stands(), self.strangers[1]
        address = links.supply_notice(stranger.tenant, stranger.connection_id)
        found = self.companies[0].replay(
            row["out_no"], times=times, url=None if is_at_home else address, forge={"forge": forge} if forge else None
        )
        assert set(found) <= {200 if forge is None and is_at_home else 401}
        assert self.stands() == before

    # What people do by hand.

    @has_orders
    @rule(pick=PICK)
    def ask_by_hand(self, pick: int) -> None:
        if row := self.picked(pick):
            assert self.act(showing.ask, row["order_id"], row["id"], actor=STAFF) in ("done", "NothingToAsk")

    @has_orders
    @rule(pick=PICK, verb=st.sampled_from([overriding.send_again, overriding.mark_failed]))
    def decide_alone(self, pick: int, verb: Verb) -> None:
        """One person, on the supplier's fresh word: only of what it did not sell, unless it lied."""
        if (row := self.picked(pick, is_undecided=True)) is None:
            return
        answer = self.act(verb, row["order_id"], row["id"], actor=STAFF)
        if answer != "done":
            assert answer in ("NotUndecided", "NoFreshAnswer", "InGrace")
            return
        assert row["times_asked"], "it was never asked about"
        sold = [company.effects(row["out_no"]) for company in self.companies]
        assert sold == [0, 0] or row["connection_id"] in self.liars

    @has_orders
    @rule(pick=PICK, is_approved=st.booleans(), is_alone=st.booleans())
    def decide_in_twos(self, pick: int, is_approved: bool, is_alone: bool) -> None:
        """Two people's word, or one's who would be both."""
        if (row := self.picked(pick, is_undecided=True)) is None:
            return
        about, verb = (row["order_id"], row["id"]), overriding.approve if is_approved else overriding.decline
        proposed = self.act(overriding.propose, *about, reason=WHY, actor=STAFF)
        assert (proposed == "NotUndecided") == (row["state"] not in ("accepted", "unknown"))
        answer = self.act(verb, *about, actor=STAFF if is_alone else COLLEAGUE)
        expected = "NotUndecided" if proposed == "NotUndecided" else "SamePerson" if is_alone else "done"
        assert answer == expected

    @has_orders
    @rule(pick=PICK)
    def refund_by_hand(self, pick: int) -> None:
        order = self.orders[-1 - pick % len(self.orders)]
        answer = self.act(refunding.refund_by_merchant, order.id, reason=WHY, actor=STAFF)
        assert answer in ("done", "BeingBought", "NothingToRefund")

    @has_orders
    @rule(pick=PICK, verb=st.sampled_from([reissuing.take_back, reissuing.take_back, reissuing.give_back]))
    def take_back_by_hand(self, pick: int, verb: Verb) -> None:
        """Something else is owed for what was no good, or its money."""
        if units := self.rows(_DELIVERED, self.order_ids()):
            unit = UnitOf(**units[pick % len(units)])
            assert self.act(verb, unit, reason=WHY, actor=STAFF) in ("done", "NotDelivered", "BeingRefunded")

    # What always holds.

    @invariant()
    def nobody_is_served_twice(self) -> None:
        assert self.rows(_SERVED_TWICE) == []

    @invariant()
    def no_money_is_on_its_way_back_while_goods_may_be_coming(self) -> None:
        assert self.rows(_BOTH) == []

    # Looking, acting and ending.

    def rows(self, query: str, *given: Any) -> list[Row]:
        return self.run_in_loop(self.world.rows(query, *given))

    def act(self, verb: Verb, *given: Any, **more: Any) -> str:
        """Do something in a transaction; `done`, or the name of its refusal."""

        async def acting() -> str:
            try:
                async with tenant_tx(self.world.tenant) as tx:
                    await verb(tx, *given, **more)
            except DomainError as refusal:
                return type(refusal).__name__
            return "done"

        return self.run_in_loop(acting())

    def order_ids(self) -> list[UUID]:
        return [order.id for order in self.orders]

    def picked(self, pick: int, *, is_undecided: bool = False) -> Row | None:
        """One of this run's attempts, if there are any; of those not decided rather than of the others, where that is wished."""
        rows = self.rows("select * from attempt where order_id = any($1) order by out_no", self.order_ids())
        open_ones = [row for row in rows if row["state"] in ("accepted", "unknown")] if is_undecided else []
        chosen = open_ones or rows
        return chosen[pick % len(chosen)] if chosen else None

    def stands(self) -> list[Row]:
        return self.rows(_STANDS, self.order_ids())

    def heal(self) -> None:
        for company in self.companies:
            company.clear_script()

    def teardown(self) -> None:
        """Everybody answers truly again: what was open is decided, late words are heard, and the companies' books are what ours say."""
        if not hasattr(self, "orders"):
            return
        self.heal()
        for which in range(len(self.sources)):
            self.stop_or_restore(which, is_stopped=False)
        self._until_all_is_over()
        for row in self.rows("select id, out_no from attempt where order_id = any($1) and times_sent > 0", self.order_ids()):
            self.companies[0].replay(row["out_no"])
            self.act(attempts.ask_now, row["id"])
        self._until_all_is_over()
        self.run_in_loop(refund(self.world))
        self.compare()

    def _until_all_is_over(self) -> None:
        for _ in range(_ROUNDS):
            self.let_the_grace_pass()
            for kind in ("fulfillment.deliver", "fulfillment.buy"):
                self.run_in_loop(make_due(self.world, kind))
            self.work()
            if not self.rows(_OPEN, self.order_ids()):
                break

    def compare(self) -> None:
        """Our books against theirs."""
        assert self.rows(_OPEN, self.order_ids()) == []
        assert self.rows(_NOT_ENDED, self.order_ids()) == []
        ours = self.rows("select out_no from attempt where state in ('succeeded', 'succeeded_late', 'replaced')")
        tried = {row["out_no"] for row in self.rows("select out_no from attempt")}
        sold = [effect["out_no"] for company in self.companies for effect in company.book()["effects"]]
        assert sorted(number for number in sold if number in tried) == sorted(row["out_no"] for row in ours)
        late = self.rows(_LATE, self.order_ids())
        assert [row for row in late if not row["is_overridden"] and row["connection_id"] not in self.liars] == []
        for row in self.rows(_GIVEN_BACK, self.order_ids()):
            refunds = self.world.gateway.book(row["payment_no"])["refunds"]
            assert sum(one["amount_minor"] for one in refunds if one["state"] == "succeeded") == row["minor"]
        self.run_in_loop(self.world.assert_books_balance(self.world.tenant))


_STANDS = """
select u.order_line_id, u.unit_no, u.state, o.state as order_state, (
  select string_agg(a.seq || ' ' || a.state, ', ' order by a.seq) from attempt a where a.order_line_id = u.order_line_id and a.unit_no = u.unit_no
) as attempts
from delivery_unit u join shop_order o on o.id = u.order_id
where o.id = any($1)
order by 1, 2
"""
_DELIVERED = """
select order_id, order_line_id, unit_no from delivery_unit where order_id = any($1) and state = 'delivered' order by order_line_id, unit_no
"""
_SERVED_TWICE = "select 1 from attempt where state = 'succeeded' group by order_line_id, unit_no having count(*) > 1"
_BOTH = """
select a.out_no, a.state, u.state as unit_state
from delivery_unit u join attempt a on a.order_line_id = u.order_line_id and a.unit_no = u.unit_no
where u.state in ('refunding', 'refunded') and a.state in ('planned', 'sending', 'accepted', 'unknown')
"""
_OPEN = """
select o.id, o.state, (
  select string_agg(concat_ws(' ', a.unit_no, a.seq, a.state, a.reason, a.says), '; ' order by a.unit_no, a.seq) from attempt a where a.order_id = o.id
) as attempts
from shop_order o
where o.id = any($1) and o.state not in ('delivered', 'refunded', 'refunding', 'partly_delivered')
"""
_NOT_ENDED = """
select u.order_id, u.unit_no, u.state from delivery_unit u where u.order_id = any($1) and u.state not in ('delivered', 'refunded')
"""
_LATE = """
select a.out_no, a.connection_id, exists (select 1 from attempt_override v where v.attempt_id = a.id and v.state = 'approved') as is_overridden
from attempt a where a.order_id = any($1) and a.state = 'succeeded_late'
"""
_GIVEN_BACK = """
select p.payment_no, sum(u.amount_minor) filter (where u.state = 'refunded')::bigint as minor
from payment p join capture c on c.payment_id = p.id join delivery_unit u on u.order_id = p.order_id
where p.order_id = any($1)
group by p.payment_no
having count(*) filter (where u.state = 'refunded') > 0
"""
