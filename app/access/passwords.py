"""Passwords: what may be one, and argon2id off the event loop, few at a time because each takes 46 MiB.

No composition rules: length and a block-list. Source: NIST SP 800-63B §3.1.1; argon2id by the OWASP Password Storage Cheat Sheet, with one pass more.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.kernel.errors import N_

LEAST = 12
LEAST_WITH_SECOND_FACTOR = 8
MOST = 200
TOO_SHORT = N_("Use 12 characters or more. A sentence only you know is good.")
TOO_SHORT_EVEN_SO = N_("Use 8 characters or more. A sentence only you know is good.")
TOO_LONG = N_("Use at most 200 characters.")
TOO_COMMON = N_("This password is among the first that are tried. Choose one that nobody else would think of.")
TOO_CLOSE = N_("This password repeats your e-mail address or the shop's name. Choose another.")
_AT_ONCE = 2
_WAIT_S = 5.0
_HASHER = PasswordHasher(time_cost=2, memory_cost=47_104, parallelism=1, hash_len=32, salt_len=16)
_LIST = Path(__file__).with_name("common_passwords.txt")
T = TypeVar("T")


def fault_of(password: str, *, has_second_factor: bool = False, near: Sequence[str] = ()) -> str | None:
    """The msgid of what is wrong with a new password, or None. `near` are the words it must not merely repeat."""
    plain = _normal(password)
    least = LEAST_WITH_SECOND_FACTOR if has_second_factor else LEAST
    if len(plain) > MOST:
        return TOO_LONG
    if len(plain) < least:
        return TOO_SHORT_EVEN_SO if has_second_factor else TOO_SHORT
    if _is_common(plain.casefold()):
        return TOO_COMMON
    if _is_near(plain.casefold(), near):
        return TOO_CLOSE
    return None


def is_long_alone(password: str) -> bool:
    """Whether a password is long enough without a second factor."""
    return len(_normal(password)) >= LEAST


async def hash_of(password: str) -> str:
    """The argon2id hash to store. Raises: TimeoutError when too many wait, which is answered as busy."""
    return await _off_loop(lambda: _HASHER.hash(_normal(password)))


async def fits(password: str, stored: str | None) -> bool:
    """Whether a password belongs to a stored hash. Without one it takes as long and is False, so that time tells nothing."""
    return await _off_loop(lambda: _verify(_normal(password), stored or _nobodys()) and stored is not None)


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with weaker settings than today's, to be made anew at the next log-in."""
    return _HASHER.check_needs_rehash(stored)


def _verify(password: str, stored: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys() -> str:
    return _HASHER.hash("nobody has this password")


_turns = asyncio.Semaphore(_AT_ONCE)


async def _off_loop(work: Callable[[], T]) -> T:
    async with asyncio.timeout(_WAIT_S):
        await _turns.acquire()
    try:
        return await asyncio.to_thread(work)
    finally:
        _turns.release()


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _is_common(password: str) -> bool:
    """On the list, with or without the digits and signs people hang on; a few signs over and over; or a run such as 7890123456."""
    bare = re.sub(r"[\W\d_]+$", "", password)
    if password in _common() or (len(bare) >= LEAST_WITH_SECOND_FACTOR and bare in _common()):
        return True
    if re.fullmatch(r"(.{1,4}?)\1+.{0,3}", password):
        return True
    circle = 10 if password.isdigit() else 0x110000
    steps = {(ord(after) - ord(before)) % circle for before, after in pairwise(password)}
    return len(steps) == 1 and steps <= {0, 1, circle - 1}


def _is_near(password: str, words: Sequence[str]) -> bool:
    """Whether a password is nothing but one of these words, once or twice, with digits and signs about it."""
    bare = _letters(password)
    for word in ("quanyi", *words):
        for part in (word.casefold(), word.casefold().partition("@")[0]):
            letters = _letters(part)
            if password == part or (letters and bare in (letters, letters * 2)):
                return True
    return False


def _letters(text: str) -> str:
    return re.sub(r"[\W\d_]+", "", text)


@cache
def _common() -> frozenset[str]:
    return frozenset(_LIST.read_text(encoding="utf-8").split())
