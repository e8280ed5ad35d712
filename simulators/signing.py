"""The signatures of the sandbox protocols: HMAC-SHA256 over bytes as they travel."""

import hashlib
import hmac
import time

TOLERANCE_S = 300


def mac(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode("utf-8"), message, hashlib.sha256).hexdigest()


def request_message(timestamp: str, method: str, path: str, body: bytes) -> bytes:
    return f"{timestamp}.\n{method}\n{path}\n".encode() + body


def is_signed_request(secret: str, header: str, method: str, path: str, body: bytes) -> bool:
    """Check `t=<unix seconds>,v1=<hex>` over the request, dated within the tolerance."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    timestamp = parts.get("t", "")
    expected = mac(secret, request_message(timestamp, method, path, body))
    return is_fresh(timestamp) and hmac.compare_digest(expected.encode(), parts.get("v1", "").encode("utf-8", "replace"))


def message_headers(secret: str, body: bytes) -> dict[str, str]:
    """The headers of a one-way message: a notice, or a text message handed in."""
    timestamp = str(int(time.time()))
    signature = mac(secret, timestamp.encode() + b"." + body)
    return {"Sandbox-Timestamp": timestamp, "Sandbox-Signature": f"v1={signature}"}


def is_signed_message(secret: str, timestamp: str, header: str, body: bytes) -> bool:
    expected = "v1=" + mac(secret, timestamp.encode() + b"." + body)
    return is_fresh(timestamp) and hmac.compare_digest(expected.encode(), header.encode("utf-8", "replace"))


def is_fresh(timestamp: str) -> bool:
    return timestamp.isascii() and timestamp.isdecimal() and abs(time.time() - int(timestamp[:12])) <= TOLERANCE_S
