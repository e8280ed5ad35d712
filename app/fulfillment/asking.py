"""Asking suppliers what became of purchases: those whose outcome is unknown or not decided, and those whose process died while it called."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from app.fulfillment import attempts
from app.fulfillment.attempts import CALL_S, Decided
from app.fulfillment.models import AttemptState
from app.fulfillment.outcomes import Answer, record, sent_too_long_ago
from app.kernel import clock
from app.suppliers.connecting import Opened, connection_of
from app.suppliers.connectors.port import Asked, Found, Unknown
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_DIED = "its worker ended during the call"
_ASKED_AT_ONCE = 10
_ANSWERS_WITHIN_S = 10
"""A question has no effect, so it is given up sooner than a purchase, and asked again."""


@dataclass(frozen=True, slots=True)
class _Question:
    row: asyncpg.Record
    connection: Opened


async def ask(tenant: Tenant, attempt_ids: Sequence[UUID]) -> None:
    """Ask about attempts and write down what is found, each supplier's answers as soon as they are there.

    Idempotent: what is decided is not asked about again; the call runs in no transaction.
    """
    async with tenant_tx(tenant) as tx:
        questions = await _questions(tx, attempt_ids)
    by_connection: dict[UUID, list[_Question]] = defaultdict(list)
    for question in questions:
        by_connection[question.connection.id].append(question)
    async with asyncio.TaskGroup() as group:
        for of_one in by_connection.values():
            group.create_task(_ask_one_supplier(tenant, of_one))


async def _ask_one_supplier(tenant: Tenant, questions: Sequence[_Question]) -> None:
    limit = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def answered(question: _Question) -> Answer:
        async with limit:
            return await _ask(question)

    answers = await asyncio.gather(*(answered(question) for question in questions))
    async with tenant_tx(tenant) as tx:
        await record(tx, answers)


async def _questions(tx: Tx, attempt_ids: Sequence[UUID]) -> list[_Question]:
    """What is to be asked now. An attempt that a process was sending when it died becomes unknown; one that is being sent is left to its process."""
    rows = await attempts.lock(tx, attempt_ids)
    died = [row for row in rows if row["state"] == AttemptState.SENDING and _has_died(row)]
    await attempts.decide(tx, [Decided(row, AttemptState.UNKNOWN, says=_DIED) for row in died])
    early = {row["id"]: CALL_S for row in rows if row["state"] == AttemptState.SENDING and row not in died}
    await attempts.ask_later(tx, early)
    wanted = [row for row in rows if row["state"] in (AttemptState.ACCEPTED, AttemptState.UNKNOWN, AttemptState.FAILED)]
    wanted += died
    await attempts.count_asked(tx, [row["id"] for row in wanted])
    return [_Question(row, await connection_of(tx, row["connection_id"])) for row in wanted if row["times_sent"]]


def _has_died(row: asyncpg.Record) -> bool:
    return bool(clock.now() - row["sent_at"] > timedelta(seconds=CALL_S))


async def _ask(question: _Question) -> Answer:
    row, connector = question.row, question.connection.connector
    started = time.perf_counter()
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            found: Found = await connector.query(Asked(row["out_no"], row["supplier_ref"], row["sent_at"]))
    except TimeoutError:
        found = Unknown("the question took too long")
    traits = connector.traits
    return Answer(
        row["id"],
        None,
        found,
        round((time.perf_counter() - started) * 1000),
        not_found_grace=traits.not_found_grace,
        may_send_again=not sent_too_long_ago(row["sent_at"], traits.idempotency_life),
    )
