"""Kasushou's signature. Source: the document site of version 2."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def written(content: Mapping[str, Any]) -> str:
    """The body as it travels and is signed: keys in order, no blanks, neither unicode nor slashes escaped; `{}` when empty."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def sign(timestamp_ms: str, body: str, api_key: str) -> str:
    """SHA-1 over the time in milliseconds (13 digits), the body and the key; lower-case hex."""
    return hashlib.sha1((timestamp_ms + body + api_key).encode("utf-8"), usedforsecurity=False).hexdigest()
