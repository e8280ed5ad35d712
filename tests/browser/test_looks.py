"""Pages that only a form leads to, to axe, in light and dark, on a desk and in a hand; and the theme."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.axe import wrong_with
from tests.browser.conftest import Shop, Surf

pytestmark = pytest.mark.browser


def test_axe_finds_nothing_on_pages_that_only_a_form_leads_to(surf: Surf, shop: Shop) -> None:
    made = shop.product(name="Skylark Video", skus=[["A1", 1990]])
    doomed = shop.order(listing=made["listings"][0], upto="awaiting_payment")
    page, found = surf(), []

    def look(name: str) -> None:
        for width, scheme in ((390, "dark"), (1360, "light")):
            found.extend(f"{name}: {fault}" for fault in wrong_with(page, width=width, scheme=scheme))
        page.set_viewport_size({"width": 1360, "height": 900})

    page.goto(shop.front(f"/products/{made['id']}"))
    page.get_by_label("Mobile number or e-mail").fill("138")
    page.get_by_role("button", name="Buy now").locator("visible=true").click()
    expect(page.locator("#f-contact-error")).to_be_visible()
    look("faults")
    page.get_by_role("button", name="Put in the cart").click()
    expect(page.locator("h1")).to_have_text("Cart")
    look("cart")
    page.goto(shop.front("/orders"))
    page.get_by_label("Mobile number or e-mail").fill("13900139006")
    page.get_by_role("button", name="Send me a code").click()
    expect(page.locator("h1")).to_have_text("Type the code")
    look("code")
    shop.hands.ask("quarantine", slug=shop.slug)
    shop.hands.ask("pay_order", slug=shop.slug, no=doomed["no"])
    page.goto(shop.front(doomed["path"]))
    expect(page.locator("#refund")).to_contain_text("Given back", timeout=15_000)
    look("refunded")
    assert not found, "\n".join(found)


FRAMES = """
window.frames_seen = [];
(function look() {
  if (document.body) window.frames_seen.push(document.documentElement.classList.contains('dark'));
  if (window.frames_seen.length < 20) requestAnimationFrame(look);
})();
"""


def test_the_theme_follows_the_system_stays_chosen_and_never_flashes(surf: Surf, shop: Shop) -> None:
    page = surf(scheme="light")
    page.goto(shop.front())
    root = page.locator("html")
    expect(root).to_have_class("js")
    page.emulate_media(color_scheme="dark")
    expect(root).to_have_class("js dark")
    page.emulate_media(color_scheme="light")
    expect(root).to_have_class("js")
    page.get_by_role("button", name="Switch light and dark").click()
    expect(root).to_have_class("js dark")
    page.add_init_script(FRAMES)
    for path in ("/", "/help", "/orders"):
        page.goto(shop.front(path))
        seen = page.evaluate("new Promise(resolve => setTimeout(() => resolve(window.frames_seen), 300))")
        assert len(seen) >= 3
        assert all(seen), "a light frame was painted"
    expect(root).to_have_class("js dark")
