"""The suppliers' board in a browser: it changes without a reload, a supplier is stopped by hand, and what only he can deliver leaves the shop."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shop, Surf
from tests.simulators import OutboxSimulator, SupplierSimulator, supplier_simulator

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


def look(page: Page, name: str) -> None:
    """Keep a picture where somebody asked for pictures."""
    if folder := os.environ.get("QUANYI_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_the_board_changes_without_a_reload_and_a_stopped_supplier_takes_its_goods_off_the_shelf(
    office: Open, front: Open, surf: Surf, shop: Shop, product: str
) -> None:
    board, shopper = office("/suppliers/board"), front(product)
    board.evaluate("window.stays = true")
    expect(shopper.get_by_role("button", name="Buy now").first).to_be_visible()
    desk = office("/suppliers/board")
    desk.get_by_role("button", name="Stop").first.click()
    expect(board.get_by_text("Stopped by hand").first).to_be_visible(timeout=15_000)
    assert board.evaluate("window.stays") is True
    look(board, "board-stopped")
    shopper.wait_for_timeout(3_000)  # the shelf holds what it has read for two seconds
    shopper.reload()
    expect(shopper.get_by_role("button", name="Buy now")).to_have_count(0)
    desk.goto(shop.desk("/notices"))
    expect(desk.get_by_text("is off the shelf: nobody can deliver it")).to_be_visible()
    expect(desk.get_by_role("link", name="unread notices")).to_be_visible()
    look(desk, "notices")
    desk.get_by_role("button", name="Mark all as read").click()
    expect(desk.get_by_role("link", name="unread notices")).to_have_count(0)
    desk.goto(shop.desk("/suppliers/board"))
    desk.get_by_role("button", name="Buy here again").first.click()
    expect(board.get_by_text("Stopped by hand")).to_have_count(0, timeout=15_000)
    shopper.wait_for_timeout(3_000)
    shopper.reload()
    expect(shopper.get_by_role("button", name="Buy now").first).to_be_visible()


def test_a_robot_is_connected_and_tried(office: Open, shop: Shop, tmp_path: Path) -> None:
    outbox = OutboxSimulator(tmp_path / "outbox.sqlite3")
    try:
        group = outbox.robot("dingtalk")
        page = office("/settings/robots")
        look(page, "robots-empty")
        page.get_by_role("link", name="DingTalk").click()
        look(page, "robot-form")
        page.get_by_label("Name").fill("Ops group")
        page.get_by_label("Address").fill(group.address)
        page.get_by_label("Secret").fill(group.secret)
        page.get_by_role("button", name="Save").click()
        page.get_by_role("button", name="Send a test message").click()
        expect(page.get_by_text("The group has the test message.")).to_be_visible()
        assert "This is a test" in group.texts()[0] or "测试" in group.texts()[0]
        look(page, "robots")
        phone = office("/settings/robots", width=390, scheme="dark", language="zh")
        look(phone, "robots-phone")
        look(office("/settings/robots/new?company=feishu", width=390, scheme="dark", language="zh"), "robot-form-phone")
    finally:
        outbox.stop()


def test_a_statement_is_imported_compared_and_its_difference_decided(
    office: Open, shop: Shop, product: str, company: SupplierSimulator, tmp_path: Path
) -> None:
    connection = shop.value("select id::text from supplier_connection")
    file = tmp_path / "statement.csv"
    file.write_text("商户订单号,订单号,金额,状态\nX-4711,R-1,12.5,成功\nX-4712,R-2,8,失败\n")
    page = office(f"/suppliers/connections/{connection}/statements")
    page.get_by_label("CSV or xlsx").set_input_files(file)
    look(page, "statement-form")
    page.get_by_role("button", name="Import and compare").click()
    expect(page.get_by_text("X-4711")).to_be_visible()
    look(page, "statement")
    page.goto(shop.desk("/suppliers/differences"))
    for _ in range(20):
        if page.get_by_role("link", name="Only the supplier knows it").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    page.get_by_role("link", name="Only the supplier knows it").click()
    look(page, "difference")
    page.get_by_role("radio", name="Adjusted").check()
    page.get_by_label("Why", exact=True).fill("their mail of Monday")
    page.get_by_role("button", name="Decide").click()
    expect(page.get_by_text("supplier_payable")).to_be_visible()
    page.goto(shop.desk("/suppliers/settlement"))
    look(page, "settlement")
    look(office("/suppliers/settlement", width=390, scheme="dark", language="zh"), "settlement-phone")
    look(office("/suppliers/comparison"), "comparison")


@pytest.fixture
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("platform"), "family_962699") as company:
        company.goods({"sku": "MONTH", "kind": "card", "cost": "10", "currency": "CNY"})
        yield company


def test_a_use_the_supplier_tells_of_appears_on_open_pages_within_seconds(
    office: Open, surf: Surf, shop: Shop, platform: SupplierSimulator
) -> None:
    credentials = platform.client(balance="100000", currency="CNY")
    made = shop.hands.ask("told_of", slug=shop.slug, url=platform.url, credentials=credentials)
    platform.change_client(platform.book()["clients"][-1]["id"], uses_url=made["address"])
    order = shop.order(listing=made["listing"])
    desk = office(f"/orders/{order['no']}")
    desk.evaluate("window.stays = true")
    platform.use(platform.book()["purchases"][0]["out_no"], place="West Lake, till 3")
    expect(desk.locator("#order-uses")).to_contain_text("West Lake, till 3")
    expect(desk.locator("#order-timeline")).to_contain_text("Used, says the supplier")
    assert desk.evaluate("window.stays") is True
    look(desk, "told-use")
    look(office(f"/orders/{order['no']}", width=390, scheme="dark", language="zh"), "told-use-phone")
    buyer = surf(width=390)
    buyer.goto(shop.front(order["path"]))
    expect(buyer.locator("main")).to_contain_text("at West Lake, till 3")
    look(buyer, "told-use-buyer")
    connection = f"/suppliers/connections/{made['connection']}"
    look(office(connection), "told-use-connection")
    look(office(connection + "/recipe"), "told-use-recipe")
    look(office(connection + "/recipe", width=390, scheme="dark", language="zh"), "told-use-recipe-phone")
