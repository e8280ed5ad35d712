"""Merchants' rich text: sanitised when it is written, so that what is stored is safe to show."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import nh3

_TAGS = {"p", "br", "b", "strong", "i", "em", "u", "s", "ul", "ol", "li", "h3", "h4", "blockquote", "a", "code", "hr"}
_A_TAG = re.compile(rf"</?(?:{'|'.join(sorted(_TAGS))})\b[^<>]*>", re.I)
_SCHEMES = {"https", "http", "mailto", "tel"}


def clean(text: str) -> str:
    """Harmless HTML: a few tags of text, links without a referrer, and nothing that runs, loads, styles or is read by htmx."""
    return nh3.clean(
        text, tags=_TAGS, attributes={"a": {"href"}}, url_schemes=_SCHEMES, link_rel="noopener noreferrer nofollow"
    ).strip()


def from_plain(text: str) -> str:
    """Paragraphs and numbered lines as people type them in a plain text box, as HTML; text that holds tags of ours is cleaned as HTML."""
    if _A_TAG.search(text):
        return clean(text)
    lines = [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return clean("".join(f"<p>{html.escape(line, quote=False)}</p>" for line in lines if line))


def to_plain(stored: str) -> str:
    """What a text box shows of stored HTML: the typed lines again where it is paragraphs alone, else the HTML."""
    paragraphs = re.fullmatch(r"(?:<p>[^<]*</p>)*", stored)
    return "\n".join(html.unescape(line) for line in re.findall(r"<p>([^<]*)</p>", stored)) if paragraphs else stored


def to_text(stored: str) -> str:
    """What a reader without HTML sees of stored HTML: its lines, lists with dashes or numbers, links with their address behind them."""
    reader = _Reader()
    reader.feed(stored)
    reader.close()
    lines = [" ".join(line.split()) for line in "".join(reader.parts).split("\n")]
    return "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    """Gathers the text of cleaned HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._numbers: list[int | None] = []
        self._href = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("ul", "ol"):
            self._numbers.append(1 if tag == "ol" else None)
        elif tag == "li":
            self.parts.append(f"\n{self._bullet()} ")
        elif tag == "a":
            self._href = dict(attrs).get("href") or ""
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("ul", "ol") and self._numbers:
            self._numbers.pop()
        if tag == "a" and self._href:
            if self._href not in "".join(self.parts[-3:]):
                self.parts.append(f" ({self._href})")
            self._href = ""
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        self.parts.append(data.replace("\n", " "))

    def _bullet(self) -> str:
        number = self._numbers[-1] if self._numbers else None
        if number is None:
            return "-"
        self._numbers[-1] = number + 1
        return f"{number}."


_BLOCKS = frozenset({"p", "br", "ul", "ol", "li", "h3", "h4", "blockquote", "hr"})
