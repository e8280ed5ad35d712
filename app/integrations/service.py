"""Writing messages down in the transaction that wants them, and sending them by task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.integrations.models import MessageMedium
from app.kernel.contact import EMAIL, Contact
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from tenants.session import Tx, raw


async def queue_message(on: AsyncSession | Tx, *, template: str, to: tuple[str, str], locale: str, params: Mapping[str, Any]) -> None:
    """Have one message sent after this transaction commits. `to` is a contact's kind and value; both it and `params` are sealed.

    Card-keys never go into params: a message carries a link, and the merchant who opted in has the key opened when the mail is sent.
    """
    tx = await raw(on)
    ring = await keyring(tx)
    message_id, contact = new_id(), Contact(*to)
    await tx.execute(
        _INSERT,
        message_id,
        MessageMedium.MAIL if contact.kind == EMAIL else MessageMedium.SMS,
        template,
        locale,
        ring.seal("outgoing_message", "recipient", message_id, contact.value),
        contact.masked,
        ring.seal("outgoing_message", "params", message_id, json.dumps(dict(params))),
    )
    await add_task(tx, "integrations.send", lane=Lane.MESSAGES, subject_id=message_id)


_INSERT = """
insert into outgoing_message (id, medium, template, locale, recipient, recipient_masked, params)
values ($1, $2, $3, $4, $5, $6, $7)
"""
