"""Trouble after a delivery in a real browser: the steps, the report, the team's queue, and what may not be done, with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Letters, Shop

pytestmark = pytest.mark.browser

Open = Callable[..., Page]
BUYER = "+8613800132046"


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


def reported(shop: Shop) -> tuple[dict[str, str], str]:
    """A key that was bought, read and reported: its order, and the path of its case."""
    order = shop.order(listing=shop.product()["listings"][0])
    case_no = shop.hands.ask("complain", slug=shop.slug, no=order["no"])["case_no"]
    return order, f"/after-sales/{case_no}"


def test_the_queue_tells_how_long_a_case_has_and_when_it_is_late(office: Open, shop: Shop) -> None:
    _, path = reported(shop)
    desk = office("/after-sales", width=1360)
    row = desk.locator("tbody tr")
    expect(row).to_contain_text(re.compile(r"in \d+ h"))
    expect(row).to_contain_text("open for")
    shop.rows("update after_sale_case set due_at = now() - interval '3 hours' returning id")
    desk.reload()
    expect(row).to_contain_text("Overdue 3 h")
    row.locator("a.keep").click()
    expect(desk).to_have_url(shop.desk(path))
    expect(desk.get_by_text("Overdue for 3 h")).to_be_visible()


def test_the_team_refunds_a_unit_from_its_page_and_the_dialog_says_what_happens(front: Open, office: Open, shop: Shop) -> None:
    order, path = reported(shop)
    desk = office(path, width=1360)
    desk.get_by_role("link", name="Refund ¥19.90").click()
    dialog = desk.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Give ¥19.90 back to 138****2046?")).to_be_visible()
    expect(dialog.get_by_text("the way it was paid, through Sandbox")).to_be_visible()
    expect(dialog.get_by_text("What was delivered is void from now on.")).to_be_visible()
    assert shop.value("select count(*) from refund") == 0, "nothing is done before somebody says so"
    dialog.get_by_role("button", name="Refund ¥19.90").click()
    expect(desk.get_by_text("Fill this in.")).to_be_visible()
    assert shop.value("select count(*) from refund") == 0, "nor without a reason"
    desk.get_by_label("Why").fill("It is invalid there")
    desk.get_by_role("button", name="Refund ¥19.90").click()
    expect(desk.get_by_text("The refund is on its way.")).to_be_visible()
    page = front(order["path"])
    expect(page.get_by_role("heading", name="Your money was given back")).to_be_visible(timeout=20_000)
    desk.reload()
    expect(desk.get_by_role("button", name="Replace the key")).to_have_attribute("aria-disabled", "true")
    assert shop.rows("select amount_minor::int, state from refund") == [{"amount_minor": 1990, "state": "succeeded"}]


def test_the_team_turns_a_report_down_with_a_text_it_keeps(front: Open, office: Open, shop: Shop) -> None:
    order, path = reported(shop)
    kept = "Our records show that it was used in your account."
    desk = office("/after-sales/settings", width=1360)
    desk.get_by_label("Texts").fill(f"Please try it once more.\n{kept}")
    desk.get_by_role("button", name="Save").click()
    expect(desk.get_by_text("Saved")).to_be_visible()
    desk.goto(shop.desk(path))
    desk.get_by_label("A text you keep").select_option(kept)
    desk.get_by_role("button", name="Reject with this reason").click()
    expect(desk.get_by_text("Rejected; the buyer gets a message.")).to_be_visible()
    page = front(order["path"])
    expect(page.get_by_role("heading", name="The shop has turned your report down")).to_be_visible()
    expect(page.get_by_text(kept)).to_be_visible()
    assert shop.value("select count(*) from refund") == 0


def test_the_team_sends_the_message_again_and_it_leads_to_the_same_key(
    front: Open, office: Open, shop: Shop, letters: Letters
) -> None:
    order, path = reported(shop)
    before = len(letters.to(BUYER))
    desk = office(path, width=1360)
    desk.get_by_role("button", name="Send the message again").click()
    expect(desk.get_by_text("The message is on its way.")).to_be_visible()
    letter = letters.wait_for(BUYER, count=before + 1)
    page = front(order["path"])
    page.goto(letter["links"][0])
    expect(page.get_by_role("button", name="Show key 1")).to_be_visible()
    assert shop.value("select count(*) from card_key where state = 'delivered'") == 1
