"""The README's pictures, taken from a seeded system of its own: `python -m operations.screenshots`. Needs Debian's chromium and pngquant."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from operations.doctor import find_chromium
from operations.places import ROOT
from operations.preparation import logins_file
from operations.processes import Plan, System
from operations.trouble import Trouble

MOST_BYTES = 120_000
DESK, HAND = (1280, 860), (390, 844)
_PASTED = [f"YQ-2026-{number:04d}-{number * 7919 % 100_000:05d}" for number in range(1, 63)]
_BAD = ["YQ-2026-0063-98897,8842,14.90", "YQ1", "卡号"]


def run(arguments: list[str]) -> int:
    """Take all five pictures anew. Raises: Trouble where a tool is missing."""
    parser = argparse.ArgumentParser(prog="python -m operations.screenshots", description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "screenshots", metavar="FOLDER")
    folder: Path = parser.parse_args(arguments).into
    chromium, squeezer = find_chromium(), shutil.which("pngquant")
    if chromium is None or squeezer is None:
        raise Trouble("Please install what takes the pictures: apt-get install chromium fonts-noto-cjk pngquant")
    folder.mkdir(parents=True, exist_ok=True)
    system = System.temporary(Plan(environment="demo", seeded=True))
    try:
        system.start()
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            take(browser, system, folder)
            browser.close()
    finally:
        system.delete()
    for picture in sorted(folder.glob("*.png")):
        squeeze(squeezer, picture)
    return 0


def take(browser: Browser, system: System, folder: Path) -> None:
    """The five pictures, in the order the README shows them."""
    logins = json.loads(logins_file(system.folder).read_text())
    owner = next(login for login in logins if login["surface"] == "app" and login["path"].startswith("/m/"))
    shop = next(login for login in logins if login["surface"].startswith("shop:"))
    front = system.shop_url(shop["surface"].partition(":")[2])
    desk = log_in(open_page(browser, DESK), system, owner)
    desk.screenshot(path=folder / "dashboard.png")
    preview(desk, system.app_url + owner["path"])
    desk.screenshot(path=folder / "import.png")
    page = open_page(browser, DESK)
    page.goto(front)
    page.screenshot(path=folder / "shop.png")
    page = open_page(browser, HAND)
    page.goto(front)
    page.locator(".good:not(.is-gone)").first.click()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=folder / "product.png")
    buy(page)
    page.screenshot(path=folder / "delivery.png")


def open_page(browser: Browser, size: tuple[int, int]) -> Page:
    """A Chinese reader's browser, in light."""
    width, height = size
    return browser.new_context(
        viewport={"width": width, "height": height},
        locale="zh-CN",
        timezone_id="Asia/Shanghai",
        color_scheme="light",
        reduced_motion="reduce",
        device_scale_factor=1.5 if size == HAND else 1,
    ).new_page()


def log_in(page: Page, system: System, owner: dict[str, str]) -> Page:
    page.goto(f"{system.app_url}/log-in")
    page.locator("[name=email]").fill(owner["login"])
    page.locator("[name=password]").fill(owner["password"])
    page.locator("main button[type=submit]").click()
    page.wait_for_url(f"**{owner['path']}")
    page.goto(f"{system.app_url}{owner['path']}?range=7d", wait_until="networkidle")
    return page


def preview(page: Page, home: str) -> None:
    """What an import would do: new lines, some twice in it, some bad."""
    page.goto(f"{home}/card-pools")
    page.locator("a[href$='/imports']").first.click()
    page.locator("[name=keys]").fill("\n".join([*_PASTED, *_PASTED[:3], *_BAD]))
    page.locator("[name=unit_cost]").fill("14.70")
    page.locator("main button[type=submit]").last.click()
    page.locator(".stats.three").wait_for()


def buy(page: Page) -> None:
    """Through the payment company's page to the key."""
    page.locator("[name=contact]").fill("13800132046")
    page.locator(".buybar button[type=submit]").click()
    page.wait_for_url("**/orders/**")
    page.locator("form[action$='/payment'] button").click()
    page.get_by_role("button", name=re.compile("¥")).click()
    page.locator(".done-mark").wait_for()
    page.wait_for_load_state("networkidle")


def squeeze(program: str, picture: Path) -> None:
    """Fewer colours, half the bytes. Raises: Trouble when it is still too heavy for a README."""
    subprocess.run(
        [program, "--force", "--skip-if-larger", "--strip", "--output", str(picture), "128", str(picture)], check=False
    )
    if picture.stat().st_size > MOST_BYTES:
        raise Trouble(f"{picture.name} has {picture.stat().st_size} bytes; a README's picture has at most {MOST_BYTES}.")


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
