"""A buyer types how much: the price follows, and a value that is not sold is told beside its field. Cards are bought and read so, too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shop, Surf
from tests.simulators import SupplierSimulator, supplier_simulator

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
CARDS = {
    "sku": "U100", "kind": "card", "cost": "0.95", "currency": "USD", "least_minor": 1000, "most_minor": 50_000, "step_minor": 500,
}  # fmt: skip


@pytest.fixture
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("cards"), "tango") as company:
        company.goods(CARDS)
        yield company


def test_the_price_follows_the_typed_value_and_a_wrong_one_is_told(surf: Surf, shop: Shop) -> None:
    airtime = shop.hands.ask("airtime", slug=shop.slug)
    page = surf(width=390)
    page.goto(shop.front(f"/products/{airtime['product']}"))
    value = page.get_by_label("How much")
    value.fill("100")
    value.blur()
    expect(page.locator("#priced")).to_contain_text("for ¥100.00")
    expect(page.locator("#priced-bar")).to_contain_text("98")
    page.get_by_label("Number to top up").fill("+85251234567")
    page.get_by_label("Mobile number or e-mail").fill("13800132046")
    value.fill("101")
    page.get_by_role("button", name="Buy now").locator("visible=true").click()
    expect(page.locator("[id^='f-value-'][id$='-error']")).to_contain_text("take ¥100.00 or ¥105.00")
    expect(value).to_have_value("101")
    assert shop.value("select count(*) from shop_order") == 0


def test_a_card_of_a_chosen_value_is_paid_read_and_found_by_the_merchant(
    front: Open, office: Open, shop: Shop, company: SupplierSimulator
) -> None:
    credentials = company.client(balance="100000", currency="USD")
    made = shop.hands.ask("gift_cards", slug=shop.slug, url=company.url, credentials=credentials)
    page = front(f"/products/{made['product']}", width=390)
    value = page.get_by_label("How much")
    value.fill("27")
    page.get_by_label("Mobile number or e-mail").fill("13800132046")
    page.get_by_role("button", name="Buy now").locator("visible=true").click()
    expect(page.locator("[id^='f-value-'][id$='-error']")).to_contain_text("25.00")
    value.fill("25")
    value.blur()
    expect(page.locator("#priced")).to_contain_text("182.50")
    page.get_by_role("button", name="Buy now").locator("visible=true").click()
    page.wait_for_url(re.compile("/orders/"))
    shop.hands.ask("pay_order", slug=shop.slug, no=page.url.split("/")[4])
    expect(page.get_by_role("heading", name=re.compile("US gift card Any value .*25.00"))).to_be_visible(timeout=30_000)
    page.get_by_role("button", name=re.compile("^Show")).first.click()
    [card] = company.book()["cards"]
    expect(page.get_by_text(card["number"])).to_be_visible()
    assert [one["face_value_minor"] for one in company.book()["purchases"]] == [2500]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    desk = office("/orders", width=1360)
    desk.get_by_role("link", name=page.url.split("/")[4]).first.click()
    expect(desk.get_by_text(re.compile("Any value .*25.00")).first).to_be_visible()
    desk.goto(shop.desk(f"/card-pools/{made['sku']}"))
    expect(desk.get_by_text("It has no stock of its own")).to_be_visible()
    expect(desk.get_by_role("link", name="Import keys").locator("visible=true")).to_have_count(0)


def test_what_stands_in_the_pool_is_said_where_values_are_wanted(office: Open, shop: Shop) -> None:
    made = shop.product(name="Gift card", skus=[["Any value", 1000]], stock=3)
    page = office(f"/products/{made['id']}")
    page.get_by_role("link", name="Any value One value at one price").click()
    page.get_by_label("Any value of a range").check()
    for label, typed in (("Least value", "10"), ("Greatest value", "500"), ("Step", "5"), ("Price of 1 of value", "7.3")):
        page.get_by_label(label, exact=True).fill(typed)
    page.get_by_role("button", name="Save").click()
    sku = made["skus"][0]
    expect(page.locator(f"[id='f-{sku}-by-error']")).to_contain_text("3 keys for sale")
    expect(page.get_by_label("Least value", exact=True)).to_have_value("10")
    assert shop.value("select count(*) from sku_range") == 0
