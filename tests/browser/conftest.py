"""One running system of real processes, and a real browser that looks at it.

Fixtures: `system` (operations.processes.System, not seeded), `surf` (opens pages and watches them), `shop` (a fresh merchant and what he
sells), `operator` (one of the platform's people), `letters` (what arrived by mail and text message).
Every page opened by `surf` is watched to the end of its test: a script's error, a broken promise of the content policy, a request to
another origin or an answer without a policy fails the test. A failed test leaves its pictures and the pages' words in its temporary folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request, Response, sync_playwright

from operations.doctor import find_chromium
from operations.processes import Plan, System
from tests.browser.hands import Hands
from tests.installation import SETTINGS

STAFF_COOKIE = "__Host-q_staff"
LOCALES = {"zh": "zh-CN", "en": "en-US"}
PHONE = 480
"""Narrower than this is a phone: touch, a mobile viewport, two pixels to a point."""
QUIET = {"QUANYI_CHECKOUTS_PER_MINUTE": "100000", "QUANYI_SIGN_UPS_PER_HOUR": "100000", "QUANYI_SPARE_TENANTS": "6"}

Surf = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of one file stay together on one worker, which starts the system once."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keep a failed call's mark on the item, for the fixture that takes its pictures."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Ends with the folder's tests, not with the session: while it lives, no event loop of another test can run in this thread."""
    with sync_playwright() as play:
        yield play


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Debian's chromium."""
    if (found := find_chromium()) is None:
        pytest.skip("no chromium on PATH: apt-get install chromium")
    browser = playwright.chromium.launch(executable_path=str(found), args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    system = System.temporary(Plan(postgres_settings=SETTINGS, more_settings=QUIET))
    try:
        yield system.start()
    finally:
        system.delete()


@pytest.fixture(scope="session")
def hands(system: System) -> Iterator[Hands]:
    hands = Hands(system.env)
    yield hands
    hands.stop()


@dataclass(frozen=True)
class Shop:
    """One merchant: his pages, his shop, and what he makes by the real verbs."""

    slug: str
    token: str
    tenant_id: str
    system: System
    hands: Hands

    def desk(self, path: str = "") -> str:
        """A page of the back office."""
        return f"{self.system.app_url}/m/{self.slug}{path}"

    def front(self, path: str = "/") -> str:
        """A page of the shop."""
        return self.system.shop_url(self.slug) + path

    def product(self, **terms: Any) -> dict[str, Any]:
        """See `hands.product`."""
        made: dict[str, Any] = self.hands.ask("product", slug=self.slug, **terms)
        return made

    def bundle(self, parts: list[list[Any]]) -> dict[str, Any]:
        """See `hands.bundle`."""
        made: dict[str, Any] = self.hands.ask("bundle", slug=self.slug, parts=parts)
        return made

    def order(self, **terms: Any) -> dict[str, str]:
        """See `hands.order`."""
        made: dict[str, str] = self.hands.ask("order", slug=self.slug, **terms)
        return made

    def rows(self, query: str, *args: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.hands.ask("rows", slug=self.slug, query=query, args=args)
        return found

    def value(self, query: str, *args: Any) -> Any:
        return next(iter(self.rows(query, *args)[0].values()))


@pytest.fixture(scope="session")
def open_shop(system: System, hands: Hands) -> Callable[..., Shop]:
    """Opens one more shop; `hands.merchant` says with what."""
    return lambda **terms: Shop(**hands.ask("merchant", **terms), system=system, hands=hands)


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    """A fresh merchant, with nothing on sale yet."""
    return open_shop()


@pytest.fixture(scope="session")
def operator(hands: Hands) -> str:
    """The session of one of the platform's people."""
    token: str = hands.ask("operator")["token"]
    return token


@dataclass(frozen=True)
class Letters:
    """What the outbox received."""

    url: str

    def wait_for(self, to: str, *, count: int = 1, within_s: float = 10) -> Mapping[str, Any]:
        """The newest of at least `count` messages to somebody. Raises: TimeoutError."""
        deadline = time.monotonic() + within_s
        while len(found := self.to(to)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {count} messages for {to}")
            time.sleep(0.05)
        return found[0]

    def to(self, to: str) -> list[Mapping[str, Any]]:
        """Newest first."""
        answer = httpx2.get(f"{self.url}/messages", params={"to": to}, trust_env=False)
        found: list[Mapping[str, Any]] = answer.raise_for_status().json()["messages"]
        return found


@pytest.fixture(scope="session")
def letters(system: System) -> Letters:
    return Letters(system.outbox)


class Watch:
    """Every page of one test, and what was wrong with any of them."""

    def __init__(self, browser: Browser, system: System) -> None:
        self.browser, self.system = browser, system
        self.contexts: list[BrowserContext] = []
        self.faults: list[str] = []
        self.words: list[str] = []

    def open(
        self,
        *,
        token: str = "",
        width: int = 1360,
        height: int = 900,
        language: str = "en",
        scheme: str = "light",
        scripts: bool = True,
        **more: Any,
    ) -> Page:
        """A page in a browser of its own. `token` is a session of the back office; `scripts` False turns them off."""
        phone = {"is_mobile": True, "has_touch": True, "device_scale_factor": 2} if width < PHONE else {}
        context = self.browser.new_context(
            viewport={"width": width, "height": 844 if width < PHONE else height},
            locale=LOCALES[language],
            timezone_id="Asia/Shanghai",
            color_scheme=scheme,  # type: ignore[arg-type]
            reduced_motion="reduce",
            java_script_enabled=scripts,
            **{**phone, **more},
        )
        context.set_default_timeout(10_000)
        self.contexts.append(context)
        if token:
            context.add_cookies([_cookie(self.system, token)])
        context.on("page", self.listen)
        return context.new_page()

    def listen(self, page: Page) -> None:
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("request", self._see_request)
        page.on("response", self._see_answer)

    def _hear(self, kind: str, text: str) -> None:
        self.words.append(f"{kind}: {text}")
        if "olicy" in text or (kind == "error" and "Failed to load resource" not in text):
            self.faults.append(f"console: {text}")

    def _see_request(self, request: Request) -> None:
        """Parts of a page come from its own origin; only a person's own step leads elsewhere."""
        if request.is_navigation_request() or request.url.startswith(("data:", "blob:")):
            return
        if _origin(request.url) != _origin(request.frame.url) and self._is_ours(request.frame.url):
            self.faults.append(f"leaves the origin: {request.frame.url} asks {request.url}")

    def _see_answer(self, response: Response) -> None:
        path = urlsplit(response.url).path
        if not self._is_ours(response.url):
            return
        if response.status >= 500 or (path.startswith("/static/") and response.status >= 400):
            self.faults.append(f"{response.status} for {response.url}")
        headers = response.headers
        if "text/html" in headers.get("content-type", "") and "default-src" not in headers.get("content-security-policy", ""):
            self.faults.append(f"no content policy on {response.url}")

    def _is_ours(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.port == self.system.ports.web and (parts.hostname or "").endswith(".localhost")

    def keep(self, folder: Path) -> None:
        """Pictures of the open pages, and their words."""
        (folder / "console.txt").write_text("\n".join([*self.words, *self.faults]))
        for place, page in enumerate(page for context in self.contexts for page in context.pages):
            page.screenshot(path=folder / f"page-{place}.png", full_page=True)
            (folder / f"page-{place}.html").write_text(page.content())

    def close(self) -> None:
        for context in self.contexts:
            context.close()


@pytest.fixture
def surf(browser: Browser, system: System, request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Surf]:
    watch = Watch(browser, system)
    yield watch.open
    if request.node.stash.get(FAILED, False) or watch.faults:
        folder = tmp_path_factory.mktemp("browser")
        watch.keep(folder)
        print(f"pictures and console of this test: {folder}")
    watch.close()
    assert watch.faults == []


@pytest.fixture
def office(surf: Surf, shop: Shop) -> Callable[..., Page]:
    """Opens a page of the fresh merchant's back office as its owner."""

    def open_page(path: str = "", **how: Any) -> Page:
        page = surf(token=shop.token, **how)
        page.goto(shop.desk(path))
        return page

    return open_page


@pytest.fixture
def front(surf: Surf, shop: Shop) -> Callable[..., Page]:
    """Opens a page of the fresh merchant's shop, as a buyer; on a phone unless told otherwise."""

    def open_page(path: str = "/", **how: Any) -> Page:
        page = surf(**{"width": 390, **how})
        page.goto(shop.front(path))
        return page

    return open_page


def _cookie(system: System, token: str) -> Any:
    return {
        "name": STAFF_COOKIE,
        "value": token,
        "url": system.app_url.replace("http:", "https:"),
        "secure": True,
        "httpOnly": True,
    }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
