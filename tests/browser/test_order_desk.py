"""The merchant's staff at their orders: saved views, the timeline, and showing a key."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shop, Surf

pytestmark = pytest.mark.browser

Open = Callable[..., Page]
TABS = "Views of the order list"


@pytest.fixture
def trade(shop: Shop) -> Shop:
    """Two delivered orders and one that waits for its payment."""
    listing = shop.product(skus=[["月卡", 1990]], name="云雀视频")["listings"][0]
    for contact in ("13800132046", "13800132047"):
        shop.order(listing=listing, contact=contact)
    shop.order(listing=listing, contact="13800132048", upto="awaiting_payment")
    return shop


def tab(page: Page, name: str) -> str:
    """A tab's words, its count among them."""
    return " ".join(
        page.get_by_role("navigation", name=TABS).get_by_role("link", name=re.compile(f"^{name}")).inner_text().split()
    )


def test_views_are_tabs_with_counts_and_filters_live_in_the_address(office: Open, trade: Shop) -> None:
    page = office("/orders")
    assert (tab(page, "All"), tab(page, "Awaiting payment")) == ("All 3", "Awaiting payment 1")
    page.get_by_role("navigation", name=TABS).get_by_role("link", name=re.compile("Awaiting payment")).click()
    page.wait_for_url("**state=awaiting_payment**")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_view_is_saved_renamed_shared_and_deleted(office: Open, trade: Shop) -> None:
    page = office("/orders?state=delivered")
    page.get_by_role("link", name="Save this list").click()
    page.get_by_label("Name of the view").first.fill("Done ones")
    page.get_by_role("button", name="Save view").click()
    page.wait_for_url("**/orders?state=delivered")
    assert tab(page, "Done ones") == "Done ones 2"

    page.goto(trade.desk("/order-views"))
    page.get_by_label("Name of the view").fill("Delivered ones")
    page.get_by_label("Shared").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("View saved.")).to_be_visible()
    page.goto(trade.desk("/orders"))
    assert tab(page, "Delivered ones") == "Delivered ones 2"
    assert trade.value("select is_shared from order_view") is True

    page.goto(trade.desk("/order-views"))
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("View deleted. Its orders stay.")).to_be_visible()
    assert trade.value("select count(*) from shop_order") == 3


def test_the_newest_event_comes_to_the_timeline_without_a_reload(office: Open, shop: Shop) -> None:
    listing = shop.product()["listings"][0]
    order = shop.order(listing=listing, upto="awaiting_payment")
    page = office(f"/orders/{order['no']}")
    story = page.locator("#order-timeline")
    expect(story).to_contain_text("Order placed")
    expect(story).to_contain_text("138****2046")
    page.evaluate("window.stayed = true")
    shop.hands.ask("pay_order", slug=shop.slug, no=order["no"])
    expect(story.locator("li").first).to_contain_text("Delivered", timeout=15_000)
    expect(page.locator("#order-units")).to_contain_text("1 of 1 delivered")
    assert page.evaluate("window.stayed")


def test_a_note_stands_in_the_timeline_with_its_writer(office: Open, trade: Shop) -> None:
    page = office("/orders?state=delivered")
    page.locator("tbody tr a").first.click()
    page.get_by_label("Write a note").fill("Called back, all is well.")
    page.get_by_role("button", name="Save note").click()
    newest = page.locator("#order-timeline li").first
    expect(newest).to_contain_text("Called back, all is well.")
    expect(newest).to_contain_text("Lin Zhixing")


def test_a_key_is_shown_for_a_reason_recorded_and_hidden_after_thirty_seconds(surf: Surf, shop: Shop) -> None:
    made = shop.product(stock=0)
    shop.hands.ask("stock", slug=shop.slug, sku=made["skus"][0], keys=["YQ8K-5N2W-7M2P"])
    order = shop.order(listing=made["listings"][0])
    page = surf(token=shop.token)
    page.clock.install()
    page.goto(shop.desk(f"/orders/{order['no']}"))
    assert "YQ8K" not in page.content()
    page.get_by_role("link", name="Show", exact=True).click()
    page.get_by_role("button", name="Show the key").click()
    expect(page.get_by_label("Why")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Why").fill("The buyer's page does not open")
    page.get_by_role("button", name="Show the key").click()
    expect(page.get_by_text("YQ8K-5N2W-7M2P")).to_be_visible()
    expect(page.locator("#dialog")).to_be_hidden()
    page.clock.run_for(29_000)
    expect(page.get_by_text("YQ8K-5N2W-7M2P")).to_be_visible()
    page.clock.run_for(3_000)
    expect(page.get_by_text("Hidden again")).to_be_visible()
    assert "YQ8K" not in page.content()
    kept = shop.rows("select actor_name, reason from audit_entry where action like '%reveal%'")
    assert kept == [{"actor_name": "Lin Zhixing", "reason": "The buyer's page does not open"}]
