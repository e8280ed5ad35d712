"""Stored script in every text and picture somebody can leave with us, looked at in a real browser: none of it runs, loads or is obeyed by htmx."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shop, Surf

pytestmark = [pytest.mark.browser, pytest.mark.case("H03")]
RAN = "document.documentElement.dataset.ran = '1'"
CANARIES = (
    f"<script>{RAN}</script>",
    f'<img src=x onerror="{RAN}">',
    f"<svg onload={RAN.replace(' ', '')}></svg>",
    f'"><img src=x onerror={RAN.replace(" ", "")}>',
    f"' autofocus onfocus={RAN.replace(' ', '')} x='",
    f'<a href="javascript:{RAN}">x</a>',
    f'<div hx-get="/cart" hx-trigger="load" hx-on:load="{RAN}">x</div>',
    f"<iframe srcdoc='<script>parent.{RAN}</script>'></iframe>",
    f"<style>*{{background:url(javascript:{RAN})}}</style>",
    '<meta http-equiv="refresh" content="0;url=//evil.example">',
    "</title></textarea></script><base href=//evil.example>",
    f"<math><mtext></form><form><mglyph><style></math><img src=x onerror={RAN.replace(' ', '')}>",
    "{{constructor.constructor('alert(1)')()}}",
)
KEYS = ("<img/src=x/onerror=alert(1)>0001", "<svg/onload=alert(2)></svg>0002")
NAME = 120
"""As much of one as a name takes."""
Open = Callable[..., Page]


def leaves(page: Any) -> list[str]:
    """What of a canary became more than text: a script that ran, an element of its own, an attribute that runs, a foreign address."""
    found: list[str] = page.evaluate(
        """() => {
            const bad = [];
            if (document.documentElement.dataset.ran) bad.push('it ran');
            for (const e of document.querySelectorAll('main *, header *, footer *, title, base, meta')) {
                if (['SCRIPT', 'IFRAME', 'OBJECT', 'EMBED', 'STYLE', 'BASE', 'MATH'].includes(e.tagName)) bad.push(e.tagName);
                if (e.tagName === 'META' && e.httpEquiv === 'refresh') bad.push('refresh');
                for (const a of e.attributes) {
                    if (a.name.startsWith('on') || a.name.startsWith('hx-on')) bad.push(e.tagName + ' ' + a.name);
                    if (/^\\s*(javascript|data:text|vbscript)/i.test(a.value)) bad.push(e.tagName + ' ' + a.name);
                    if (['href', 'src', 'action', 'srcdoc'].includes(a.name) && /evil[.]example/.test(a.value)) bad.push(a.value);
                }
            }
            return bad;
        }"""
    )
    return found


def look(page: Page, address: str) -> None:
    """Open a page, let its scripts do what they will, and look for canaries that came alive."""
    page.goto(address)
    page.wait_for_load_state("networkidle")
    assert leaves(page) == [], address


@pytest.fixture
def hostile(open_shop: Callable[..., Shop]) -> Shop:
    """A shop named, described and stocked with canaries, that sold one thing."""
    shop = open_shop(name=CANARIES[3])
    shop.rows(
        "update storefront set tagline = $1, notice_html = $2, support_contact = $1 returning name",
        CANARIES[1],
        "".join(CANARIES),
    )
    for canary in CANARIES:
        made = shop.product(name=canary[:NAME], summary=canary, description_html=f"<p>{canary}</p>", usage_html=canary, stock=0)
    shop.hands.ask("stock", slug=shop.slug, sku=made["skus"][0], keys=list(KEYS))
    sold = shop.order(listing=made["listings"][0], contact="canary@nanzhi.example", quantity=2)
    object.__setattr__(shop, "sold", {**made, **sold})
    return shop


def test_what_a_merchant_writes_runs_in_nobodys_browser(surf: Surf, hostile: Shop) -> None:
    page, sold = surf(), hostile.sold  # type: ignore[attr-defined]
    found = [row["id"] for row in hostile.rows("select id from product")]
    for path in (
        "/",
        "/categories",
        "/search?q=script",
        "/help",
        "/terms",
        "/cart",
        sold["path"],
        *(f"/products/{id}" for id in found),
    ):
        look(page, hostile.front(path))
    desk = surf(token=hostile.token)
    for path in (
        "",
        "/products",
        "/card-pools",
        "/orders",
        "/audit",
        "/settings",
        "/team",
        f"/orders/{sold['no']}",
        *(f"/products/{id}" for id in found),
    ):
        look(desk, hostile.desk(path))


def test_a_key_that_is_a_script_is_shown_as_its_text(surf: Surf, hostile: Shop) -> None:
    page, sold = surf(scripts=False), hostile.sold  # type: ignore[attr-defined]
    page.goto(hostile.front(sold["path"]))
    page.locator('form[action$="/reveals"] button').first.click()
    expect(page.locator("main")).to_contain_text(re.compile("|".join(map(re.escape, KEYS))))
    assert leaves_without_scripts(page) == []


def leaves_without_scripts(page: Page) -> list[str]:
    """In a page whose scripts are off: images with handlers would still stand in it."""
    return [
        tag.get_attribute("src") or "" for tag in page.locator("main img[onerror], main [onfocus], main script:not([src])").all()
    ]


def test_what_staff_write_of_themselves_and_of_orders_runs_in_no_colleagues_browser(surf: Surf, hostile: Shop) -> None:
    desk, sold = surf(token=hostile.token), hostile.sold  # type: ignore[attr-defined]
    desk.goto(hostile.system.app_url + "/me")
    desk.fill('input[name="name"]', CANARIES[3])
    desk.locator('main form[action="/me"] button[type="submit"]').first.click()
    desk.wait_for_load_state("networkidle")
    for canary in CANARIES:
        desk.goto(hostile.desk(f"/orders/{sold['no']}"))
        desk.get_by_label("Write a note").fill(canary)
        desk.get_by_role("button", name="Save note").click()
        desk.wait_for_load_state("networkidle")
    for path in ("", "/team", "/audit", f"/orders/{sold['no']}", f"/orders/{sold['no']}/timeline"):
        look(desk, hostile.desk(path))
    assert len(hostile.rows("select id from history where event = 'order.noted'")) == len(CANARIES)


def test_a_drawing_with_a_script_in_it_is_no_picture(surf: Surf, hostile: Shop) -> None:
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" onload="{RAN}"><script>{RAN}</script></svg>'
    desk = surf(token=hostile.token)
    for name, kind in (("logo.svg", "image/svg+xml"), ("logo.png", "image/png")):
        desk.goto(hostile.desk("/settings"))
        desk.locator('input[type="file"]').first.set_input_files({"name": name, "mimeType": kind, "buffer": drawing.encode()})
        desk.locator('form[action$="/settings/logo"] button[type="submit"]').first.click()
        desk.get_by_text("This is no PNG, JPEG or WebP picture").first.wait_for()
        assert leaves(desk) == []
    assert hostile.value("select count(*) from picture") == 0


def test_red_the_look_finds_a_canary_that_is_alive(surf: Surf, hostile: Shop) -> None:
    """Put into the page past every guard, each of these is noticed."""
    page = surf()
    page.goto(hostile.front("/"))
    for canary in (
        CANARIES[1].replace("src=x", ""),
        CANARIES[5],
        CANARIES[7].replace("srcdoc", "data-doc"),
        "<b hx-on:load='1'>x</b>",
    ):
        page.evaluate("html => { document.querySelector('main').innerHTML = html }", canary)
        assert leaves(page) != [], canary
    heard: list[str] = surf.__self__.faults  # type: ignore[attr-defined]
    assert any("olicy" in fault for fault in heard), "the pages' policy stopped what would have run"
    heard.clear()
