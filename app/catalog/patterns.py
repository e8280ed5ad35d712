"""The shape of a text a buyer types: one of a short list, or a pattern of the merchant's own. Pure.

Patterns are matched by an engine that reads a text once from left to right (no look-around, no back-references), so that no pattern makes a
short text take long; how much they repeat is bounded, so that none takes long to prepare.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import prod

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

from app.kernel.errors import N_

LONGEST_PATTERN = 120
MOST_REPEATS = 128
"""The counts of a pattern's repetitions, multiplied: a value has 64 characters at most."""
NOT_A_PATTERN = N_(
    "This pattern cannot be read. Use letters, digits, sets such as [a-z] and counts such as {4,8}; it is matched as a whole."
)
REPEATS_TOO_MUCH = N_("This pattern repeats too much: its counts multiplied may come to %(most)s.")

SAFE: dict[str, tuple[str, str]] = {
    r"[0-9A-Za-z]+": (N_("Letters and digits"), "abc123"),
    r"[0-9A-Z]+": (N_("Capitals and digits"), "ABC123"),
    r"[0-9A-Za-z_.-]+": (N_("Letters, digits, dot, dash and underscore"), "a_b-1.c"),
    r"[0-9A-Fa-f]+": (N_("Hexadecimal digits"), "9af3"),
    r"[^0-9]+": (N_("Anything but digits"), "Lake"),
}
"""Patterns to choose from: their name, and a text that fits."""
_COUNT = re.compile(r"(?<!\\)\{(\d*),?(\d*)\}")


def fault(pattern: str) -> tuple[str, dict[str, object]] | None:
    """What is wrong with a pattern as it was typed: a msgid and its facts."""
    counts = [int(most or least or 1) or 1 for least, most in _COUNT.findall(pattern)]
    if prod(counts) > MOST_REPEATS:
        return REPEATS_TOO_MUCH, {"most": MOST_REPEATS}
    try:
        _compiled(pattern)
    except SchemaError:
        return NOT_A_PATTERN, {}
    return None


def fits(pattern: str, text: str) -> bool:
    """Whether a whole text has the shape."""
    try:
        _compiled(pattern).validate_python(text)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> SchemaValidator:
    SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))  # alone first: `a)|(b` is no pattern
    return SchemaValidator(core_schema.str_schema(pattern=f"^(?:{pattern})$", regex_engine="rust-regex"))
