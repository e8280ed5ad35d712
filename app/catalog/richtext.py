"""Merchants' rich text: sanitised when it is written, so that what is stored is safe to show."""

from __future__ import annotations

import html
import re

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
