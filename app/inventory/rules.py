"""Card-key lines: reading one, normalising it, masking it. Pure.

Normalisation, used only to tell whether two keys are the same: Unicode NFKC (full-width becomes half-width, no-break space becomes space),
byte-order marks and zero-width signs dropped, outer white space dropped, inner white space runs made one space. Case is kept: keys differ by it.
What is stored and delivered is the text as it came, without outer white space and outer byte-order marks.
"""

from __future__ import annotations

import csv
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
OPEN_QUOTE = N_("A quotation mark on this line is not closed.")
CUT_NUMBER = N_("The spreadsheet kept only 15 digits of this number. Format the column as text and paste the keys again.")

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
    "card no",
    "card no.",
    "card_no",
    "serial",
    "serial number",
    "voucher",
    "no",
    "no.",
    "激活码",
    "密钥",
}
_SPLIT = re.compile(r" *(?:\t|,|，|----) *| +")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")
_LONGEST_LINE = 4 * LONGEST
"""A longer line is no key however it is parted, and is not searched for separators."""


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
    if len(trimmed) > _LONGEST_LINE:
        return [trimmed]
    return _SPLIT.split(trimmed) if trimmed else []


def split_csv_line(line: str) -> list[str] | None:
    """The columns of a CSV line; None when its quotes do not close. A key never spans lines, so neither does a column."""
    if '"' not in line or len(line) > _LONGEST_LINE:
        return line.split(",", 8)
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return None


def normalised(stored: str) -> str:
    """The one form in which two keys are compared."""
    if stored.isascii():
        return SEPARATOR.join(" ".join(part.split()) for part in stored.split(SEPARATOR))
    return SEPARATOR.join(
        " ".join(unicodedata.normalize("NFKC", part).translate(_INVISIBLE).split()) for part in stored.split(SEPARATOR)
    )


def tail_of(stored: str) -> str:
    """The last four characters of a key's number, by which support finds it."""
    return normalised(stored).split(SEPARATOR)[0][-4:].upper()


def masked(number: str) -> str:
    """Four asterisks and at most the last four characters; nothing of a short key, and no sign that cannot be seen."""
    return f"****{_UNSEEN.sub('?', number[-4:])}" if len(number) >= 10 else "****"


def shown(stored: str) -> tuple[str, str]:
    """Number and password of an opened key; the password is empty when there is none."""
    number, _, password = stored.partition(SEPARATOR)
    return number, password


def _trim(text: str) -> str:
    return text.strip().strip("\ufeff").strip()


def _problem(cells: list[str], number: str, password: str) -> str:
    whole = number + password
    if len(whole) > LONGEST:
        return TOO_LONG
    if whole.lower() in _HEADINGS or (number.lower() in _HEADINGS and password.lower() in _HEADINGS):
        return IS_HEADER
    if len(cells) > 2:
        return TOO_MANY_COLUMNS
    if _CONTROL.search(whole):
        return HAS_CONTROL
    if len(number) < SHORTEST:
        return TOO_SHORT
    return ""
