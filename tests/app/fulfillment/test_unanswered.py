"""What nobody can say, and what came wrong, is a person's to see until the answer is there; counted at the companies' books."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from uuid import UUID

import pytest

from app.fulfillment import buying, outcomes
from app.fulfillment.outcomes import Answer
from app.suppliers import service as suppliers
from app.suppliers.connectors.port import Delivered, Issued
from app.suppliers.models import RoutePolicy
from app.suppliers.service import RouteTerms
from tenants.session import Tx, tenant_session, tenant_tx
from tests.app.fulfillment.supply import attempt_states, make_due, order_state, out_numbers, routed, settle, source
from tests.app.staff import Staff, staff
from tests.app.suppliers.linked import linked, on
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
NOBODY_KNOWS = "Nobody can say whether a supplier delivered"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SupplierSimulator]]:
    with ExitStack() as stack:
        names = (("first", "tango"), ("second", "tango"), ("third", "kasushou"))
        yield [stack.enter_context(supplier_simulator(tmp_path_factory.mktemp(name), speaks)) for name, speaks in names]


@pytest.fixture
def companies(three: list[SupplierSimulator]) -> Iterator[list[SupplierSimulator]]:
    for company in three:
        company.clear_script()
    yield three
    buying._pumps.clear()


async def cases(world: World, kind: str) -> list[tuple[str, str]]:
    rows = await world.rows("select state, note from staff_case where kind = $1 order by created_at, id", kind)
    return [(row["state"], row["note"]) for row in rows]


async def ask(world: World, *, minutes_later: int = 0) -> None:
    """The waiting questions come up, so long after their purchases were sent."""
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update attempt set sent_at = sent_at - $1 * interval '1 minute'", minutes_later)
    await make_due(world)
    await settle(world)


@pytest.mark.case("B10")
@pytest.mark.parametrize(
    ("truth", "states", "bought", "note"),
    [
        ({}, ["succeeded"], [1, 0], "it was delivered"),
        ({"decision": "failure"}, ["failed", "succeeded"], [0, 1], "nothing was bought"),
    ],
)
async def test_half_an_hour_without_an_answer_is_a_case_until_the_answer_comes(
    world: World, companies: list[SupplierSimulator], truth: dict[str, str], states: list[str], bought: list[int], note: str
) -> None:
    sources = [await source(world, company) for company in companies[:2]]
    product, owner = await routed(world, *sources), await staff(world)
    before = [one.totals()["effects"] for one in sources]
    companies[0].script({"drop": True}, truth, on="place", times=1)
    companies[0].script({"body": "html"}, on="query")
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    await ask(world)
    assert await cases(world, "supplier_unknown") == [], "before its half hour it is asked about, and no more"
    await ask(world, minutes_later=31)
    await ask(world)
    assert await cases(world, "supplier_unknown") == [("open", "")]
    assert await order_state(world, placed.id) == "paid"
    assert await attempt_states(world, placed.id) == ["unknown"]
    pace = (
        "select run_at - now() between interval '25 minutes' and interval '30 minutes' from task where kind = 'fulfillment.ask'"
    )
    assert await world.value(pace)
    await _is_listed(owner, placed.order_no)
    companies[0].clear_script()
    await ask(world)
    assert await attempt_states(world, placed.id) == states
    assert await order_state(world, placed.id) == "delivered"
    assert [one.totals()["effects"] - was for one, was in zip(sources, before, strict=True)] == bought
    [(state, says)] = await cases(world, "supplier_unknown")
    assert (state, note in says) == ("closed", True)
    assert note in (await owner.get("/cases?state=closed")).text
    assert NOBODY_KNOWS not in (await owner.get(f"/orders/{placed.order_no}")).text


async def _is_listed(owner: Staff, order_no: str) -> None:
    listed = (await owner.get("/cases")).text
    assert NOBODY_KNOWS in listed
    assert f"{owner.base}/orders/{order_no}" in listed
    assert NOBODY_KNOWS in (await owner.get(f"/orders/{order_no}")).text


@pytest.mark.case("B07")
async def test_a_card_too_many_is_own_stock_with_a_case_and_serves_the_next_buyer(
    world: World, companies: list[SupplierSimulator]
) -> None:
    first = await source(world, companies[0])
    product = await routed(world, first)
    before = first.totals()["effects"]
    companies[0].script({"drop": True}, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    [out_no] = await out_numbers(world, placed.id)
    sold = companies[0].book(out_no)["cards"]
    cards = [*(Issued(card["number"], card["password"]) for card in sold), Issued("SIMEXTRA", "extra")]
    attempt_id: UUID = await world.value("select id from attempt where out_no = $1", out_no)
    answer = Answer(attempt_id, None, Delivered("R-1", tuple(cards)), 5)
    for _ in range(2):
        async with tenant_tx(world.tenant) as tx:
            await outcomes.record(tx, [answer])
    assert await order_state(world, placed.id) == "delivered"
    facts = await world.rows("select state, facts ->> 'cards' as cards from staff_case where kind = 'spare_goods'")
    assert facts == [{"state": "open", "cards": "1"}]
    assert await world.value("select count(*) from card_key where state = 'free'") == 1, "it is own stock now"
    assert "A supplier sent more than was bought" in (await (await staff(world)).get("/cases")).text
    second = await world.paid(product.skus[0].listing.id, contact="13900139000")
    await settle(world)
    assert await order_state(world, second.id) == "delivered"
    assert first.totals()["effects"] == before + 1, "the company sold one card; the second buyer has the one too many"


@pytest.mark.case("B07")
async def test_a_delivery_without_its_card_is_asked_for_again_and_delivers_nothing_by_guess(
    world: World, companies: list[SupplierSimulator]
) -> None:
    link = await linked(world, companies[2])
    await on(world, link.id)
    offer_id = await world.value("select id from supplier_offer where connection_id = $1", link.id)
    product = await world.product()
    async with tenant_session(world.tenant) as session:
        terms = RouteTerms([(offer_id, 1)], RoutePolicy.FIXED_ORDER, 0, 1800)
        await suppliers.route(session, product.skus[0].id, terms, actor=STAFF)
    await settle(world)
    before = companies[2].totals()["effects"]["count"]
    companies[2].script({"misstate": "fewer_cards"}, on="query", times=2)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    for _ in range(2):
        await ask(world)
        assert await order_state(world, placed.id) == "paid"
    what = await world.rows("select state, facts ->> 'what' as what from staff_case where kind = 'bad_goods'")
    assert what == [{"state": "open", "what": "no_secret"}]
    await ask(world)
    assert await order_state(world, placed.id) == "delivered"
    assert companies[2].totals()["effects"]["count"] == before + 1
    [(state, says)] = await cases(world, "bad_goods")
    assert (state, "it was delivered" in says) == ("closed", True)


@pytest.mark.case("B07")
async def test_a_purchase_that_is_answered_without_its_card_is_asked_about_too(
    world: World, companies: list[SupplierSimulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the purchase itself, which this process alone may write down."""
    first = await source(world, companies[0])
    product = await routed(world, first)
    before = first.totals()["effects"]

    async def says_no_card(tx: Tx, answers: Sequence[Answer]) -> None:
        await outcomes.record(tx, [replace(one, found=Delivered("R-1", ())) for one in answers])

    with monkeypatch.context() as once:
        once.setattr(buying, "record", says_no_card)
        placed = await world.paid(product.skus[0].listing.id)
        await settle(world)
    assert await attempt_states(world, placed.id) == ["unknown"]
    assert len(await cases(world, "bad_goods")) == 1
    await ask(world)
    assert await order_state(world, placed.id) == "delivered"
    assert first.totals()["effects"] == before + 1
