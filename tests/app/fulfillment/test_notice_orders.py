"""Five messages about one purchase in each of their 120 orders: two genuine and one repeated, one forged, one that is of another purchase.

A message is only ever a hint, so what counts is the first genuine one, whatever it claims: from then on the purchase stands as its company says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import permutations

import pytest

from app.fulfillment import buying, notices
from app.kernel.tasks import Lane
from tests.app.fulfillment.noticing import FAILED, PROCESSING, PROTOCOL, SUCCEEDED, Teller, teller
from tests.app.fulfillment.supply import Source, routed, settle, source
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
MESSAGES = ("processing", "decided", "decided again", "forged", "stranger's")
GENUINE = frozenset(MESSAGES[:3])
ORDERS = tuple(permutations(MESSAGES))
AN_ORDER = 60
"""Units of one order: one purchase each."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SupplierSimulator]]:
    with ExitStack() as stack:
        yield [stack.enter_context(supplier_simulator(tmp_path_factory.mktemp(name), name)) for name in (PROTOCOL, "tango")]


@pytest.fixture
def pair(both: list[SupplierSimulator]) -> Iterator[tuple[SupplierSimulator, SupplierSimulator]]:
    """The company that tells, which here says nothing by itself, and another to fail over to."""
    first, second = both
    first.clear_script()
    first.script({"before": "drop"}, on="notice")
    yield first, second
    buying._pumps.clear()


@dataclass(frozen=True)
class Told:
    """One purchase and what is said about it: by its company, by forgers, through connections that are not its own, under another number of theirs."""

    out_no: str
    ref: str
    ours: Teller
    others: Sequence[Teller]
    truth: str

    async def say(self, world: World, message: str) -> None:
        lie = FAILED if self.truth == SUCCEEDED else SUCCEEDED
        match message:
            case "processing":
                assert await self.ours.hear(world, self.ours.message(self.out_no, PROCESSING, ref=self.ref)) == 200
            case "forged":
                forged = self.ours.message(self.out_no, lie, ref=self.ref, key="x" * 32)
                assert await self.ours.hear(world, forged) == 401
            case "stranger's":
                for other in self.others:
                    body = other.message(self.out_no, lie, ref=self.ref)
                    assert await other.hear(world, body) == 200, "genuine at its own address, and of no purchase made there"
                    assert await self.ours.hear(world, body) == 401
                mixed_up = self.ours.message(self.out_no, lie, ref=f"9{self.ref}")
                assert await self.ours.hear(world, mixed_up) == 200, (
                    "genuine, and of another purchase by the company's own number"
                )
            case _:
                assert await self.ours.hear(world, self.ours.message(self.out_no, self.truth, ref=self.ref)) == 200


async def bought(
    world: World, pair: tuple[SupplierSimulator, SupplierSimulator], truth: str, *, most: int = len(ORDERS)
) -> tuple[list[Told], list[Source]]:
    """A purchase for each order of the messages, taken in by its company and decided there, which we have not heard yet."""
    first, second = await teller(world, pair[0]), await source(world, pair[1])
    strangers = [await teller(world, pair[0]), await teller(world, pair[0], tenant=await world.new_tenant("Other"))]
    product = await routed(world, first, second)
    if truth == FAILED:
        pair[0].script({"decision": "failure"}, on="place")
    for start in range(0, most, AN_ORDER):
        await world.paid(product.skus[0].listing.id, min(AN_ORDER, most - start), contact=f"138{start:08d}")
    await world.work(Lane.ORDERS)
    while await world.value("select exists (select 1 from attempt where state in ('planned', 'sending'))"):
        await world.work(Lane.SUPPLY)
    await world.rows("update task set run_at = now() + interval '1 day' where kind = 'fulfillment.ask' returning id")
    rows = await world.rows("select out_no, supplier_ref, state from attempt order by out_no")
    assert Counter(row["state"] for row in rows) == {"accepted": most}
    return [Told(row["out_no"], row["supplier_ref"], first, strangers, truth) for row in rows], [first, second]


async def standing(world: World) -> dict[str, str]:
    return {row["out_no"]: row["state"] for row in await world.rows("select out_no, state from attempt")}


@pytest.mark.case("B06")
@pytest.mark.parametrize(("truth", "end"), [(SUCCEEDED, "succeeded"), (FAILED, "failed")])
async def test_five_messages_in_each_of_their_orders_end_as_the_first_genuine_one_finds_it(
    world: World, pair: tuple[SupplierSimulator, SupplierSimulator], truth: str, end: str
) -> None:
    told, sources = await bought(world, pair, truth)
    before = [one.totals()["effects"] for one in sources]
    for turn in range(len(MESSAGES)):
        for one, order in zip(told, ORDERS, strict=True):
            await one.say(world, order[turn])
        await settle(world)
        found = await standing(world)
        for one, order in zip(told, ORDERS, strict=True):
            expected = end if GENUINE & set(order[: turn + 1]) else "accepted"
            assert found[one.out_no] == expected, order[: turn + 1]
    assert await world.value("select count(*) from attempt where state = 'succeeded'") == len(ORDERS)
    assert await world.value("select count(*) from delivery_unit where state = 'delivered'") == len(ORDERS)
    elsewhere = 0 if truth == SUCCEEDED else len(ORDERS)
    assert [one.totals()["effects"] - was for one, was in zip(sources, before, strict=True)] == [0, elsewhere]


@pytest.mark.case("B06")
@pytest.mark.parametrize(
    "unbound",
    [
        "select id from attempt where out_no = $1 and $2::uuid is not null and coalesce(supplier_ref = $3, true)",
        "select id from attempt where out_no = $1 and connection_id = $2 and coalesce($3::text is not null, true)",
    ],
    ids=["to its connection", "to their number"],
)
async def test_red_where_a_message_is_not_bound_to_its_purchase_a_stranger_has_it_asked_about(
    world: World, pair: tuple[SupplierSimulator, SupplierSimulator], monkeypatch: pytest.MonkeyPatch, unbound: str
) -> None:
    (one,), _ = await bought(world, pair, SUCCEEDED, most=1)
    await one.say(world, "stranger's")
    await settle(world)
    assert await standing(world) == {one.out_no: "accepted"}
    monkeypatch.setattr(notices, "_BY_OUR_NUMBER", unbound)
    await one.say(world, "stranger's")
    await settle(world)
    assert await standing(world) == {one.out_no: "succeeded"}
