"""The page where a merchant says which face values are sold, and the arithmetic behind it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.access.models import MemberRole
from app.catalog.accounts import AccountField, FieldKind
from app.catalog.models import DeliveryKind, Product
from app.catalog.service import SkuTerms
from app.catalog.values import ValueRange
from app.suppliers.models import BreakerState
from app.suppliers.rules import Candidate, Values
from tests.app.ordering.bundles import bundle, keys
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.world import World

ANY = ValueRange(1000, 50_000, 500, Decimal("0.98"))


@given(
    st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 10**4),
    st.decimals(Decimal("0.000001"), 100, places=6), st.integers(1, 10**6),
)  # fmt: skip
def test_values_are_held_by_their_bounds_and_step_and_the_neighbours_of_another_are_sold(
    least: int, more: int, step: int, rate: Decimal, value: int
) -> None:
    sold = ValueRange(least, least + more, step, rate)
    assert sold.holds(least)
    assert sold.holds(sold.greatest_minor)
    assert all(sold.holds(probe) for probe in sold.probes())
    assert abs(sold.price_minor(value) - max(1, rate * value)) <= Decimal("0.5") or sold.price_minor(value) == 1
    if sold.least_minor <= value <= sold.greatest_minor:
        below, above = sold.beside(value)
        assert below <= value <= max(above, below)
        assert sold.holds(below)
        assert sold.holds(above)
    assert sold.price_minor(value) <= sold.price_minor(value + step)


def test_a_price_is_rounded_once_half_up() -> None:
    assert ValueRange(1, 100, 1, Decimal("0.983")).price_minor(5500) == 5407  # 5406.5
    assert ValueRange(1, 100, 1, Decimal("0.000001")).price_minor(1) == 1


def test_an_offer_stands_at_the_value_it_is_asked_for() -> None:
    from uuid import UUID

    plain = Candidate(
        UUID(int=1), UUID(int=2), Decimal("0.9"), None, is_on_sale=True, is_on=True, breaker=BreakerState.CLOSED, balance=None,
        position=0, weight=1, sells=Values(1000, 20_000, None),
    )  # fmt: skip
    assert plain.at(5000, chosen_in="CNY").unit_cost == Decimal("45")
    assert plain.at(5000).unit_cost == Decimal("45")
    for value, currency in ((500, "CNY"), (20_500, "CNY"), (5000, "USD"), (None, None)):
        assert not plain.at(value, chosen_in=currency).fits, (value, currency)
    fixed = Candidate(
        UUID(int=1), UUID(int=2), Decimal(9), None, is_on_sale=True, is_on=True, breaker=BreakerState.CLOSED, balance=None,
        position=0, weight=1, face_value_minor=1000,
    )  # fmt: skip
    assert fixed.at(1000, chosen_in="CNY").fits
    assert not fixed.at(1500, chosen_in="CNY").fits
    assert fixed.at(None).fits


async def airtime(world: World) -> Product:
    return await world.product(
        SkuTerms("Any value", 600), name="Airtime", delivery_kind=DeliveryKind.DIRECT_TOP_UP,
        account_fields=(AccountField("phone", "Number", FieldKind.WORLD_PHONE),),
    )  # fmt: skip


def form(product: Product, **changes: str) -> dict[str, str]:
    typed = {"by": "range", "least": "10", "most": "500", "step": "5", "rate": "0.98", "currency": "CNY"} | changes
    return {f"{product.skus[0].id}-{name}": value for name, value in typed.items()}


@pytest.mark.anyio
@pytest.mark.database
async def test_a_range_is_set_shown_changed_and_taken_away_again(world: World) -> None:
    product, owner = await airtime(world), await staff(world)
    path = f"/products/{product.id}/values"
    assert "No supplier on its route sells by value yet." in words((await owner.get(path)).text)
    for _ in range(2):
        assert (await owner.post(path, form(product))).status_code == 303
    shown = words((await owner.get(path)).text)
    assert "¥10.00 ¥9.80" in shown
    assert "¥500.00 ¥490.00" in shown
    assert await world.value("select price_minor from listing") == 980
    assert await world.value("select count(*) from audit_entry where action = 'sku.range_set'") == 1
    assert "Any value from ¥10.00 to ¥500.00" in words((await owner.get(f"/products/{product.id}")).text)
    assert "¥9.80–¥490.00" in words((await owner.get("/products")).text), "the list names both ends"
    assert "of ¥10.00; see its face values" in words((await owner.get(f"/products/{product.id}/prices")).text)
    sku = product.skus[0].id
    sent = {"name": "Airtime", "sku-0-id": str(sku), "sku-0-name": "Any value", "sku-0-price": "1.00", "sku-0-was": "3.00"}
    assert (await owner.post(f"/products/{product.id}", sent)).status_code == 303
    assert await world.value("select price_minor from listing") == 980, "its price is that of its least value"
    assert (await owner.post(path, form(product, by="one"))).status_code == 303
    assert await world.value("select count(*) from sku_range") == 0


@pytest.mark.anyio
@pytest.mark.database
async def test_every_fault_is_said_at_once_and_nothing_is_saved(world: World) -> None:
    product, owner = await airtime(world), await staff(world)
    path, sku = f"/products/{product.id}/values", product.skus[0].id
    answer = await owner.post(path, form(product, least="0", most="x", step="", rate="0", currency="yuan"))
    assert answer.status_code == 422
    for name in ("least", "most", "step", "rate", "currency"):
        assert f'id="f-{sku}-{name}-error"' in answer.text, name
    assert 'value="x"' in answer.text
    for wrong, sentence in (
        ({"most": "5"}, "cannot be below the least"),
        ({"rate": "NaN"}, "Type a rate such as 0.98"),
        ({"rate": "1e9"}, "Type a rate such as 0.98"),
        ({"rate": "0.0000001"}, "Type a rate such as 0.98"),
        ({"currency": "JPY"}, "counted in hundredths"),
        ({"most": "5000000"}, "Type a value from ¥0.01 to ¥999,999.99."),
    ):
        answer = await owner.post(path, form(product, **wrong))
        assert answer.status_code == 422, wrong
        assert sentence in words(answer.text), wrong
    assert await world.value("select count(*) from sku_range") == 0


@pytest.mark.anyio
@pytest.mark.database
async def test_a_part_of_a_bundle_is_not_sold_by_value_and_one_sold_by_value_is_no_part(world: World) -> None:
    product, owner = await airtime(world), await staff(world)
    coffee = await keys(world, "Coffee", 2000, 5)
    await bundle(world, [(coffee.id, 1), (product.skus[0].id, 1)], name="Morning")
    answer = await owner.post(f"/products/{product.id}/values", form(product))
    assert answer.status_code == 422
    assert "is a part of Morning" in words(answer.text)


@pytest.mark.anyio
@pytest.mark.database
async def test_roles_other_tenants_and_other_kinds(world: World) -> None:
    product = await airtime(world)
    path = f"/products/{product.id}/values"
    viewer = await staff(world, MemberRole.READ_ONLY)
    assert (await viewer.get(path)).status_code == 200
    assert (await viewer.post(path, form(product))).status_code == 403
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.post(path, form(product))).status_code == 404
    owner = await staff(world)
    assert "<html" in (await owner.get(path)).text
    codes = await world.product(delivery_kind=DeliveryKind.VOUCHER)
    assert (await owner.get(f"/products/{codes.id}/values")).status_code == 404
    clone = await owner.post(f"/products/{product.id}/values", form(product))
    assert clone.status_code == 303
    made = await owner.post(f"/products/{product.id}/clone", {"name": "Airtime again"})
    assert made.status_code == 303, made.text[:300]
    assert await world.value("select count(*) from sku_range") == 2
