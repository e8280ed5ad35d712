"""From the order to the key: waiting, delivery, finding it again, and what happens when it cannot be delivered."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Letters, Shop, Surf

pytestmark = pytest.mark.browser

Open = Callable[..., Page]
PHONE = "13800132046"


def waiting(shop: Shop) -> dict[str, str]:
    return shop.order(listing=shop.product()["listings"][0], upto="awaiting_payment")


def test_a_desktop_shows_a_code_to_scan_and_the_page_goes_on_by_itself(front: Open, shop: Shop) -> None:
    order = waiting(shop)
    page = front(order["path"], width=1360)
    expect(page.get_by_role("img", name="Code to pay with a phone")).to_be_visible()
    clock = page.get_by_role("timer")
    before = clock.inner_text()
    expect(clock).not_to_have_text(before)
    page.evaluate("window.stayed = true")
    shop.hands.ask("pay_order", slug=shop.slug, no=order["no"])
    expect(page.get_by_role("heading", name="Your key is here")).to_be_visible()
    assert page.evaluate("window.stayed")


def test_a_phone_jumps_to_the_payment_and_comes_back(front: Open, shop: Shop) -> None:
    order = waiting(shop)
    page = front(order["path"])
    expect(page.get_by_role("img", name="Code to pay with a phone")).to_be_hidden()
    page.get_by_role("button", name="Pay ¥19.90").tap()
    page.wait_for_url(f"{shop.system.gateway}/pay/**")
    page.go_back()
    expect(page.get_by_role("heading", name="Waiting for your payment")).to_be_visible()
    page.close()
    shop.hands.ask("pay_order", slug=shop.slug, no=order["no"])
    later = front(order["path"])
    expect(later.get_by_role("heading", name="Your key is here")).to_be_visible()


def test_a_payment_whose_time_is_over_says_so_without_a_reload(front: Open, shop: Shop) -> None:
    order = waiting(shop)
    page = front(order["path"])
    expect(page.locator("svg.qr")).to_have_count(1)
    shop.hands.ask("lapse", slug=shop.slug, no=order["no"])
    expect(page.get_by_role("heading", name="The time to pay is over")).to_be_visible()
    expect(page.get_by_role("link", name="Order it again")).to_be_visible()
    expect(page.get_by_role("button", name="I have paid")).to_be_visible()


def test_the_delivery_page_hands_out_the_key_and_says_how_to_use_it(front: Open, shop: Shop, letters: Letters) -> None:
    made = shop.product(stock=0, usage_html="<ol><li>Open the app and press “Redeem”</li></ol>")
    shop.hands.ask("stock", slug=shop.slug, sku=made["skus"][0], keys=["YQ8K-5N2W-7M2P"])
    order = shop.order(listing=made["listings"][0], contact="13900139001")
    page = front(order["path"], permissions=["clipboard-read", "clipboard-write"])
    expect(page.get_by_text("Open the app and press “Redeem”")).to_be_visible()
    page.get_by_role("button", name="Copy key 1").tap()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "YQ8K-5N2W-7M2P"
    assert "YQ8K" not in page.content(), "copying needs no showing"
    page.get_by_role("button", name="Show key 1").tap()
    expect(page.get_by_text("YQ8K-5N2W-7M2P")).to_be_visible()
    sent = letters.wait_for("+8613900139001")
    assert order["path"] in sent["text"]
    assert "YQ8K" not in sent["text"]


def ask_code(page: Page, shop: Shop, contact: str) -> str:
    """Ask for a code; the words of the answer, without the contact in them."""
    page.goto(shop.front("/orders"))
    page.get_by_label("Mobile number or e-mail").fill(contact)
    page.get_by_role("button", name="Send me a code").click()
    expect(page.locator("h1")).to_have_text(re.compile("Type the code|Too many tries"))
    words = page.locator("main").inner_text()
    return re.sub(r"\d{3}\*{4}\d{4}", "…", words)


def test_an_order_is_found_again_by_a_one_time_code(front: Open, shop: Shop, letters: Letters) -> None:
    phone = "13900139002"
    order = shop.order(listing=shop.product()["listings"][0], contact=phone)
    before = len(letters.to("+86" + phone))
    page = front("/orders")
    known = ask_code(page, shop, phone)
    letter = letters.wait_for("+86" + phone, count=before + 1)
    while not (code := re.search(r"\b\d{6}\b", letter["text"])):
        letter = letters.wait_for("+86" + phone, count=len(letters.to("+86" + phone)) + 1)
    page.get_by_label("Code").fill(code[0])
    page.get_by_role("button", name="Show my orders").click()
    page.get_by_role("link", name=re.compile("¥19.90")).click()
    expect(page).to_have_url(shop.front(order["path"]))

    stranger = front("/orders")
    assert ask_code(stranger, shop, "13900139003") == known, "a stranger learns nothing"
    stranger.get_by_label("Code").fill("123456")
    stranger.get_by_role("button", name="Show my orders").click()
    expect(stranger.get_by_role("alert").first).to_be_visible()
    assert letters.to("+8613900139003") == []


def test_codes_and_guesses_are_throttled_with_a_sentence(front: Open, shop: Shop) -> None:
    page = front("/orders")
    answers = [ask_code(page, shop, "13900139004") for _ in range(5)]
    assert "Type the code" in answers[0]
    assert "Too many tries" in answers[-1]
    assert re.search(r"Wait \d+ seconds", answers[-1])


def test_paid_and_not_to_be_delivered_says_what_happened_and_when_the_money_is_back(front: Open, shop: Shop) -> None:
    order = waiting(shop)
    page = front(order["path"])
    shop.hands.ask("quarantine", slug=shop.slug)
    shop.hands.ask("pay_order", slug=shop.slug, no=order["no"])
    expect(page.get_by_role("heading", name=re.compile("money"))).to_be_visible()
    refund = page.locator("#refund")
    expect(refund).to_contain_text("Given back", timeout=15_000)
    expect(refund).to_contain_text("at most a few days")
    expect(refund).to_contain_text("¥19.90")
    expect(page.get_by_role("link", name="Help")).to_be_visible()
    assert shop.value("select state from refund") == "succeeded"


def test_a_payment_that_is_not_found_leaves_no_dead_end(front: Open, shop: Shop) -> None:
    page = front(waiting(shop)["path"])
    page.get_by_role("button", name="Ask about my payment").click()
    expect(page.get_by_text("Do not pay again; this page goes on by itself.")).to_be_visible()
    expect(page.get_by_role("button", name="Pay ¥19.90")).to_be_visible()
    page.get_by_role("link", name="Cancel the order").click()
    page.get_by_role("button", name="Cancel the order").click()
    expect(page.get_by_role("heading", name="Order cancelled")).to_be_visible()
    expect(page.get_by_role("link", name="Order it again")).to_be_visible()


def test_a_slow_script_does_not_send_a_form_without_its_token(surf: Surf, shop: Shop) -> None:
    order = waiting(shop)
    page = surf(width=1360)

    def late(route: Route) -> None:
        time.sleep(0.8)
        route.continue_()

    page.route("**/js/htmx-house.js*", late)
    page.goto(shop.front(order["path"]))
    expect(page.get_by_role("img", name="Code to pay with a phone")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
