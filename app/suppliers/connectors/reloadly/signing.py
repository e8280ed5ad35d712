"""How Reloadly signs its webhooks.

Source: public implementations of the webhook rule, two of them independent: hex HMAC-SHA256 over `<raw body>:<timestamp>`. Code that signs the
body alone also exists in public and is wrong.
"""

from __future__ import annotations

import hashlib
import hmac

SIGNATURE_HEADER = "x-reloadly-signature"
TIMESTAMP_HEADER = "x-reloadly-request-timestamp"


def notice_signature(secret: str, timestamp: str, raw_body: bytes) -> str:
    return hmac.new(secret.encode("utf-8"), raw_body + b":" + timestamp.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def is_signed(secrets: tuple[str, ...], timestamp: str, raw_body: bytes, signature: str) -> bool:
    """Whether one of the events' secrets made this signature. Every secret is tried, in constant time each."""
    given = signature.encode("utf-8", "replace")
    return any(hmac.compare_digest(notice_signature(secret, timestamp, raw_body).encode(), given) for secret in secrets)
