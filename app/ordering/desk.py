"""What staff do at an order without moving money: notes, asking for work again, saved views of the list."""

from __future__ import annotations

from urllib.parse import parse_qsl
from uuid import UUID

import asyncpg

from app.cases import service as cases
from app.cases.models import CaseKind
from app.integrations import service as integrations
from app.kernel import history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from app.ordering import filters
from app.ordering.actions import WHY
from app.ordering.models import SERVED, OrderState
from tenants.session import Tx

MOST_VIEWS = 12
ASKED_AGAIN = N_("Asked for again.")


class NotDelivered(DomainError):
    message = WHY["not_delivered"]


class NothingOwed(DomainError):
    message = WHY["nothing_owed"]


class TooManyViews(DomainError):
    message = N_("You have %(most)s views already. Delete one you no longer use, then save this one.")


async def add_note(tx: Tx, order_id: UUID, *, text: str, actor: Actor) -> None:
    """Write a note into an order's history. Staff read it, buyers never do."""
    await history.record(tx, Happened("order", order_id, "order.noted", note=text), actor=actor)


async def resend_message(tx: Tx, order: asyncpg.Record, *, actor: Actor) -> None:
    """Tell the buyer again that his order is here: a link, never a key. Raises: NotDelivered."""
    if order["state"] not in SERVED:
        raise NotDelivered
    contact = (await keyring(tx)).open("shop_order", "contact", order["id"], order["contact"])
    params = {"order_no": order["order_no"], "order_id": str(order["id"])}
    to = (order["contact_kind"], contact.reveal())
    await integrations.queue_message(tx, template="order_delivered", to=to, locale=order["locale"], params=params)
    await history.record(tx, Happened("order", order["id"], "order.message_resent", note=order["contact_masked"]), actor=actor)


async def ask_delivery(tx: Tx, order: asyncpg.Record, *, actor: Actor) -> None:
    """Have a paid order's delivery tried at once. A unit gets one key whatever is asked, so asking again is safe. Raises: NothingOwed."""
    if order["state"] != OrderState.PAID:
        raise NothingOwed
    await add_task(tx, "fulfillment.deliver", lane=Lane.ORDERS, subject_id=order["id"])
    await cases.settle(tx, CaseKind.WORK_FAILED, order["id"], note=ASKED_AGAIN, actor=actor)
    await history.record(tx, Happened("order", order["id"], "order.redelivery_asked"), actor=actor)


async def ask_gateway(tx: Tx, order_id: UUID, *, actor: Actor) -> int:
    """Have every open payment and unfinished refund of an order gone on with at once; how many. Nothing is sent a second time."""
    payments = await tx.fetch("select id from payment where order_id = $1 and state in ('opening', 'open')", order_id)
    refunds = await tx.fetch(
        "select id from refund where order_id = $1 and state in ('requested', 'sending', 'unknown')", order_id
    )
    unsent = await tx.fetch(_UNSENT, order_id)
    for kind, rows in (("payments.ask", payments), ("payments.send_refund", refunds), ("payments.refund_order", unsent)):
        for row in rows:
            await add_task(tx, kind, lane=Lane.ORDERS, subject_id=row["id"])
            await cases.settle(tx, CaseKind.WORK_FAILED, row["id"], note=ASKED_AGAIN, actor=actor)
    asked = len(payments) + len(refunds) + len(unsent)
    if asked:
        await history.record(tx, Happened("order", order_id, "order.gateway_asked"), actor=actor)
    return asked


async def save_view(tx: Tx, *, name: str, query: str, is_shared: bool, actor: Actor) -> None:
    """Keep a filter of the list under a name. Raises: TooManyViews; UnknownFilter when the query is not one of the list's."""
    chosen = filters.read(parse_qsl(query))
    have = await tx.fetchval("select count(*) from order_view where owner_id = $1", actor.id)
    if have >= MOST_VIEWS:
        raise TooManyViews(most=MOST_VIEWS)
    await tx.execute(_SAVE, new_id(), name, chosen.at_page(1).query(), actor.id, is_shared, have)


async def change_view(tx: Tx, view_id: UUID, *, name: str, is_shared: bool, actor: Actor) -> None:
    """Rename a view of one's own, and share it or stop sharing it. Raises: NotFound, for somebody else's too."""
    changed = await tx.execute(
        "update order_view set name = $3, is_shared = $4, updated_at = now() where id = $1 and owner_id = $2",
        view_id, actor.id, name, is_shared,
    )  # fmt: skip
    if not changed:
        raise NotFound


async def drop_view(tx: Tx, view_id: UUID, *, actor: Actor) -> None:
    """Delete a view of one's own; its orders stay. Idempotent."""
    await tx.execute("delete from order_view where id = $1 and owner_id = $2", view_id, actor.id)


async def open_with(tx: Tx, view_id: UUID, *, actor: Actor) -> None:
    """Have the list open with a view for this person: one of his own, or one that is shared. Idempotent. Raises: NotFound."""
    if not await tx.execute(_OPEN_WITH, actor.id, view_id):
        raise NotFound


async def open_with_all(tx: Tx, *, actor: Actor) -> None:
    """Have the list open with all orders again for this person. Idempotent."""
    await tx.execute("delete from order_view_default where user_id = $1", actor.id)


_OPEN_WITH = """
insert into order_view_default (user_id, view_id)
select $1, id from order_view where id = $2 and (owner_id = $1 or is_shared)
on conflict (user_id) do update set view_id = excluded.view_id
"""
_SAVE = "insert into order_view (id, name, query, owner_id, is_shared, position) values ($1, $2, $3, $4, $5, $6)"
_UNSENT = """
select o.id from shop_order o
where o.id = $1 and o.state = 'refunding'
  and exists (select 1 from delivery_unit u where u.order_id = o.id and u.state = 'refunding' and u.refund_id is null)
"""
