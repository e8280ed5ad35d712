"""JSON from strangers, read strictly: what two readers could understand differently is refused, not guessed.

Refused: more than `max_bytes`, bytes that are not UTF-8, NUL and lone surrogates, `NaN` and `Infinity`, a key given twice,
nesting over `MAX_DEPTH`, integers beyond 64 bits, and anything but an object at the top.
"""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NoReturn

MAX_BYTES = 64 * 1024
MAX_DEPTH = 8
MAX_TEXT_CHARS = 512
MAX_INTEGER = 2**63 - 1
MAX_DECIMAL_CHARS = 40
MAX_DECIMAL_EXPONENT = 18


class NotStrictJson(ValueError):
    """The document is refused. The message is a sentence that quotes none of it."""


def parse_object(raw: bytes, *, max_bytes: int = MAX_BYTES, exact: bool = False) -> Mapping[str, Any]:
    """Read one JSON object; see `parse_value`. Raises: NotStrictJson."""
    document = parse_value(raw, max_bytes=max_bytes, exact=exact)
    if not isinstance(document, dict):
        raise NotStrictJson("the document is not an object")
    return document


def parse_value(raw: bytes, *, max_bytes: int = MAX_BYTES, exact: bool = False) -> Any:
    """Read any one JSON value. `exact`: numbers with a fraction become `Decimal`, as written. Raises: NotStrictJson."""
    if len(raw) > max_bytes:
        raise NotStrictJson(f"the document is longer than {max_bytes} bytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotStrictJson("the document is not UTF-8") from error
    if _depth(text) > MAX_DEPTH:
        raise NotStrictJson(f"the document is nested deeper than {MAX_DEPTH}")
    try:
        document = json.loads(
            text,
            object_pairs_hook=_without_repeats,
            parse_constant=_refuse_constant,
            parse_int=_bounded,
            parse_float=_exact if exact else float,
        )
    except json.JSONDecodeError as error:
        raise NotStrictJson("the document is not JSON") from error
    if any(_BAD_CHARACTERS.search(found) for found in _texts(document)):
        raise NotStrictJson("the document holds a character no text may hold")
    return document


def integer(document: Mapping[str, Any], key: str) -> int:
    """A whole number written as one: `990` and never `990.0`, `9.9e2`, `"990"`, `true` or `[990]`. Raises: NotStrictJson."""
    value = document.get(key)
    if type(value) is not int:
        raise NotStrictJson(f"{key} is not a whole number")
    return value


def text(document: Mapping[str, Any], key: str, *, max_chars: int = MAX_TEXT_CHARS) -> str:
    """A text that is not empty. Raises: NotStrictJson."""
    value = document.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= max_chars:
        raise NotStrictJson(f"{key} is not a text of 1 to {max_chars} characters")
    return value


def _depth(text: str) -> int:
    deepest = depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _texts(value: object) -> Iterator[str]:
    """Every text in a document, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise NotStrictJson("the document gives one key twice")
    return document


def _refuse_constant(_name: str) -> NoReturn:
    raise NotStrictJson("the document holds a number that is none")


def _bounded(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) > MAX_INTEGER:
        raise NotStrictJson("the document holds a number beyond 64 bits")
    return int(digits)


def _exact(digits: str) -> Decimal:
    if len(digits) > MAX_DECIMAL_CHARS or abs((number := Decimal(digits)).adjusted()) > MAX_DECIMAL_EXPONENT:
        raise NotStrictJson("the document holds a number no amount has")
    return number


_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACKETS = re.compile(r"[\[\]{}]")
_BAD_CHARACTERS = re.compile("[\0\ud800-\udfff]")
