"""`./quanyi smoke`: the main job over real HTTP, in a temporary folder on free ports, every step with its milliseconds.

A stranger opens a shop and puts keys on sale; another buys one, pays, reads it, and finds it again without an account. Nothing is left behind.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2

from operations.processes import System, wait_for
from operations.signals import ignore_signals, stop_on_signals
from operations.trouble import Trouble
from operations.visitor import Shown, Visitor

PASSWORD = "four green lamps hum"  # noqa: S105  # of a shop that lives a minute
MAIL, PHONE = "merchant@shop.example", "13800132046"
SHOP, SLUG = "Lamp and Key", "lamp-and-key"
KEYS = [f"LAMP-{secrets.token_hex(4).upper()}-{number:04d}" for number in range(1000)]
BAD_LINES = ["abc", KEYS[0]]
"""One too short to be a key, and one that is there twice: a real file is never clean."""
WAIT_S = 30.0


@dataclass
class Run:
    """The system, both people's browsers, and the steps so far with their milliseconds."""

    system: System
    merchant: Visitor = field(default_factory=Visitor)
    buyer: Visitor = field(default_factory=Visitor)
    stranger: Visitor = field(default_factory=Visitor)
    steps: list[dict[str, object]] = field(default_factory=list)
    step_name: str = "start"
    paid_to_readable_ms: float = 0.0
    page: Shown = field(default_factory=lambda: Shown("", 0, ""))
    product_path: str = ""
    order_url: str = ""
    key: str = ""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.step_name = name
        started = time.monotonic()
        yield
        took_ms = round((time.monotonic() - started) * 1000, 1)
        self.steps.append({"name": name, "ms": took_ms})
        print(f"  {took_ms:8.1f} ms  {name}", flush=True)

    def home(self, path: str = "") -> str:
        """Of the merchant's own pages."""
        return f"{self.system.app_url}/m/{SLUG}{path}"

    def shop(self, path: str = "/") -> str:
        return self.system.shop_url(SLUG) + path


def run(arguments: list[str]) -> int:
    """0, or 1 with the step that failed."""
    argparse.ArgumentParser(prog="./quanyi smoke", description=__doc__).parse_args(arguments)
    system = System.temporary()
    run = Run(system)
    with stop_on_signals():
        try:
            with run.step("start everything"):
                system.start()
            for name, act in STEPS.items():
                with run.step(name):
                    act(run)
            with run.step("stop everything"):
                system.stop()
        except Trouble as trouble:
            print(f"\n{trouble}\n")
            print(
                json.dumps({"smoke": "failed", "step": run.step_name, "problem": str(trouble)[:300], "steps": run.steps}),
                flush=True,
            )
            return 1
        finally:
            ignore_signals()
            for visitor in (run.merchant, run.buyer, run.stranger):
                visitor.close()
            system.delete()
    print(json.dumps({"smoke": "ok", "steps": run.steps, "paid_to_readable_ms": run.paid_to_readable_ms}), flush=True)
    return 0


# The merchant


def sign_up(run: Run) -> None:
    page = run.merchant.open(f"{run.system.app_url}/sign-up")
    asked = {"shop_name": SHOP, "slug": SLUG, "email": MAIL, "password": PASSWORD}
    _expect(run.merchant.send(page, "/sign-up", asked).path, "/sign-up/sent")


def verify(run: Run) -> None:
    link = re.search(r"http\S+/verify/\S+", _message(run, MAIL))
    if link is None:
        raise Trouble("The mail to the new merchant has no link to confirm his address.")
    page = run.merchant.open(link[0])
    _expect(run.merchant.send(page, urlsplit(link[0]).path).path, f"/m/{SLUG}")


def log_in(run: Run) -> None:
    """In another browser than the one that signed up."""
    run.merchant.close()
    run.merchant = Visitor()
    page = run.merchant.open(f"{run.system.app_url}/log-in")
    _expect(run.merchant.send(page, "/log-in", {"email": MAIL, "password": PASSWORD}).path, f"/m/{SLUG}")


def connect_gateway(run: Run) -> None:
    page = run.merchant.open(run.home("/settings/payments"))
    run.merchant.send(page, "/settings/payments/sandbox")


def make_product(run: Run) -> None:
    page = run.merchant.open(run.home("/products/new"))
    sku = next(name.removesuffix("-name") for name in page.form_to("/products").fields if re.fullmatch(r"sku-\d+-name", name))
    typed = {"name": "Skylark Video", "kind": "card_key", f"{sku}-name": "Month", f"{sku}-price": "19.90"}
    run.page = run.merchant.send(page, "/products", typed)
    run.product_path = run.page.path


def upload_keys(run: Run) -> None:
    pool = re.search(rf"/m/{SLUG}/card-pools/[0-9a-f-]{{36}}", run.page.html)
    if pool is None:
        raise Trouble(f"The product's page leads to no card pool: {run.page.words[:400]}")
    page = run.merchant.open(f"{run.system.app_url}{pool[0]}/imports")
    body = "\n".join([*KEYS, *BAD_LINES]).encode()
    run.page = run.merchant.send(page, "/imports", {"unit_cost": "14.7"}, {"file": ("keys.txt", body, "text/plain")})
    _until(run, run.merchant, lambda page: any(form.action.endswith("/confirmation") for form in page.forms))


