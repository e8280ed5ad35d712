"""Card-key lines: reading one, normalising it, masking it. Pure.

Normalisation, used only to tell whether two keys are the same: Unicode NFKC (full-width becomes half-width, no-break space becomes space),
byte-order marks and zero-width signs dropped, outer white space dropped, inner white space runs made one space. Case is kept: keys differ by it.
What is stored and delivered is the text as it came, without outer white space.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from app.kernel.errors import N_

SEPARATOR = "\x1f"
"""Stands between number and password inside a sealed key; it cannot occur in a line."""
LONGEST = 500
SHORTEST = 4
MOST_LINES = 1_000_000

TOO_LONG = N_("Longer than 500 characters: this looks like several keys on one line.")
TOO_SHORT = N_("Shorter than 4 characters: this is not a whole key.")
IS_HEADER = N_("This is a heading, not a key.")
HAS_CONTROL = N_("Contains an invisible control character.")
TOO_MANY_COLUMNS = N_("More than two columns: only a number and a password are read.")

_INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060\u00ad"))
_HEADINGS = {
    "卡号",
    "卡密",
    "密码",
    "序列号",
    "兑换码",
    "card",
    "code",
    "key",
    "number",
    "password",
    "pin",
    "card number",
    "card key",
}
_SPLIT = re.compile(r"\t|,|，|----| {1,8}")


@dataclass(frozen=True, slots=True)
class ReadLine:
    """A line as it was read: the key's parts, or what is wrong with it."""

    number: str
    password: str
    problem: str = ""

    @property
    def stored(self) -> str:
        """The text that is sealed and later delivered."""
        return f"{self.number}{SEPARATOR}{self.password}" if self.password else self.number


def read_line(cells: list[str]) -> ReadLine:
    """A line's columns as a key. `problem` is a msgid when it cannot be one."""
    trimmed = [_trim(cell) for cell in cells]
    while trimmed and not trimmed[-1]:
        trimmed.pop()
    number, password = [*trimmed, "", ""][:2]
    return ReadLine(number, password, _problem(trimmed, number, password))


def split_text_line(line: str) -> list[str]:
    """The columns of a plain text line: parted by a tab, a comma, four dashes or spaces."""
    trimmed = _trim(line)
    return _SPLIT.split(trimmed) if trimmed else []


def normalised(stored: str) -> str:
    """The one form in which two keys are compared."""
    return SEPARATOR.join(
        " ".join(unicodedata.normalize("NFKC", part).translate(_INVISIBLE).split()) for part in stored.split(SEPARATOR)
    )


def tail_of(stored: str) -> str:
    """The last four characters of a key's number, by which support finds it."""
    return normalised(stored).split(SEPARATOR)[0][-4:].upper()


def masked(number: str) -> str:
    """Four asterisks and at most the last four characters; nothing of a short key."""
    return f"****{number[-4:]}" if len(number) >= 10 else "****"


def shown(stored: str) -> tuple[str, str]:
    """Number and password of an opened key; the password is empty when there is none."""
    number, _, password = stored.partition(SEPARATOR)
    return number, password


def _trim(text: str) -> str:
    return text.translate({0xFEFF: None}).strip().strip("\u00a0\u3000")


def _problem(cells: list[str], number: str, password: str) -> str:
    whole = number + password
    if whole.lower() in _HEADINGS or (number.lower() in _HEADINGS and password.lower() in _HEADINGS):
        return IS_HEADER
    if len(cells) > 2:
        return TOO_MANY_COLUMNS
    if len(whole) > LONGEST:
        return TOO_LONG
    if any(unicodedata.category(sign) == "Cc" for sign in whole):
        return HAS_CONTROL
    if len(number) < SHORTEST:
        return TOO_SHORT
    return ""
