"""A voucher on a phone: its code to scan, used at a counter once, and what both sides read afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shop

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


def test_a_voucher_is_shown_scanned_and_refused_the_second_time(front: Open, surf: Open, shop: Shop) -> None:
    sold = shop.hands.ask("voucher", slug=shop.slug)
    order = shop.order(listing=sold["listing"])
    page = front(order["path"], width=390)
    expect(page.get_by_role("heading", name="Here is what you bought")).to_be_visible()
    page.get_by_role("button", name="Show key 1").click()
    expect(page.get_by_role("img", name="Code to be scanned at the counter")).to_be_visible()
    code = page.locator("[data-value]").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    counter = surf(token=shop.token, width=390)
    for sentence in ("Redeemed: Noodle House", "The first use was on"):
        counter.goto(shop.desk(f"/redeem#{code}"))
        expect(counter.get_by_label("Code to redeem")).to_have_value(code)
        assert code not in counter.url
        counter.get_by_label("Shop it is used in").fill("West Lake")
        counter.get_by_role("button", name="Redeem", exact=True).click()
        expect(counter.get_by_text(sentence)).to_be_visible()
    page.reload()
    expect(page.get_by_text("at West Lake")).to_be_visible()
