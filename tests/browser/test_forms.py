"""What every form keeps to: all faults at once, one effect, no mouse needed, no scripts needed, and two kinds of nothing."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from operations.processes import System
from tests.browser.conftest import Letters, Shop, Surf

pytestmark = pytest.mark.browser

Open = Callable[..., Page]

FOCUS = """() => {
  const at = document.activeElement;
  const ring = [at, at.closest('label'), at.parentElement].filter(Boolean).map(getComputedStyle);
  return {
    text: (at.innerText || at.getAttribute('aria-label') || at.id || at.name || '').trim().slice(0, 40),
    visible: ring.some(style => style.outlineStyle !== 'none' || style.boxShadow !== 'none'),
    inside: !!at.closest('dialog'),
    nowhere: at === document.body,
  };
}"""


def tab_to(page: Page, text: str, most: int = 40) -> None:
    """Press Tab until something of that name has the focus, which must be seen at every step."""
    for _ in range(most):
        page.keyboard.press("Tab")
        seen: dict[str, Any] = page.evaluate(FOCUS)
        assert seen["visible"], f"no focus ring on {seen['text']}"
        if text in seen["text"]:
            return
    raise AssertionError(f"Tab never came to {text}")


def test_the_whole_order_flow_needs_no_mouse(surf: Surf, shop: Shop) -> None:
    shop.product(name="Skylark Video", skus=[["Month", 1990], ["Quarter", 5490]])
    page = surf(permissions=["clipboard-read", "clipboard-write"])
    page.goto(shop.front())
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUS)["text"] == "Skip to content"
    page.keyboard.press("Enter")
    tab_to(page, "Skylark Video")
    page.keyboard.press("Enter")
    page.wait_for_url("**/products/**")
    tab_to(page, "listing")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".price.xl").locator("visible=true")).to_contain_text("54")
    tab_to(page, "f-contact")
    page.keyboard.type("13800132046")
    page.keyboard.press("Enter")
    page.wait_for_url("**/orders/**")
    tab_to(page, "Pay ¥54.90")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{shop.system.gateway}/**")
    page.get_by_role("button", name=re.compile("54.90")).focus()  # the payment company's page is not ours
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your key is here")).to_be_visible()
    tab_to(page, "Show key 1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("KEY-")).to_be_visible()


def test_a_dialog_traps_the_focus_and_gives_it_back(front: Open, shop: Shop) -> None:
    order = shop.order(listing=shop.product()["listings"][0], upto="awaiting_payment")
    page = front(order["path"], width=1360)
    expect(page.locator("svg.qr")).to_be_visible()
    link = page.get_by_role("link", name="Cancel the order")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#dialog")).to_be_visible()
    for _ in range(6):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        assert focus["inside"] or focus["nowhere"], f"the focus left the dialog for {focus['text']}"
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).to_be_hidden()
    expect(link).to_be_focused()


def test_without_scripts_a_merchant_logs_in(surf: Surf, system: System, letters: Letters) -> None:
    slug = f"plain-{secrets.token_hex(4)}"
    page = surf(scripts=False)
    page.goto(f"{system.app_url}/sign-up")
    for label, text in {"Shop name": "Plain", "Shop address": slug, "E-mail": f"{slug}@mail.test"}.items():
        page.get_by_label(label).fill(text)
    page.get_by_label("Password").fill("a tree by the river 7")
    page.get_by_role("button", name="Open the shop").click()
    page.goto(letters.wait_for(f"{slug}@mail.test")["links"][0])
    page.get_by_role("button", name="Confirm the address").click()
    page.locator("summary", has=page.locator(".avatar")).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("h1")).to_have_text("Log in")
    page.get_by_label("E-mail").fill(f"{slug}@mail.test")
    page.get_by_label("Password").fill("a tree by the river 7")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("h1")).to_have_text("Overview")


def test_without_scripts_a_buyer_buys_and_finds_his_order_again(surf: Surf, shop: Shop, letters: Letters) -> None:
    phone = "13900139005"
    shop.product(name="Skylark Video", skus=[["Month", 1990]])
    page = surf(scripts=False, width=390)
    page.goto(shop.front())
    page.get_by_role("link", name="Skylark Video").click()
    page.get_by_label("Mobile number or e-mail").fill(phone)
    page.get_by_role("region", name="Buy").get_by_role("button", name="Buy now").click()
    page.get_by_role("button", name="Pay ¥19.90").click()
    page.get_by_role("button", name=re.compile("19.90")).click()
    expect(page.get_by_role("heading", name="Your key is here")).to_be_visible(timeout=15_000)
    page.get_by_role("button", name="Show key 1").click()
    expect(page.get_by_text(re.compile("^KEY-"))).to_be_visible()

    before = len(letters.to("+86" + phone))
    page.goto(shop.front("/orders"))
    page.get_by_label("Mobile number or e-mail").fill(phone)
    page.get_by_role("button", name="Send me a code").click()
    letter = letters.wait_for("+86" + phone, count=before + 1)
    code = re.search(r"\b\d{6}\b", letter["text"])
    assert code
    page.get_by_label("Code").fill(code[0])
    page.get_by_role("button", name="Show my orders").click()
    expect(page.get_by_role("link", name=re.compile("Skylark Video"))).to_be_visible()


def test_all_faults_come_at_once_beside_their_fields_and_what_was_typed_stays(office: Open) -> None:
    page = office("/products/new")
    page.get_by_label("Summary").fill("One month of films")
    page.locator("#f-sku-0-price").fill("cheap")
    page.get_by_label("Most one buyer may hold").fill("-1")
    page.get_by_role("button", name="Put on sale").click()
    wrong = page.locator("[aria-invalid=true]")
    expect(wrong).to_have_count(4)
    expect(wrong.first).to_be_focused()
    for field in wrong.all():
        described = (field.get_attribute("aria-describedby") or "").split()
        assert any(page.locator(f"[id='{part}'][role=alert]").count() for part in described)
    expect(page.get_by_label("Summary")).to_have_value("One month of films")
    expect(page.locator("#f-sku-0-price")).to_have_value("cheap")


def test_enter_in_a_field_saves_and_adds_no_row(office: Open, shop: Shop) -> None:
    page = office("/products/new")
    page.get_by_label("Name").first.fill("Skylark Video")
    page.locator("#f-sku-0-name").fill("Month")
    page.locator("#f-sku-0-price").fill("19.90")
    page.locator("#f-sku-0-price").press("Enter")
    page.wait_for_url("**/imports")
    assert shop.value("select count(*) from sku") == 1


def test_a_double_press_buys_once_and_pays_once(front: Open, shop: Shop) -> None:
    made = shop.product(name="Skylark Video", skus=[["Month", 1990]])
    page = front(f"/products/{made['id']}", width=1360)
    page.get_by_label("Mobile number or e-mail").fill("13800132046")
    page.get_by_role("button", name="Buy now").locator("visible=true").dblclick()
    page.get_by_role("button", name="Pay ¥19.90").dblclick()
    page.wait_for_url(f"{shop.system.gateway}/**")
    assert shop.value("select count(*) from shop_order") == 1
    assert shop.value("select count(*) from payment") == 1


def test_a_double_press_refunds_once(office: Open, shop: Shop) -> None:
    order = shop.order(listing=shop.product()["listings"][0])
    page = office(f"/orders/{order['no']}")
    page.get_by_role("link", name="Refund ¥19.90").click()
    page.get_by_label("Why").fill("He bought the wrong one")
    page.get_by_role("button", name="Refund ¥19.90").dblclick()
    expect(page.locator("#order-timeline")).to_contain_text("He bought the wrong one")
    assert shop.value("select count(*) from refund") == 1


def test_the_same_form_sent_again_is_the_same_order(front: Open, shop: Shop) -> None:
    made = shop.product(name="Skylark Video", skus=[["Month", 1990]])
    page = front(f"/products/{made['id']}", width=1360)
    page.get_by_label("Mobile number or e-mail").fill("13800132046")
    with page.expect_request("**/checkout") as sent:
        page.get_by_role("button", name="Buy now").locator("visible=true").click()
    page.wait_for_url("**/orders/**")
    again = """body => fetch('/checkout', {method: 'POST', body, headers: {'content-type': 'application/x-www-form-urlencoded'}})
      .then(answer => answer.url)"""
    assert page.evaluate(again, sent.value.post_data) == page.url
    assert shop.value("select count(*) from shop_order") == 1


LISTS = {
    "/orders": ("No orders yet", "Products"),
    "/products": ("No products yet", "New product"),
    "/card-pools": ("No card pools yet", "New product"),
}


def test_an_empty_list_and_an_empty_search_say_different_things(office: Open, shop: Shop) -> None:
    page = office()
    for path, (text, button) in LISTS.items():
        page.goto(shop.desk(path))
        expect(page.locator(".empty")).to_contain_text(text)
        expect(page.locator(".empty").get_by_role("link", name=button)).to_be_visible()
    shop.order(listing=shop.product()["listings"][0])
    for path in ("/orders?q=nothing-like-it", "/products?q=nothing-like-it", "/card-pools?low=1"):
        page.goto(shop.desk(path))
        expect(page.locator(".empty")).to_contain_text("Nothing matches")
        page.get_by_role("link", name="Clear filters").last.click()
        expect(page.locator("tbody tr").first).to_be_visible()
