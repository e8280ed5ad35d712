"""Webhooks: the merchant's systems that are told, each with its own secret, and writing down what they are to be told.

An event is written in the transaction of what happened, so nothing that happened goes untold and nothing is told that did not happen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from app.integrations import webhook_calls
from app.integrations.models import WebhookTopic
from app.kernel import audit, clock
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_tasks
from app.kernel.vault import keyring
from tenants.session import Tx

MOST_ENDPOINTS: Final = 10
MOST_SHOWN: Final = 50
OVERLAP: Final = timedelta(hours=24)
"""How long the secret before still signs beside a new one."""
_KEPT: Final = timedelta(days=30)
TOPICS: Final[Mapping[str, str]] = {
    WebhookTopic.REDEMPTION_CREATED: N_("A code was used"),
    WebhookTopic.REDEMPTION_VOIDED: N_("A use was taken back"),
    WebhookTopic.REDEMPTION_TOLD: N_("A supplier told that something was used, or that its use was taken back"),
}
"""What an endpoint may choose to be told of."""


class WebhookNameTaken(DomainError):
    message = N_("%(name)s exists already. Choose another name.")


class TooManyWebhooks(DomainError):
    message = N_("At most %(most)s webhooks. Remove one that is not needed.")


@dataclass(frozen=True, slots=True)
class WebhookTerms:
    """An endpoint as its form gives it."""

    name: str
    url: str
    topics: tuple[str, ...]


async def all_endpoints(tx: Tx) -> list[asyncpg.Record]:
    """Every endpoint with how much waits for it and what it did not take."""
    return await tx.fetch(_ALL, MOST_ENDPOINTS)


async def endpoint_or_404(tx: Tx, endpoint_id: UUID) -> asyncpg.Record:
    """Raises: NotFound."""
    row = await tx.fetchrow("select id, name, url, topics, is_on from webhook_endpoint where id = $1", endpoint_id)
    if row is None:
        raise NotFound
    return row


async def deliveries_of(tx: Tx, endpoint_id: UUID) -> list[asyncpg.Record]:
    """The newest events for an endpoint and what became of each."""
    return await tx.fetch(_DELIVERIES, endpoint_id, MOST_SHOWN)


async def add(tx: Tx, terms: WebhookTerms, *, actor: Actor) -> tuple[UUID, str]:
    """Write an endpoint down; its id and its secret, which is shown this once. Raises: WebhookNameTaken, TooManyWebhooks."""
    await _refuse_taken(tx, terms.name, None)
    if await tx.fetchval("select count(*) from webhook_endpoint") >= MOST_ENDPOINTS:
        raise TooManyWebhooks(most=MOST_ENDPOINTS)
    endpoint_id, secret = new_id(), webhook_calls.new_secret()
    await tx.execute(
        _ADD, endpoint_id, terms.name, terms.url, list(terms.topics), await _sealed(tx, endpoint_id, [(secret, None)])
    )
    await _note(tx, "webhook.added", endpoint_id, terms, actor)
    return endpoint_id, secret


async def change(tx: Tx, endpoint_id: UUID, terms: WebhookTerms, *, actor: Actor) -> None:
    """Raises: NotFound, WebhookNameTaken."""
    await endpoint_or_404(tx, endpoint_id)
    await _refuse_taken(tx, terms.name, endpoint_id)
    await tx.execute(_CHANGE, endpoint_id, terms.name, terms.url, list(terms.topics))
    await _note(tx, "webhook.changed", endpoint_id, terms, actor)


async def roll(tx: Tx, endpoint_id: UUID, *, actor: Actor) -> str:
    """A new secret, shown this once; the one before signs beside it for a day. Raises: NotFound."""
    row = await endpoint_or_404(tx, endpoint_id)
    before = await signing_secrets(tx, endpoint_id)
    secret = webhook_calls.new_secret()
    kept = [(secret, None), (before[0], clock.now() + OVERLAP)]
    await tx.execute(
        "update webhook_endpoint set secrets = $2, updated_at = now() where id = $1",
        endpoint_id,
        await _sealed(tx, endpoint_id, kept),
    )
    await audit.record(tx, actor, "webhook.secret_rolled", subject=("webhook_endpoint", endpoint_id), facts={"name": row["name"]})
    return secret


async def switch(tx: Tx, endpoint_id: UUID, *, is_on: bool, actor: Actor) -> None:
    """Let an endpoint be told, or not; what waits for it goes out when it is on again. Idempotent. Raises: NotFound."""
    row = await endpoint_or_404(tx, endpoint_id)
    if row["is_on"] == is_on:
        return
    await tx.execute("update webhook_endpoint set is_on = $2, updated_at = now() where id = $1", endpoint_id, is_on)
    action = "webhook.on" if is_on else "webhook.off"
    await audit.record(tx, actor, action, subject=("webhook_endpoint", endpoint_id), facts={"name": row["name"]})
    await _have_sent(tx, [endpoint_id])


async def remove(tx: Tx, endpoint_id: UUID, *, actor: Actor) -> None:
    """Forget an endpoint, its secret and what waits for it. Raises: NotFound."""
    row = await endpoint_or_404(tx, endpoint_id)
    await tx.execute("delete from webhook_endpoint where id = $1", endpoint_id)
    await audit.record(tx, actor, "webhook.removed", subject=("webhook_endpoint", endpoint_id), facts={"name": row["name"]})


async def send_again(tx: Tx, endpoint_id: UUID, delivery_id: UUID | None = None) -> int:
    """Have one event sent again, delivered or not, or all that failed; how many. Raises: NotFound for one that is not this endpoint's."""
    await endpoint_or_404(tx, endpoint_id)
    rows = await tx.fetch(_AGAIN, endpoint_id, delivery_id)
    if delivery_id is not None and not rows:
        raise NotFound
    await _have_sent(tx, [endpoint_id])
    return len(rows)


