"""How a merchant's system is told of something: one signed call, and what its answer means. Pure.

*Source:* Standard Webhooks 1.0.0. `webhook-id` is the same each time an event is told again, `webhook-timestamp` is in seconds, and `webhook-signature` holds
a base64 HMAC-SHA256 over `id.timestamp.body` for each secret that signs at that moment. A secret is 32 random bytes, shown as `whsec_` and base64.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.kernel.http import Answer, Call

_PREFIX = "whsec_"
_SECRET_BYTES = 32
_LATER = frozenset({408, 425, 429})
_GONE = 410


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It was not taken this time; `after_s` is how long the receiver asked to wait, none where it did not."""

    says: str
    after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver wants nothing any more."""


Told = Delivered | Refused | Gone


def new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signature(secret: str, event_id: str, at_s: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = hmac.new(key, f"{event_id}.{at_s}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()


def call(url: str, signing: Sequence[str], event_id: UUID, body: str, at: datetime) -> Call:
    """The one call that tells an event, signed with each of the secrets."""
    at_s, encoded = int(at.timestamp()), body.encode()
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Quanyi-Webhooks/1",
        "webhook-id": str(event_id),
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(signature(secret, str(event_id), at_s, encoded) for secret in signing),
    }
    return Call("POST", url, headers, encoded)


def read(answer: Answer) -> Told:
    """What an answer means. Redirects are refusals: whoever moves says so on the settings' page."""
    if 200 <= answer.status < 300:
        return Delivered()
    if answer.status == _GONE:
        return Gone()
    waits = answer.headers.get("retry-after", "") if answer.status in _LATER or answer.status >= 500 else ""
    return Refused(f"answered {answer.status}", int(waits) if waits.isascii() and waits.isdigit() and len(waits) < 7 else None)
