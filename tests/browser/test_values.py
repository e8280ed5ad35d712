"""A buyer types how much: the price follows, and a value that is not sold is told beside its field."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Shop, Surf

pytestmark = pytest.mark.browser


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
