"""A stranger becomes a merchant: sign-up, the list that ticks itself, and the first card-keys."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from operations.processes import System
from tests.browser.conftest import Letters, Shop, Surf

pytestmark = pytest.mark.browser

MOST_SCREENS = 6
KEYS = ["YQ8K-5N2W-0001", "YQ8K-5N2W-0002", "YQ8K-5N2W-0003"]


class Screens:
    """Counts the pages of the back office on which somebody had to fill in or press something."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.used: list[str] = []

    def press(self, name: str, role: str = "button") -> None:
        self.used.append(self.page.locator("h1").inner_text())
        before = self.page.url
        self.page.get_by_role(role, name=name, exact=True).first.click()  # type: ignore[arg-type]
        self.page.wait_for_url(lambda url: url != before)


def sign_up(screens: Screens, system: System, letters: Letters, slug: str) -> None:
    page, email = screens.page, f"{slug}@mail.test"
    page.goto(f"{system.app_url}/sign-up")
    page.get_by_label("Shop name").fill("Nanzhi Cards")
    page.get_by_label("Shop address").fill(slug)
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill("a tree by the river 7")
    screens.press("Open the shop")
    expect(page.locator("h1")).to_have_text("Read your mail")
    page.goto(letters.wait_for(email)["links"][0])
    screens.press("Confirm the address")
    expect(page.locator("h1")).to_have_text("Overview")


def put_on_sale(screens: Screens) -> None:
    page = screens.page
    screens.press("Create a product", role="link")
    page.get_by_label("Name").first.fill("Skylark Video")
    page.locator("#f-sku-0-name").fill("Month")
    page.locator("#f-sku-0-price").fill("19.90")
    screens.press("Put on sale")
    page.get_by_label("Or paste them").fill("\n".join(KEYS))
    page.get_by_label("Cost of one key").fill("14.7")
    screens.press("Check these keys")
    page.get_by_role("button", name="Import 3 keys").click()
    screens.used.append("Preview")
    expect(page.get_by_text("Keys by state")).to_be_visible()


def buy(page: Page) -> None:
    """Product, contact, pay: what the merchant's own buyers do."""
    page.get_by_role("link", name="Skylark Video").click()
    page.get_by_label("Mobile number or e-mail").fill("13800132046")
    page.get_by_role("button", name="Buy now").locator("visible=true").click()
    page.get_by_role("button", name="Pay ¥19.90").click()
    page.get_by_role("button", name=re.compile("19.90")).click()


@pytest.mark.parametrize("width", [1360, 390])
def test_a_stranger_makes_the_first_test_sale_within_six_screens(
    surf: Surf, system: System, letters: Letters, width: int
) -> None:
    slug = f"nanzhi-{secrets.token_hex(4)}"
    page = surf(width=width)
    screens = Screens(page)
    sign_up(screens, system, letters, slug)
    put_on_sale(screens)
    assert len(screens.used) <= MOST_SCREENS, screens.used
    page.goto(system.shop_url(slug))
    buy(page)
    expect(page.get_by_role("heading", name="Your key is here")).to_be_visible()
    page.get_by_role("button", name="Show key 1").click()
    expect(page.get_by_text(re.compile("YQ8K-5N2W-000[123]"))).to_be_visible()


def test_the_set_up_list_ticks_itself_and_comes_back_when_asked(office: object, shop: Shop) -> None:
    page: Page = office()  # type: ignore[operator]
    before = _steps_left(page)
    made = shop.product()
    page.reload()
    assert _steps_left(page) < before
    expect(page.get_by_text("Done:")).to_contain_text("product")
    between = _steps_left(page)
    shop.order(listing=made["listings"][0])
    page.reload()
    assert _steps_left(page) < between
    page.get_by_role("button", name="Put the set-up list away").click()
    expect(page.get_by_role("progressbar", name="Set-up progress")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("progressbar", name="Set-up progress")).to_have_count(0)
    page.get_by_role("button", name="Show the set-up list again").click()
    expect(page.get_by_role("progressbar", name="Set-up progress")).to_be_visible()


def _steps_left(page: Page) -> int:
    bar = page.get_by_role("progressbar", name="Set-up progress")
    return int(bar.get_attribute("max") or 0) - int(bar.get_attribute("value") or 0)


PASTED = [*KEYS, KEYS[0], "KEY-THAT-IS-THERE", "bad\u0007line"]


@pytest.mark.parametrize("way", ["paste", "file"])
def test_keys_are_sorted_before_anything_is_saved_and_masked_ever_after(
    office: object, shop: Shop, tmp_path: Path, way: str
) -> None:
    sku = shop.product(stock=0)["skus"][0]
    shop.hands.ask("stock", slug=shop.slug, sku=sku, keys=["KEY-THAT-IS-THERE"])
    page: Page = office(f"/card-pools/{sku}/imports")  # type: ignore[operator]
    if way == "paste":
        page.get_by_label("Or paste them").fill("\n".join(PASTED))
    else:
        file = tmp_path / "keys.txt"
        file.write_bytes("\ufeff".encode() + "\r\n".join(PASTED).encode())
        page.locator("input[type=file]").set_input_files(file)
        expect(page.locator("[data-file-name]")).to_have_text("keys.txt")
    page.get_by_label("Cost of one key").fill("14.70")
    page.get_by_role("button", name="Check these keys").click()
    figures = page.locator(".stats.three")
    expect(figures).to_contain_text(re.compile(r"Can be imported\s*3\s*lines"))
    expect(figures).to_contain_text(re.compile(r"Duplicate\s*2\s*lines"))
    expect(figures).to_contain_text(re.compile(r"Bad\s*1\s*line"))
    assert shop.value("select count(*) from card_key") == 1, "nothing is saved before it is confirmed"
    assert not any(key in page.content() for key in KEYS)
    page.get_by_role("button", name="Import 3 keys").click()
    expect(page.get_by_text("Keys by state")).to_be_visible()
    assert shop.value("select count(*) from card_key") == 4
    expect(page.get_by_text("****0002")).to_be_visible()
    assert not any(key in page.content() for key in KEYS)
