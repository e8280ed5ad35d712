"""Bearer tokens by client credentials: fetched once for many callers, kept in memory until shortly before they end, never written down."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.kernel import clock
from app.kernel.http import Call, Client
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors.port import Unknown
from app.suppliers.connectors.wire import count, encode, exchange

MARGIN = timedelta(seconds=60)
LIFE_UNSAID = timedelta(minutes=5)
LONGEST_LIFE = timedelta(days=1)
MAX_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is asked for with."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    audience: str

    def key(self) -> str:
        """Changes with every part, so that a corrected secret never meets the old token."""
        whole = "\0".join((self.token_url, self.client_id, self.client_secret, self.audience))
        return hashlib.sha256(whole.encode("utf-8")).hexdigest()


@dataclass(frozen=True, slots=True)
class _Kept:
    token: str = field(repr=False)
    ends_at: datetime


_kept: dict[str, _Kept] = {}
_under_way: dict[str, asyncio.Task[str | Unknown]] = {}


async def token_for(grant: Grant, client: Client) -> str | Unknown:
    """The token in force. Unknown with `is_sent=False`: without a token nothing was asked of the supplier in our name."""
    key = grant.key()
    kept = _kept.get(key)
    if kept is not None and clock.now() < kept.ends_at:
        return kept.token
    fetching = _under_way.get(key)
    if fetching is None or fetching.get_loop() is not asyncio.get_running_loop():
        fetching = _under_way[key] = asyncio.create_task(_fetch(grant, client))
        fetching.add_done_callback(lambda done: _under_way.pop(key) if _under_way.get(key) is done else None)
    return await asyncio.shield(fetching)


def forget(grant: Grant) -> None:
    """Drop a token the supplier no longer takes. Idempotent."""
    _kept.pop(grant.key(), None)


async def _fetch(grant: Grant, client: Client) -> str | Unknown:
    asked = {
        "client_id": grant.client_id,
        "client_secret": grant.client_secret,
        "grant_type": "client_credentials",
        "audience": grant.audience,
    }
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    reply = await exchange(client, Call("POST", grant.token_url, headers, encode(asked)))
    if isinstance(reply, Unknown):
        return Unknown(f"no token was given: {reply.says}", is_sent=False)
    if not reply.is_success:
        return Unknown(f"the supplier gave no token (HTTP {reply.status}): the client id or secret may be wrong", is_sent=False)
    try:
        token, life_s = reply.document.get("access_token"), count(reply.document, "expires_in")
    except (NotStrictJson, AttributeError):
        return Unknown("the token answer cannot be read", is_sent=False)
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not 0 < len(token) <= 8192:
        return Unknown("the token answer holds no token", is_sent=False)
    life = LIFE_UNSAID if life_s is None else min(timedelta(seconds=min(life_s, 10**6)), LONGEST_LIFE)
    _keep(grant.key(), _Kept(token, clock.now() + max(life - MARGIN, timedelta(0))))
    return token


def _keep(key: str, kept: _Kept) -> None:
    _kept.pop(key, None)
    _kept[key] = kept
    while len(_kept) > MAX_KEPT:
        del _kept[next(iter(_kept))]
