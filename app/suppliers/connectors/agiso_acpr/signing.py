"""How Agiso signs calls and pushes.

Source: a published copy of the platform's guide. Calls: lower-case MD5 of secret, sorted key and value pairs, secret. Pushes: the same over `json` and
`timestamp`, compared without regard to case; a `+` in the form body stands for a space before anything is verified.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl


def signature(secret: str, parameters: Mapping[str, str]) -> str:
    """Over every parameter but `sign`."""
    pairs = "".join(f"{name}{parameters[name]}" for name in sorted(parameters) if name != "sign")
    return hashlib.md5(f"{secret}{pairs}{secret}".encode(), usedforsecurity=False).hexdigest()


def is_signed_push(secret: str, document: str, timestamp: str, given: str) -> bool:
    expected = signature(secret, {"json": document, "timestamp": timestamp})
    return hmac.compare_digest(expected.encode("ascii"), given.strip().lower().encode("utf-8", "replace"))


def form_of(text: str) -> dict[str, str]:
    """A form or query string; of a name given twice the last counts. A text that is no form is an empty one."""
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=50))
    except ValueError:
        return {}
