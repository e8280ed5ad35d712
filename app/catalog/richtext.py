"""Merchants' rich text: sanitised when it is written, so that what is stored is safe to show."""

from __future__ import annotations

import nh3

_TAGS = {"p", "br", "b", "strong", "i", "em", "u", "s", "ul", "ol", "li", "h3", "h4", "blockquote", "a", "code", "hr"}
_SCHEMES = {"https", "http", "mailto", "tel"}


def clean(html: str) -> str:
    """Harmless HTML: a few tags of text, links without a referrer, and nothing that runs, loads, styles or is read by htmx."""
    return nh3.clean(
        html, tags=_TAGS, attributes={"a": {"href"}}, url_schemes=_SCHEMES, link_rel="noopener noreferrer nofollow"
    ).strip()


def from_plain(text: str) -> str:
    """Paragraphs and numbered lines as people type them in a plain text box, as HTML; text that holds tags already is cleaned as HTML."""
    if "<" in text and ">" in text:
        return clean(text)
    lines = [line.strip() for line in text.replace("\r\n", "\n").split("\n")]
    return clean("".join(f"<p>{nh3.clean_text(line)}</p>" for line in lines if line))
