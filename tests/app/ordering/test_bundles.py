"""Bundles: ordered with all their stock or not at all, each part delivered its own way, and what is lacking given back to the minor unit."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest

from app.catalog.models import BundlePolicy
from app.fulfillment import service as fulfillment
from app.kernel.contact import Contact, parse_contact
from app.kernel.ids import new_id
from app.ordering import placing
from app.ordering import service as ordering
from app.ordering.placing import OfferChanged, OverBuyerLimit, Placed, Request, SoldOut
from app.ordering.rules import quote
from app.storefront.shelf import shelf_of
from tenants.session import tenant_tx
from tests.app.fulfillment.supply import order_state, refund, settle
from tests.app.fulfillment.top_up import top_up
from tests.app.ordering.bundles import bundle, delivered, keys, shares, void, vouchers
from tests.app.ordering.test_races import at_once, without_guard
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
COMPANY = "dingconnect"
NUMBER = "+85251234567"


async def test_a_bundle_of_keys_and_vouchers_is_delivered_and_its_parts_sum_to_it(world: World) -> None:
    coffee, salad = await keys(world, "Coffee", 2000, 10), await vouchers(world, "Salad", 1000)
    product = await bundle(world, [(coffee.id, 2), (salad.id, 1)], price_minor=4001)
    placed = await world.order(product.skus[0].listing.id, 2)
    assert await world.value("select reserved from stock where sku_id = $1", coffee.id) == 4
    assert await world.value("select total_minor from shop_order") == 8002
    await delivered(world, placed)
    assert await order_state(world, placed.id) == "delivered"
    assert await shares(world, placed.id) == {
        "Coffee": [("delivered", 1601), ("delivered", 1600)] * 2,
        "Salad": [("delivered", 800)] * 2,
    }
    assert await world.value("select count(*) from delivery_unit where card_key_id is not null") == 4
    assert await world.value("select credits_minor from ledger_account where name = 'sales'") == 8002


async def test_one_order_mixes_top_up_card_and_voucher(world: World, company: SupplierSimulator) -> None:
    airtime = await top_up(world, company)
    coffee, salad = await keys(world, "Coffee", 2000, 5), await vouchers(world, "Salad", 1000)
    product = await bundle(world, [(airtime.product.skus[0].id, 1), (coffee.id, 1), (salad.id, 1)], price_minor=1800)
    before = airtime.effects()
    placed = await placed_with_account(world, product.skus[0].listing.id, airtime.product.skus[0].id)
    await delivered(world, placed)
    assert await order_state(world, placed.id) == "delivered"
    assert airtime.effects() == before + 1
    assert await shares(world, placed.id) == {
        "Airtime": [("delivered", 300)],
        "Coffee": [("delivered", 1000)],
        "Salad": [("delivered", 500)],
    }


@pytest.mark.case("A07")
async def test_a_missing_part_gives_back_exactly_its_share_and_the_others_stay(world: World) -> None:
    coffee, salad, tea = (
        await keys(world, "Coffee", 2000, 5),
        await vouchers(world, "Salad", 1000),
        await keys(world, "Tea", 500, 1),
    )
    product = await bundle(world, [(coffee.id, 1), (salad.id, 1), (tea.id, 1)], price_minor=2999)
    placed = await world.order(product.skus[0].listing.id)
    await void(world, tea.id)
    await delivered(world, placed)
    await refund(world)
    assert await order_state(world, placed.id) == "partly_delivered"
    found = await shares(world, placed.id)
    assert found == {"Coffee": [("delivered", 1714)], "Salad": [("delivered", 857)], "Tea": [("refunded", 428)]}
    assert await world.rows("select state, amount_minor from refund") == [{"state": "succeeded", "amount_minor": 428}]
    assert await world.value("select count(*) from staff_case") == 0


@pytest.mark.case("A07")
async def test_a_missing_part_of_a_whole_bundle_gives_everything_back_and_nothing_was_handed_out(world: World) -> None:
    coffee, salad, tea = (
        await keys(world, "Coffee", 2000, 5),
        await vouchers(world, "Salad", 1000),
        await keys(world, "Tea", 500, 3),
    )
    product = await bundle(world, [(coffee.id, 1), (salad.id, 1), (tea.id, 2)], price_minor=2999, policy=BundlePolicy.WHOLE)
    placed = await world.order(product.skus[0].listing.id)
    await void(world, tea.id)
    await delivered(world, placed)
    await refund(world)
    assert await order_state(world, placed.id) == "refunded"
    assert await world.value("select amount_minor from refund") == 2999
    assert await world.value("select count(*) from minted_good") == 0
    assert await world.rows("select available, reserved, delivered from stock where sku_id = $1", coffee.id) == [
        {"available": 5, "reserved": 0, "delivered": 0}
    ]
    assert await world.value("select count(*) from staff_case") == 0


@pytest.mark.case("A07")
async def test_of_several_whole_bundles_only_the_one_that_lacks_something_goes_back(world: World) -> None:
    coffee, tea = await keys(world, "Coffee", 2000, 5), await keys(world, "Tea", 500, 3)
    product = await bundle(world, [(coffee.id, 1), (tea.id, 1)], price_minor=2500, policy=BundlePolicy.WHOLE)
    placed = await world.order(product.skus[0].listing.id, 3)
    await void(world, tea.id, at_most=1)
    await delivered(world, placed)
    await refund(world)
    assert await order_state(world, placed.id) == "partly_delivered"
    found = await shares(world, placed.id)
    assert Counter(state for units in found.values() for state, _ in units) == {"delivered": 4, "refunded": 2}
    assert await world.value("select amount_minor from refund") == 2500


async def test_a_whole_bundle_hands_nothing_out_before_its_top_up_is_credited(world: World, company: SupplierSimulator) -> None:
    airtime, coffee = await top_up(world, company), await keys(world, "Coffee", 2000, 5)
    product = await bundle(world, [(airtime.product.skus[0].id, 1), (coffee.id, 1)], price_minor=2600, policy=BundlePolicy.WHOLE)
    placed = await placed_with_account(world, product.skus[0].listing.id, airtime.product.skus[0].id)
    await world.pay(placed)
    await world.ask_gateway(placed)
    async with tenant_tx(world.tenant) as tx:
        await fulfillment.deliver_orders(tx, [placed.id])
    assert await shares(world, placed.id) == {"Airtime": [("owed", 600)], "Coffee": [("owed", 2000)]}
    await settle(world)
    assert await order_state(world, placed.id) == "delivered"


async def test_a_refused_top_up_gives_a_whole_bundle_back(world: World, company: SupplierSimulator) -> None:
    airtime, coffee = await top_up(world, company), await keys(world, "Coffee", 2000, 5)
    product = await bundle(world, [(airtime.product.skus[0].id, 1), (coffee.id, 1)], price_minor=2600, policy=BundlePolicy.WHOLE)
    placed = await placed_with_account(world, product.skus[0].listing.id, airtime.product.skus[0].id)
    company.script({"refuse": "bad_account"}, on="place", times=1)
    await delivered(world, placed)
    await refund(world)
    assert await order_state(world, placed.id) == "refunded"
    assert await world.value("select amount_minor from refund") == 2600


@pytest.mark.case("A07")
async def test_what_was_credited_of_a_whole_bundle_stays_and_a_person_looks_at_it(
    world: World, company: SupplierSimulator
) -> None:
    """The keys go while the top-up is being credited: it cannot be taken back, so only the rest is refunded."""
    airtime, coffee = await top_up(world, company), await keys(world, "Coffee", 2000, 5)
    product = await bundle(world, [(airtime.product.skus[0].id, 1), (coffee.id, 1)], price_minor=2600, policy=BundlePolicy.WHOLE)
    before = airtime.effects()
    placed = await placed_with_account(world, product.skus[0].listing.id, airtime.product.skus[0].id)
    await world.pay(placed)
    await world.ask_gateway(placed)
    async with tenant_tx(world.tenant) as tx:
        await fulfillment.deliver_orders(tx, [placed.id])
    await void(world, coffee.id)
    await settle(world)
    await refund(world)
    assert airtime.effects() == before + 1
    assert await order_state(world, placed.id) == "partly_delivered"
    assert await shares(world, placed.id) == {"Airtime": [("delivered", 600)], "Coffee": [("refunded", 2000)]}
    assert await world.value("select amount_minor from refund") == 2000
    case = (await world.rows("select kind, state, facts from staff_case"))[0]
    assert (case["kind"], case["state"]) == ("broken_bundle", "open")
    assert '"amount_minor": 600' in str(case["facts"])


async def test_a_bundle_is_sold_as_often_as_its_scarcest_part(world: World) -> None:
    coffee, tea = await keys(world, "Coffee", 2000, 7), await keys(world, "Tea", 500, 3)
    product = await bundle(world, [(coffee.id, 2), (tea.id, 1)])
    listing = product.skus[0].listing.id
    for _ in range(3):
        await world.order(listing)
    with pytest.raises(SoldOut) as refusal:
        await world.order(listing)
    assert refusal.value.facts == {"name": "Tea Time Single"}
    assert await world.rows("select available, reserved from stock order by reserved") == [
        {"available": 0, "reserved": 3},
        {"available": 1, "reserved": 6},
    ]


@pytest.mark.case("A07")
async def test_many_buyers_of_two_bundles_with_one_part_in_common_take_exactly_its_stock(world: World) -> None:
    coffee, tea, cake = (
        await keys(world, "Coffee", 2000, 9),
        await keys(world, "Tea", 500, 30),
        await keys(world, "Cake", 500, 30),
    )
    first = await bundle(world, [(tea.id, 1), (coffee.id, 2)], name="First")
    second = await bundle(world, [(coffee.id, 1), (cake.id, 1)], name="Second")
    requests = [await world.request((first if n % 2 else second).skus[0].listing.id, contact=f"138{n:08d}") for n in range(30)]
    answers = await at_once(world, requests)
    assert set(answers) == {"placed", "SoldOut"}
    left, taken = (await world.rows("select available, reserved from stock where sku_id = $1", coffee.id))[0].values()
    assert left + taken == 9
    assert left < 2
    units = await world.value("select count(*) from delivery_unit where sku_id = $1", coffee.id)
    assert units == taken
    assert await world.value("select sum(reserved) from stock") == await world.value("select count(*) from delivery_unit")


@pytest.mark.case("A07")
async def test_red_without_the_stock_condition_a_shared_part_is_sold_too_often(world: World) -> None:
    coffee, tea = await keys(world, "Coffee", 2000, 1), await keys(world, "Tea", 500, 30)
    product = await bundle(world, [(coffee.id, 1), (tea.id, 1)])
    await without_guard(world, " and available >= p_stock_units[i]", "", "ck_stock_never_negative", "stock")
    await without_guard(world, " and available >= p_stock_units[i]", "", "ck_stock_short_before_shelf", "stock")
    await without_guard(world, " and available >= p_stock_units[i]", "", "ck_stock_allotted_is_there", "stock")
    requests = [await world.request(product.skus[0].listing.id, contact=f"138{n:08d}") for n in range(10)]
    assert (await at_once(world, requests))["placed"] > 1


async def test_the_limit_counts_bundles_and_not_their_parts(world: World) -> None:
    coffee, tea = await keys(world, "Coffee", 2000, 9), await keys(world, "Tea", 500, 9)
    product = await bundle(world, [(coffee.id, 2), (tea.id, 1)], buyer_limit=2)
    listing = product.skus[0].listing.id
    placed = await world.order(listing, 2)
    with pytest.raises(OverBuyerLimit):
        await world.order(listing)
    async with tenant_tx(world.tenant) as tx:
        await ordering.cancel(tx, placed.id, actor=STAFF)
    assert await world.value("select units from buyer_usage") == 0
    assert await world.value("select sum(reserved) from stock") == 0
    await world.order(listing, 2)


async def test_a_bundle_paid_after_its_time_takes_the_stock_of_every_part_again(world: World) -> None:
    coffee, tea = await keys(world, "Coffee", 2000, 2), await keys(world, "Tea", 500, 1)
    product = await bundle(world, [(coffee.id, 2), (tea.id, 1)])
    placed = await world.order(product.skus[0].listing.id)
    await world.pay(placed)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update shop_order set expires_at = now() - interval '1 second'")
        await ordering.expire_unpaid(tx)
    await world.ask_gateway(placed)
    await settle(world)
    assert await order_state(world, placed.id) == "delivered"


async def test_contents_that_changed_a_moment_ago_are_not_sold_as_they_were(world: World) -> None:
    coffee, tea, cake = await keys(world, "Coffee", 2000, 9), await keys(world, "Tea", 500, 9), await keys(world, "Cake", 500, 9)
    product = await bundle(world, [(coffee.id, 1), (tea.id, 1)])
    request = await world.request(product.skus[0].listing.id)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update bundle_part set sku_id = $1 where sku_id = $2", cake.id, tea.id)
    with pytest.raises(OfferChanged):
        await placing.place(world.tenant, request)
    assert await world.value("select count(*) from shop_order") == 0


async def placed_with_account(world: World, listing_id: UUID, sku_id: UUID) -> Placed:
    """An order of one bundle whose top-up credits a number."""
    shelf, plain = await shelf_of(world.tenant), parse_contact("13800132046")
    assert isinstance(plain, Contact)
    wanted = quote([(shelf.offers[listing_id], 1)], {(listing_id, sku_id): {"phone": NUMBER}})
    return await placing.place(world.tenant, Request(shelf.face.storefront_id, wanted, plain, "en", str(new_id())))