async def test(tx: Tx, endpoint_id: UUID) -> None:
    """Tell an endpoint of a test event, whatever it chose. Raises: NotFound."""
    await endpoint_or_404(tx, endpoint_id)
    await publish(tx, WebhookTopic.TEST, [endpoint_id], {"says": "This is a test."})


async def listening(tx: Tx, topic: WebhookTopic) -> list[UUID]:
    """The endpoints that are told of a topic."""
    return [row["id"] for row in await tx.fetch(_LISTENING, topic, MOST_ENDPOINTS)]


async def publish(tx: Tx, topic: WebhookTopic, endpoint_ids: Sequence[UUID], data: Mapping[str, Any]) -> None:
    """Have endpoints told, once this transaction is committed. `data` is JSON and holds no key, code or secret."""
    event_id = new_id()
    body = json.dumps({"type": topic, "timestamp": clock.now().isoformat(), "data": dict(data)}, ensure_ascii=False)
    await tx.execute("insert into webhook_event (id, topic, body) values ($1, $2, $3)", event_id, topic, body)
    await tx.executemany(_DELIVERY, [(new_id(), endpoint_id, event_id) for endpoint_id in endpoint_ids])
    await _have_sent(tx, endpoint_ids)


async def signing_secrets(tx: Tx, endpoint_id: UUID) -> list[str]:
    """What an endpoint's calls are signed with now, the newest first."""
    cipher = await tx.fetchval("select secrets from webhook_endpoint where id = $1", endpoint_id)
    kept = json.loads((await keyring(tx)).open("webhook_endpoint", "secrets", endpoint_id, cipher).reveal())
    now = clock.now()
    return [one["secret"] for one in kept if one["until"] is None or datetime.fromisoformat(one["until"]) > now]


async def forget(tx: Tx) -> int:
    """Drop events of a month ago for which nothing waits; how many."""
    return await tx.execute(_FORGET, clock.now() - _KEPT)


async def _have_sent(tx: Tx, endpoint_ids: Sequence[UUID]) -> None:
    await add_tasks(tx, "integrations.tell_webhook", lane=Lane.MESSAGES, subject_ids=endpoint_ids)


async def _refuse_taken(tx: Tx, name: str, endpoint_id: UUID | None) -> None:
    if await tx.fetchval("select 1 from webhook_endpoint where name = $1 and id is distinct from $2", name, endpoint_id):
        raise WebhookNameTaken(name=name)


async def _sealed(tx: Tx, endpoint_id: UUID, kept: Sequence[tuple[str, datetime | None]]) -> bytes:
    words = json.dumps([{"secret": secret, "until": until and until.isoformat()} for secret, until in kept])
    return (await keyring(tx)).seal("webhook_endpoint", "secrets", endpoint_id, words)


async def _note(tx: Tx, action: str, endpoint_id: UUID, terms: WebhookTerms, actor: Actor) -> None:
    facts = {"name": terms.name, "url": terms.url, "topics": list(terms.topics)}
    await audit.record(tx, actor, action, subject=("webhook_endpoint", endpoint_id), facts=facts)


_ALL = """
select e.id, e.name, e.url, e.topics, e.is_on, d.waiting, d.failed, d.delivered_at
from webhook_endpoint e
cross join lateral (
  select (count(*) filter (where state = 'waiting'))::int as waiting, (count(*) filter (where state = 'failed'))::int as failed,
         max(delivered_at) as delivered_at
  from webhook_delivery where endpoint_id = e.id
) d
order by e.name
limit $1
"""
_DELIVERIES = """
select d.id, v.id as event_id, v.topic, v.created_at, d.state, d.times_tried, d.due_at, d.last_status, d.last_error, d.delivered_at
from webhook_delivery d join webhook_event v on v.id = d.event_id
where d.endpoint_id = $1
order by d.event_id desc
limit $2
"""
_ADD = "insert into webhook_endpoint (id, name, url, topics, secrets) values ($1, $2, $3, $4, $5)"
_CHANGE = "update webhook_endpoint set name = $2, url = $3, topics = $4, updated_at = now() where id = $1"
_LISTENING = "select id from webhook_endpoint where is_on and $1 = any(topics) order by id limit $2"
_DELIVERY = "insert into webhook_delivery (id, endpoint_id, event_id) values ($1, $2, $3)"
_AGAIN = """
update webhook_delivery set state = 'waiting', due_at = now(), times_tried = 0, updated_at = now()
where endpoint_id = $1 and case when $2::uuid is null then state = 'failed' else id = $2 end
returning id
"""
_FORGET = """
with old as (
  select v.id from webhook_event v
  where v.created_at < $1 and not exists (select 1 from webhook_delivery d where d.event_id = v.id and d.state = 'waiting')
  order by v.created_at limit 1000
), told as (
  delete from webhook_delivery where event_id in (select id from old)
)
delete from webhook_event where id in (select id from old)
"""