def confirm_import(run: Run) -> None:
    run.page = run.merchant.send(run.page, "/confirmation")
    _until(run, run.merchant, lambda page: "/progress" not in page.html)
    _say_if_missing(run.page, "1,000")


def publish(run: Run) -> None:
    page = run.merchant.open(run.system.app_url + run.product_path)
    run.page = run.merchant.send(page, "/publication")


# The buyer


def open_shop(run: Run) -> None:
    home = run.buyer.open(run.shop())
    link = re.search(r'href="(/products/[0-9a-f-]{36})"', home.html)
    if link is None:
        raise Trouble(f"The shop's home shows no product: {home.words[:400]}")
    run.page = run.buyer.open(run.shop(link[1]))


def buy(run: Run) -> None:
    run.page = run.buyer.send(run.page, "/checkout", {"contact": PHONE, "quantity": "1"})
    run.order_url = run.page.url


def pay(run: Run) -> None:
    """At the gateway's own page, which sends the buyer back and its notice to us; then until the order's page has the key."""
    at_gateway = run.buyer.send(run.page, "/payment")
    if not at_gateway.url.startswith(run.system.gateway):
        raise Trouble(f"The payment did not lead to the gateway but to {at_gateway.url}.")
    form = next(form for form in at_gateway.forms if "/pay/" in form.action)
    started = time.monotonic()
    run.page = run.buyer.send(at_gateway, urlsplit(form.action).path)
    _expect(run.page.path, urlsplit(run.order_url).path)
    _until(run, run.buyer, lambda page: "/reveals/" in page.html, every_s=0.01)
    run.paid_to_readable_ms = round((time.monotonic() - started) * 1000, 1)


def reveal(run: Run) -> None:
    action = next(form.action for form in run.page.forms if "/reveals/" in form.action)
    shown = run.buyer.send(run.page, urlsplit(action).path)
    run.key = next((key for key in KEYS if key in shown.html), "")
    if not run.key:
        raise Trouble(f"The page after revealing shows none of the keys: {shown.words[:400]}")


def look_up(run: Run) -> None:
    """Another browser, no account: a code by text message leads to the order."""
    page = run.stranger.open(run.shop("/orders"))
    page = run.stranger.send(page, "/orders/codes", {"contact": PHONE})
    code = re.search(r"\b\d{6}\b", _message(run, PHONE, containing=r"\b\d{6}\b"))
    assert code is not None
    found = run.stranger.send(page, "/orders/proofs", {"code": code[0]})
    order_path = urlsplit(run.order_url).path
    if order_path not in found.html:
        raise Trouble(f"The list of the buyer's orders lacks his order: {found.words[:400]}")
    order = run.stranger.open(run.shop(order_path))
    action = next((form.action for form in order.forms if "/reveals/" in form.action), "")
    again = run.stranger.send(order, urlsplit(action).path)
    if run.key not in again.html:
        raise Trouble("The order that was looked up does not show the key its buyer read.")


STEPS: dict[str, Callable[[Run], None]] = {
    "sign up": sign_up,
    "confirm the address from the mail": verify,
    "log in": log_in,
    "connect the sandbox gateway": connect_gateway,
    "make a product": make_product,
    "upload 1,002 lines and look at the preview": upload_keys,
    "confirm the import": confirm_import,
    "put it on sale": publish,
    "open the shop and the product": open_shop,
    "buy": buy,
    "pay and wait for the key": pay,
    "reveal the key": reveal,
    "look the order up by a code": look_up,
}


def _expect(path: str, wanted: str) -> None:
    if path != wanted:
        raise Trouble(f"This should have led to {wanted}, but it led to {path}.")


def _say_if_missing(page: Shown, text: str) -> None:
    if text not in page.words:
        raise Trouble(f"{page.path} does not say {text!r}: {page.words[:400]}")


def _until(run: Run, visitor: Visitor, is_there: Callable[[Shown], bool], *, every_s: float = 0.05) -> None:
    """Open the page again and again until it shows what is waited for."""
    deadline = time.monotonic() + WAIT_S
    while not is_there(run.page):
        if time.monotonic() > deadline:
            raise Trouble(f"{run.page.path} did not change within {WAIT_S:.0f} s: {run.page.words[:400]}")
        time.sleep(every_s)
        run.page = visitor.open(run.page.url)


def _message(run: Run, to: str, *, containing: str = "") -> str:
    """The newest message to somebody that has it in it, as soon as one came."""
    found: list[str] = []

    def has_come() -> bool:
        answer = httpx2.get(f"{run.system.outbox}/messages", params={"to": to}, timeout=10, trust_env=False).raise_for_status()
        texts = [message["text"] for message in answer.json()["messages"]]
        found.extend(text for text in texts if re.search(containing, text))
        return bool(found)

    wait_for(has_come, wait_s=WAIT_S, otherwise=f"No message came to {to} within {WAIT_S:.0f} s.")
    return found[0]
