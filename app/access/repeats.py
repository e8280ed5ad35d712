"""A request sent again gets the answer it got: the key a machine gives it is kept with the answer, in the transaction of what it did."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from litestar import Response
from pydantic import BaseModel

from app.access.machines import machine_in
from app.kernel import clock
from app.kernel.api import Body
from app.kernel.errors import N_, DomainError
from app.kernel.web import NO_STORE, AnyRequest, problem_of
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

KEPT = timedelta(days=7)
HEADER = "idempotency-key"
_KEY = re.compile(r"[!-~]{1,64}")
_KEPT_REFUSALS = range(400, 429)


class KeyMissing(DomainError):
    status = 400
    message = N_("Send an Idempotency-Key: 1 to 64 printable signs of your own, another for each request.")


class KeyReused(DomainError):
    message = N_("This Idempotency-Key was sent before with something else. Nothing was done; use a new key.")


async def once(request: AnyRequest, tenant: Tenant, body: Body, verb: Callable[[Tx], Awaitable[BaseModel]]) -> Response[Any]:
    """Do what a request asks, once for its key: sent again, it gets the first answer, a refusal too. Two at once wait for each other.

    Raises: KeyMissing, KeyReused, and what the verb raises.
    """
    key, client_id = request.headers.get(HEADER, ""), machine_in(request).client_id
    if not _KEY.fullmatch(key):
        raise KeyMissing
    sent = _digest(request, body)
    try:
        async with tenant_tx(tenant) as tx:
            if (kept := await _kept(tx, client_id, key, sent)) is not None:
                return kept
            answer = (await verb(tx)).model_dump(mode="json")
            await tx.execute(_ANSWER, client_id, key, 200, json.dumps(answer))
    except DomainError as refusal:
        if isinstance(refusal, KeyReused) or refusal.status not in _KEPT_REFUSALS:
            raise
        return await _refused(request, tenant, refusal, (client_id, key, sent))
    return _json(200, answer)


async def _refused(request: AnyRequest, tenant: Tenant, refusal: DomainError, of: tuple[UUID, str, bytes]) -> Response[Any]:
    """Keep a refusal, whose transaction is gone, in one of its own; whoever kept an answer meanwhile goes first."""
    body = problem_of(request, refusal)
    async with tenant_tx(tenant) as tx:
        if (kept := await _kept(tx, *of)) is not None:
            return kept
        await tx.execute(_ANSWER, of[0], of[1], refusal.status, json.dumps(body))
    return _json(refusal.status, body)


async def _kept(tx: Tx, client_id: UUID, key: str, sent: bytes) -> Response[Any] | None:
    """The answer a key got, or None for the first who brings it: the row then is his until his transaction ends. Raises: KeyReused."""
    if await tx.fetchval(_CLAIM, client_id, key, sent):
        return None
    row = await tx.fetchrow(_ANSWERED, client_id, key)
    assert row is not None, "who may not claim a key finds it claimed"
    if row["sent"] != sent:
        raise KeyReused
    return _json(row["status"], json.loads(row["answer"]), {"Idempotent-Replayed": "true"})


def _json(status: int, body: Any, headers: dict[str, str] | None = None) -> Response[Any]:
    media_type = "application/json" if status < 400 else "application/problem+json"
    return Response(body, status_code=status, media_type=media_type, headers={**NO_STORE, **(headers or {})})


def _digest(request: AnyRequest, body: Body) -> bytes:
    """What was asked, wherever its blanks stood."""
    said = json.dumps(body.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{request.method} {request.scope['path']}\n{said}".encode()).digest()


async def forget(tx: Tx) -> int:
    """Delete answers nobody will ask for again."""
    return await tx.execute("delete from api_answer where created_at < $1", clock.now() - KEPT)


_CLAIM = "insert into api_answer (client_id, key, sent) values ($1, $2, $3) on conflict do nothing returning true"
_ANSWERED = "select sent, status, answer::text as answer from api_answer where client_id = $1 and key = $2"
_ANSWER = "update api_answer set status = $3, answer = $4::jsonb where client_id = $1 and key = $2"
