"""Named values and the one thing a template does with them: `{name}` is replaced by a text. No attribute, call or format is reachable."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

_PLACE = re.compile(r"\{([a-z_]+(?:\.[A-Za-z0-9_]+)?)(\|number)?\}")
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,9})?")

COMMON = frozenset({"nonce", "time.seconds", "time.milliseconds", "time.compact", "time.text", "time.date", "settings.*"})
_PURCHASE = frozenset(
    {
        "purchase.out_no",
        "purchase.supplier_sku",
        "purchase.quantity",
        "purchase.face_value",
        "purchase.face_value_minor",
        "purchase.most_cost",
        "purchase.notice_url",
        "account.*",
    }
)
NAMES: Mapping[str, frozenset[str]] = {
    "place": _PURCHASE,
    "place_top_up": _PURCHASE,
    "query": frozenset({"asked.out_no", "asked.supplier_ref"}),
    "catalog": frozenset(
        {"page.number", "page.size", "since.seconds", "since.milliseconds", "since.compact", "since.text", "since.date"}
    ),
    "goods": frozenset({"goods.supplier_sku"}),
    "pre_check": frozenset({"goods.supplier_sku", "account.*"}),
    "balance": frozenset(),
}
ALL = frozenset(name for names in NAMES.values() for name in names)
SIGNED = frozenset({"body", "method", "path"})


class Missing(ValueError):
    """A template names a value there is none of, or one that has not the form asked for."""


def names_in(template: str) -> Iterator[str]:
    return (found[1] for found in _PLACE.finditer(template))


def check_braces(template: str) -> str:
    """Raises: ValueError where a brace belongs to no `{name}`."""
    if not has_matched_braces(template):
        raise ValueError("a brace that belongs to no {name}")
    return template


def has_matched_braces(template: str) -> bool:
    return not re.search(r"[{}]", _PLACE.sub("", template))


def fill(template: str, values: Mapping[str, str]) -> str:
    """A value that is not there is the empty text: which names have a meaning was checked with the recipe."""
    return _PLACE.sub(lambda found: values.get(found[1], ""), template)


def fill_value(template: object, values: Mapping[str, str]) -> object:
    """The same in the texts of a JSON value; `{name|number}` alone becomes a number. Raises: Missing."""
    if isinstance(template, dict):
        return {key: fill_value(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [fill_value(value, values) for value in template]
    if not isinstance(template, str):
        return template
    whole = _PLACE.fullmatch(template)
    if whole is None or not whole[2]:
        return fill(template, values)
    text = values.get(whole[1], "")
    if text == "":
        return ""
    if not _NUMBER.fullmatch(text):
        raise Missing(f"{{{whole[1]}}} is not a number")
    return int(text) if "." not in text else float(text)


def common(settings: Mapping[str, str], now: datetime, zone: str, nonce: str | None = None) -> dict[str, str]:
    """What every call may name."""
    return {"nonce": nonce or secrets.token_hex(16), **instant("time", now, zone), **named("settings", settings)}


def instant(family: str, at: datetime, zone: str) -> dict[str, str]:
    """An instant in every form a recipe may ask for, none of them later than it is."""
    here = at.astimezone(ZoneInfo(zone))
    milliseconds = int(at.timestamp() * 1000)
    return named(
        family,
        {
            "seconds": str(milliseconds // 1000),
            "milliseconds": str(milliseconds),
            "compact": here.strftime("%Y%m%d%H%M%S"),
            "text": here.strftime("%Y-%m-%d %H:%M:%S"),
            "date": here.strftime("%Y-%m-%d"),
        },
    )


def named(family: str, values: Mapping[str, str]) -> dict[str, str]:
    return {f"{family}.{name}": value for name, value in values.items()}
