"""How Tremendous is taken to sign its webhooks: hex HMAC-SHA256 over the raw body, behind a prefix. Neither header nor rule was verified."""

from __future__ import annotations

import hashlib
import hmac


def notice_signature(secret: str, raw_body: bytes) -> str:
    return hmac.new(secret.encode("utf-8"), raw_body, hashlib.sha256).hexdigest()


def is_signed(secret: str, prefix: str, raw_body: bytes, signature: str) -> bool:
    expected = prefix + notice_signature(secret, raw_body)
    return hmac.compare_digest(expected.encode("utf-8"), signature.encode("utf-8", "replace"))
