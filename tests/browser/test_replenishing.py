"""A supplier with nothing but his link, on a phone, without scripts: he reads what is asked of him and answers."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Shop, Surf

pytestmark = [pytest.mark.browser]


def test_a_supplier_confirms_fewer_and_writes_without_scripts(shop: Shop, surf: Surf) -> None:
    made = shop.product(name="Skylark Video", skus=[["Month", 1990]])
    asked = shop.hands.ask("replenish", slug=shop.slug, sku=made["skus"][0])
    page = surf(width=390, scripts=False)
    page.goto(f"{shop.system.app_url}{asked['desk']}")
    page.locator(f"a[href$='{asked['waiting']}']").click()
    expect(page.get_by_text("Before the feast, please.")).to_be_visible()
    page.get_by_label("Skylark Video Month").fill("30")
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("Confirmed 30")).to_be_visible()
    page.get_by_label("Write a message").fill("Thirty by then, ten later.")
    page.get_by_role("button", name="Send it").click()
    expect(page.get_by_text("Thirty by then, ten later.")).to_be_visible()
    page.get_by_role("button", name="It is sent").click()
    expect(page.get_by_text("Sent by the supplier")).to_be_visible()
    office = surf(token=shop.token)
    office.goto(shop.desk(f"/suppliers/replenishments/{asked['waiting']}"))
    expect(office.get_by_text("Thirty by then, ten later.")).to_be_visible()
