"""A buyer with a browser but no scripts: he reads forms as a person does and sends them back."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx2

Answer = httpx2.Response
FORM = re.compile(r"<form\b[^>]*>.*?</form>", re.S)
INPUT = re.compile(r"<input\b[^>]*>")


def fields(html: str, action: str) -> dict[str, str]:
    """What a form holds when its page is opened: hidden fields, values typed by us, the radio that is checked."""
    form = next(form for form in FORM.findall(html) if f'action="{action}"' in form)
    found: dict[str, str] = {}
    for tag in INPUT.findall(form):
        given = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if given.get("type") in ("radio", "checkbox") and not re.search(r"\schecked\b", tag):
            continue
        if "name" in given:
            found[given["name"]] = given.get("value", "")
    return found


class Buyer:
    """One browser on one shop."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.client.get(path, **more)

    async def send(self, page: str, action: str, *, headers: dict[str, str] | None = None, **typed: Any) -> Answer:
        """Open a page, fill one of its forms and send it."""
        html = (await self.client.get(page)).text
        return await self.client.post(action, data={**fields(html, action), **typed}, headers=headers or {})

    async def post(self, page: str, action: str, *, headers: dict[str, str] | None = None, **data: Any) -> Answer:
        """Send anything to an address, with the token of a page."""
        token = re.search(r'name="csrf-token" content="([^"]+)"', (await self.client.get(page)).text)
        assert token
        return await self.client.post(action, data={"_csrf": token[1], **data}, headers=headers or {})

    async def buy(self, product_id: Any, *, contact: str = "13800132046", **typed: Any) -> Answer:
        return await self.send(f"/products/{product_id}", "/checkout", contact=contact, **typed)


def words(html: str) -> str:
    """The text of a page."""
    text = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", html, flags=re.S)
    text = re.sub(r"</?(b|small|span|strong|i)\b[^>]*>", "", text)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


class _Harm(HTMLParser):
    """Collects what would run or load: inline scripts, handlers, styles, frames, foreign addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("iframe", "object", "embed", "style") or (tag == "script" and "src" not in given):
            self.found.append(tag)
        for name, value in given.items():
            runs = name.startswith("on") or name == "style" or value.strip().lower().startswith("javascript:")
            if runs or (name in ("src", "hx-get", "hx-post") and not value.startswith("/")):
                self.found.append(f"{tag} {name}={value}")


def harmful(html: str) -> list[str]:
    """What in a page would run or load against our policy."""
    parser = _Harm()
    parser.feed(html)
    return parser.found
