"""Steps typed into the price grid say at once what they leave, and a buyer sees the price of the number he chooses."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Shop, Surf

pytestmark = pytest.mark.browser


def test_steps_are_typed_without_losing_anything_and_buyers_see_them(surf: Surf, shop: Shop) -> None:
    made = shop.product(name="Skylark Video", skus=[["Month", 1990]])
    page = surf(token=shop.token)
    page.goto(shop.desk(f"/products/{made['id']}/prices"))
    page.get_by_label("From how many, step 1 of Month").fill("3")
    price = page.get_by_label("Price, step 1 of Month")
    price.fill("14")
    price.blur()
    expect(page.get_by_text("Below cost", exact=True)).to_be_visible()
    price.fill("18")
    price.blur()
    expect(page.get_by_text("¥3.30")).to_be_visible()
    expect(page.get_by_label("From how many, step 1 of Month")).to_have_value("3")
    page.get_by_role("button", name="Save the steps").click()
    expect(page.get_by_label("From how many, step 2 of Month")).to_be_visible()
    buyer = surf()
    buyer.goto(shop.front(f"/products/{made['id']}"))
    expect(buyer.get_by_text("From 3 pieces")).to_be_visible()
    for _ in range(2):
        buyer.get_by_role("button", name="One more").click()
    expect(buyer.locator("#priced").get_by_text("¥54.00 for 3")).to_be_visible()


def test_a_buyer_who_is_faster_than_the_network_sees_the_price_of_what_he_chose_last(surf: Surf, shop: Shop) -> None:
    made = shop.product(name="Skylark Video", skus=[["Month", 1990]])
    page = surf(token=shop.token)
    page.goto(shop.desk(f"/products/{made['id']}/prices"))
    page.get_by_label("From how many, step 1 of Month").fill("3")
    page.get_by_label("Price, step 1 of Month").fill("18")
    page.get_by_role("button", name="Save the steps").click()
    expect(page.get_by_label("From how many, step 2 of Month")).to_be_visible()
    buyer = surf()
    buyer.goto(shop.front(f"/products/{made['id']}"))

    held: list[Route] = []
    is_slow = [True]

    def hold(route: Route) -> None:
        if is_slow[0]:
            held.append(route)
        else:
            route.continue_()

    buyer.route("**/products/*quantity=*", hold)
    for _ in range(3):
        buyer.get_by_role("button", name="One more").click()
    expect(buyer.get_by_label("Quantity")).to_have_value("4")
    is_slow[0] = False
    held[-1].continue_()
    expect(buyer.locator("#priced").get_by_text("¥72.00 for 4")).to_be_visible()
