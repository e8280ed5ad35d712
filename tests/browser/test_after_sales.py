"""Trouble after a delivery in a real browser: the steps, the report, the team's queue, and what may not be done, with the reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shop

pytestmark = pytest.mark.browser

Open = Callable[..., Page]


def test_a_buyer_reports_and_the_team_replaces_from_one_page(front: Open, office: Open, shop: Shop) -> None:
    order = shop.order(listing=shop.product()["listings"][0])
    page = front(order["path"])
    page.get_by_role("button", name="Show key 1").click()
    expect(page.get_by_role("button", name="Hide key 1")).to_be_visible()
    page.get_by_role("link", name="It does not work").click()
    page.get_by_role("button", name="No, it still does not work").click()
    page.get_by_label("What exactly do you see?").fill("It says: no such card")
    page.get_by_role("button", name="Report it").click()
    expect(page.get_by_role("heading", name="The shop is looking at your report")).to_be_visible()
    desk = office("/after-sales", width=1360)
    desk.locator("table a.keep").click()
    expect(desk.get_by_text("It says: no such card")).to_be_visible()
    expect(desk.get_by_role("button", name="Ask the supplier again")).to_have_attribute("aria-disabled", "true")
    expect(desk.get_by_text("there is no supplier to ask")).to_be_visible()
    desk.get_by_role("link", name="Replace the key").click()
    desk.get_by_label("Why").fill("It is invalid there")
    desk.get_by_role("button", name="Replace it").click()
    expect(desk.get_by_text("The old one is void and another is being delivered")).to_be_visible()
    page.goto(shop.front(order["path"]))
    expect(page.get_by_role("heading", name="It was replaced")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("button", name="Show key 1")).to_be_visible()
