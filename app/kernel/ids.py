"""Identifiers: UUIDv7 for rows, short numbers for people, deterministic ids for what must happen once."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from functools import lru_cache
from itertools import count
from operator import mul
from uuid import UUID, uuid5

from uuid_utils.compat import uuid7

from app.kernel import clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: no I, L, O, U
_DRAWS = 5
_VALUES = {sign: value for value, sign in enumerate(_ALPHABET)}
_BUSINESS_KEYS = UUID("6b0d1f5e-6d1c-5f0a-9c54-0f3c6a5f9e21")


def new_id() -> UUID:
    """A new row id, ordered by time."""
    return uuid7()


def id_of(*business_key: object) -> UUID:
    """The id that belongs to a business key: the same key always gives the same id."""
    return uuid5(_BUSINESS_KEYS, "\x1f".join(str(part) for part in business_key))


def new_number(letter: str, at: datetime | None = None) -> str:
    """A number people can read out: letter, day, six characters drawn at random and a check character (`N261121-7QK2MD4`).

    About a thousand million per day and letter; the column is unique and `drawn_number` draws again on a collision.
    """
    day = _day(clock.business_day(at))
    bits = secrets.randbits(30)
    drawn = "".join(_ALPHABET[bits >> shift & 31] for shift in range(0, 30, 5))
    return f"{letter}{day}-{drawn}{_check(day + drawn)}"


async def drawn_number(letter: str, insert: Callable[[str], Awaitable[int]]) -> str:
    """The number under which a row was inserted. `insert` answers how many rows it wrote: none where the number was taken, and another is drawn."""
    for _ in range(_DRAWS):
        number = new_number(letter)
        if await insert(number):
            return number
    raise RuntimeError(f"{_DRAWS} numbers drawn for {letter} were all taken")


def is_number(text: str) -> bool:
    """Whether a text is a number of ours with the right check character."""
    head, _, tail = text.upper().partition("-")
    day = head[1:]
    return (
        len(day) == 6 and day.isdigit() and len(tail) == 7 and set(tail) <= set(_ALPHABET) and _check(day + tail[:6]) == tail[6]
    )


@lru_cache(maxsize=8)
def _day(day: date) -> str:
    return day.strftime("%y%m%d")


def _check(text: str) -> str:
    return _ALPHABET[sum(map(mul, count(2), map(_VALUES.__getitem__, text))) % 31]
