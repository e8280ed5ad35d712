"""Fields that several of these forms have, and the checks a form alone cannot make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from app.access import passwords
from app.access.addresses import fault_of_slug
from app.kernel.forms import fail

_STEADY_S = 0.4


def _slug(value: str) -> str:
    if fault := fault_of_slug(value):
        raise fail(fault)
    return value


Slug = Annotated[str, StringConstraints(max_length=60, to_lower=True), AfterValidator(_slug)]
TypedPassword = Annotated[str, StringConstraints(strip_whitespace=False, max_length=1000)]
"""A password as somebody typed it to prove himself: not trimmed, not judged."""
Code = Annotated[str, StringConstraints(min_length=1, max_length=40)]


def new_password(value: str, *, has_second_factor: bool = False, near: Sequence[str] = ()) -> str:
    """A password fit to be chosen; to be called in a validator. Raises: the field's fault."""
    if fault := passwords.fault_of(value, has_second_factor=has_second_factor, near=near):
        raise fail(fault)
    return value


@asynccontextmanager
async def steady() -> AsyncIterator[None]:
    """Let the block take at least 0.4 s, so that its time does not tell whether an address is known."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + _STEADY_S
    try:
        yield
    finally:
        await asyncio.sleep(max(0.0, ends - loop.time()))
