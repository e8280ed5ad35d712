"""Topping up a number on a phone: typed right, read again, credited in stages; and what a buyer reads when it cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shop
from tests.simulators import SupplierSimulator, supplier_simulator

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


@pytest.fixture
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("airtime"), "dingconnect") as company:
        company.goods({"sku": "AIRTIME", "kind": "top_up", "cost": "5", "currency": "CNY", "face_value_minor": 500})
        yield company


@pytest.fixture
def product(shop: Shop, company: SupplierSimulator) -> str:
    credentials = company.client(balance="100000", currency="CNY")
    found: dict[str, str] = shop.hands.ask("top_up", slug=shop.slug, url=company.url, credentials=credentials)
    return f"/products/{found['id']}"


def to_confirmation(page: Page, number: str = "13800132046") -> None:
    page.get_by_label("充值号码").fill(number)
    page.get_by_label("Mobile number or e-mail").fill("13800138000")
    page.get_by_role("button", name="Buy now").first.click()
    expect(page.get_by_role("heading", name="Is this the right account?")).to_be_visible()


def paid(shop: Shop, page: Page) -> None:
    """Say yes, and pay as at the gateway."""
    page.get_by_role("button", name="Yes, go on to payment").click()
    page.wait_for_url(re.compile("/orders/"))
    shop.hands.ask("pay_order", slug=shop.slug, no=page.url.split("/")[4])


def test_a_number_is_grouped_cleaned_checked_on_leaving_and_read_again(front: Open, product: str) -> None:
    page = front(product, width=390)
    field = page.get_by_label("充值号码")
    field.press_sequentially("13800132046")
    expect(field).to_have_value("138 0013 2046")
    field.fill("1380013")
    field.blur()
    expect(page.get_by_text("Type an 11-digit mobile number of the mainland")).to_be_visible()
    field.fill("")
    field.evaluate(
        """field => { const data = new DataTransfer(); data.setData('text', '+86 138-0013-2046 ');
        field.focus(); field.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})); }"""
    )
    expect(field).to_have_value("138 0013 2046")
    to_confirmation(page, "138 0013 2046")
    expect(page.locator("[data-account]")).to_have_text("138 0013 2046")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_label("充值号码")).to_have_value("138 0013 2046")


def test_a_top_up_shows_its_stages_until_it_is_credited(
    front: Open, shop: Shop, company: SupplierSimulator, product: str
) -> None:
    company.conduct(decide_ms=4000)
    page = front(product, width=390)
    to_confirmation(page)
    paid(shop, page)
    expect(page.get_by_text("The supplier has taken it in")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("heading", name="Credited", exact=True)).to_be_visible(timeout=30_000)
    expect(page.get_by_text("138****2046").first).to_be_visible()
    assert company.totals()["effects"]["count"] == 1


def test_paid_and_refused_the_page_says_what_happened_and_where_the_money_is(
    front: Open, shop: Shop, company: SupplierSimulator, product: str
) -> None:
    company.script({"refuse": "bad_account"}, on="place", times=1)
    page = front(product, width=390)
    to_confirmation(page)
    paid(shop, page)
    expect(page.get_by_text("The supplier refused the account")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("heading", name=re.compile("money"))).to_be_visible()
    expect(page.locator("#refund")).to_be_visible()
    assert company.totals()["effects"]["count"] == 0


def test_without_scripts_it_is_bought_all_the_same(front: Open, product: str) -> None:
    page = front(product, width=390, scripts=False)
    to_confirmation(page)
    page.get_by_role("button", name="Yes, go on to payment").click()
    expect(page).to_have_url(re.compile("/orders/"))


def test_what_has_not_arrived_is_topped_up_again_from_the_cases_page(
    front: Open, office: Open, shop: Shop, company: SupplierSimulator, product: str
) -> None:
    page = front(product, width=390)
    to_confirmation(page)
    paid(shop, page)
    expect(page.get_by_role("heading", name="Credited", exact=True)).to_be_visible(timeout=30_000)
    page.get_by_role("link", name="It has not arrived").click()
    page.get_by_role("button", name="No, it still does not work").click()
    page.get_by_role("button", name="Report it").click()
    expect(page.get_by_role("heading", name="The shop is looking at your report")).to_be_visible(timeout=30_000)
    desk = office("/after-sales", width=1360)
    desk.locator("table a.keep").click()
    expect(desk.get_by_text("The supplier says that it delivered")).to_be_visible()
    desk.get_by_role("link", name="Top up again").click()
    dialog = desk.get_by_role("dialog")
    expect(dialog.get_by_text("The account is credited a second time")).to_be_visible()
    assert company.totals()["effects"]["count"] == 1
    dialog.get_by_label("Why").fill("The operator lost the first one")
    dialog.get_by_role("button", name="Top up again").click()
    expect(desk.get_by_text("another is being delivered")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="It was replaced")).to_be_visible(timeout=30_000)
    assert company.totals()["effects"] == {"count": 2, "numbers": 2}
    accounts = {effect["account"] for effect in company.book()["effects"]}
    assert len(accounts) == 1, "the same account both times"
