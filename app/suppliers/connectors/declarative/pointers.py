"""JSON Pointers: where a value stands in an answer. Source: RFC 6901."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
_INDEX = re.compile(r"0|[1-9]\d{0,5}")


def check_pointer(text: str) -> str:
    """Raises: ValueError."""
    if not _POINTER.fullmatch(text):
        raise ValueError("write where it stands as /name/name; the empty text is the whole")
    return text


def at(document: Any, pointer: str) -> Any:
    """What stands there; None where nothing does."""
    found = document
    for step in steps(pointer):
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and _INDEX.fullmatch(step) and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


def steps(pointer: str) -> Sequence[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
