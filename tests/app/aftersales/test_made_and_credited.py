"""Cases about what has no key of a pool: codes we make, while nobody used them, and accounts that a supplier credits, topped up again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from app.aftersales import queries
from app.aftersales.models import Complaint, RemedyKind
from app.aftersales.remedying import remedy
from app.catalog.models import DeliveryKind
from app.fulfillment import buying
from app.fulfillment.minting import NoSuchCode, Revoked
from app.kernel.errors import DomainError
from tenants.session import tenant_tx
from tests.app.aftersales.cases import reported, sold, state
from tests.app.fulfillment.supply import attempt_states, make_due, order_state, refund, settle
from tests.app.fulfillment.test_minting import code_of, minted, use
from tests.app.fulfillment.top_up import top_up
from tests.app.storefront.buyer import Buyer
from tests.app.storefront.test_top_up import NUMBER, ordered
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
CODES = (DeliveryKind.VOUCHER, DeliveryKind.SERIAL)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("airtime"), "dingconnect") as one:
        yield one


@pytest.fixture
def company(started: SupplierSimulator) -> Iterator[SupplierSimulator]:
    started.clear_script()
    yield started
    buying._pumps.clear()


async def decide(world: World, case_id: UUID, kind: RemedyKind) -> str:
    try:
        async with tenant_tx(world.tenant) as tx:
            await remedy(tx, case_id, kind, reason="The buyer is right", actor=STAFF)
    except DomainError as refusal:
        return type(refusal).__name__
    return "done"


async def test_an_unused_code_is_replaced_by_another_and_the_old_one_opens_nothing(world: World) -> None:
    for kind in CODES:
        product = await minted(world, kind, most_uses=1 if kind is DeliveryKind.VOUCHER else 3)
        placed = await world.bought(product.skus[0].listing.id)
        old = await code_of(world, placed)
        case_id = await reported(world, placed, complaint=Complaint.REFUSED)
        assert await world.value("select verdict from after_sale_case where id = $1", case_id) == "never_used", kind
        assert await decide(world, case_id, RemedyKind.REPLACE) == "done"
        await world.work()
        assert await state(world, case_id) == "replaced", kind
        new = await code_of(world, placed)
        assert new != old
        with pytest.raises((Revoked, NoSuchCode)):
            await use(world, old)
        assert (await use(world, new)).use_no == 1
        line = await world.value("select id from order_line where order_id = $1", placed.id)
        assert await world.value("select count(*) from minted_good where order_line_id = $1 and state = 'valid'", line) == 1
    assert await world.value("select count(*) from transfer where kind = 'sale'") == len(CODES)


async def test_a_code_that_was_used_even_once_is_neither_replaced_nor_paid_back(world: World) -> None:
    for kind in CODES:
        product = await minted(world, kind, most_uses=1 if kind is DeliveryKind.VOUCHER else 3)
        placed = await world.bought(product.skus[0].listing.id)
        code = await code_of(world, placed)
        case_id = await reported(world, placed, complaint=Complaint.REFUSED)
        await use(world, code)
        assert [await decide(world, case_id, remedy_) for remedy_ in RemedyKind] == ["CodeUsed", "CodeUsed"], kind
        assert await state(world, case_id) == "awaiting_staff"
        other = await world.bought(product.skus[0].listing.id, contact="13900139000")
        await use(world, await code_of(world, other))
        told = await reported(world, other, complaint=Complaint.REFUSED)
        assert await world.value("select verdict from after_sale_case where id = $1", told) == "used", kind
    assert await world.value("select count(*) from after_sale_remedy") == 0
    assert await world.value("select count(*) from refund") == 0


async def test_an_unused_code_is_paid_back_and_opens_nothing(world: World) -> None:
    product = await minted(world)
    placed = await world.bought(product.skus[0].listing.id)
    code = await code_of(world, placed)
    case_id = await reported(world, placed, complaint=Complaint.REFUSED)
    assert await decide(world, case_id, RemedyKind.REFUND) == "done"
    await world.work()
    await refund(world)
    await world.work()
    assert (await state(world, case_id), await order_state(world, placed.id)) == ("refunded", "refunded")
    with pytest.raises(DomainError):
        await use(world, code)
    assert await world.value("select uses from minted_good") == 0


async def test_a_top_up_that_did_not_arrive_is_made_again_to_the_same_account(world: World, company: SupplierSimulator) -> None:
    """The company says that it credited; the merchant believes his buyer. Its second purchase is one of its own, and the first is claimed."""
    sold_ = await top_up(world, company)
    before = sold_.effects()
    placed, _ = await ordered(world, Buyer(world.client()), sold_)
    await settle(world)
    case_id = await reported(world, placed, complaint=Complaint.NOT_ARRIVED)
    await settle(world)
    await make_due(world, "aftersales.check")
    await settle(world)
    rows = await world.rows("select state, verdict from after_sale_case where id = $1", case_id)
    assert rows == [{"state": "awaiting_staff", "verdict": "delivered"}]
    assert sold_.effects() == before + 1, "asking buys nothing"
    assert await decide(world, case_id, RemedyKind.REPLACE) == "done"
    assert await decide(world, case_id, RemedyKind.REPLACE) == "done", "pressed twice it is one"
    await settle(world)
    assert (await state(world, case_id), await order_state(world, placed.id)) == ("replaced", "delivered")
    assert sold_.effects() == before + 2
    assert sorted(await attempt_states(world, placed.id)) == ["replaced", "succeeded"]
    numbers = await world.rows("select out_no from attempt where order_id = $1", placed.id)
    credited = [purchase for row in numbers for purchase in company.book(row["out_no"])["purchases"]]
    assert [NUMBER.lstrip("+") in str(purchase).replace("+", "") for purchase in credited] == [True, True]
    assert await world.value("select count(*) from supplier_claim where state = 'open'") == 1
    assert await world.value("select count(*) from transfer where kind = 'sale'") == 1


async def test_the_median_is_of_the_cases_that_ended_with_something(world: World) -> None:
    """Of four that took 1, 2, 9 and 30 hours; a fifth is still open."""
    placed = await sold(world, keys=20, quantity=5)
    ids = [await reported(world, placed, unit_no=n) for n in range(1, 6)]
    for case_id in ids[:4]:
        assert await decide(world, case_id, RemedyKind.REPLACE) == "done"
    await world.work()
    async with tenant_tx(world.tenant) as tx:
        for case_id, hours in zip(ids, (1, 30, 2, 9), strict=False):
            began = "update after_sale_case set created_at = ended_at - make_interval(hours => $2::int) where id = $1"
            await tx.execute(began, case_id, hours)
        found = await queries.median(tx)
    assert (found.cases, found.took, found.automatic) == (4, timedelta(hours=5, minutes=30), 0)
