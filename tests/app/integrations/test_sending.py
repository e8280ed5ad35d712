"""Messages as they leave us."""

from uuid import UUID

import pytest

from app.fulfillment import mailing
from app.integrations.sending import NotHandedOver, letter, send
from app.integrations.service import Message, queue_messages
from app.integrations.templates import Rendered
from app.kernel.ids import new_id
from tenants.session import tenant_tx
from tests.installation import Installation
from tests.world import World


@pytest.mark.case("A04")
def test_mail_that_is_sent_again_has_the_same_id(installation: Installation) -> None:
    message_id, text = new_id(), Rendered("Delivered", "Here it is.")
    first, again = (letter(message_id, "lin@example.com", text)["Message-ID"] for _ in range(2))
    assert first == again
    assert first != letter(new_id(), "lin@example.com", text)["Message-ID"]


async def queued(world: World, *names: str) -> list[UUID]:
    """A mail to each of these, at a domain of this test."""
    messages = [Message("stock_low", ("email", f"{name}@{world.tenant.slug}.example"), "en", FACTS) for name in names]
    async with tenant_tx(world.tenant) as tx:
        await queue_messages(tx, messages)
    return [row["id"] for row in await world.rows("select id from outgoing_message order by created_at, id")]


FACTS = {"product": "Card", "sku": "10", "left": 3, "threshold": 5, "path": "/stock"}
STATES = "select state, last_error <> '' as has_problem from outgoing_message order by created_at, id"


async def test_a_mail_nobody_takes_holds_up_none_of_the_others(world: World) -> None:
    ids = await queued(world, "first", "nobody", "last")
    with pytest.raises(NotHandedOver, match="SMTPRecipientsRefused"):
        await send(world.tenant, ids, more_lines=mailing.lines)
    states = [(row["state"], row["has_problem"]) for row in await world.rows(STATES)]
    assert sorted(states) == [("sent", False), ("sent", False), ("waiting", True)]
    assert arrived(world, "first", "nobody", "last") == [1, 0, 1]


async def test_when_the_line_goes_dead_the_rest_waits_for_the_next_time_and_nothing_is_sent_twice(world: World) -> None:
    ids = await queued(world, "first", "hangs-up", "last")
    with pytest.raises(NotHandedOver):
        await send(world.tenant, ids, more_lines=mailing.lines)
    assert arrived(world, "first", "hangs-up", "last") == [1, 0, 0]
    with pytest.raises(NotHandedOver):
        await send(world.tenant, [ids[1]], more_lines=mailing.lines)
    for _ in range(2):
        await send(world.tenant, [ids[0], ids[2]], more_lines=mailing.lines)
    assert arrived(world, "first", "hangs-up", "last") == [1, 0, 1]


def arrived(world: World, *names: str) -> list[int]:
    """How many mails each of them has, in the mail company's book."""
    return [len(world.outbox.messages(f"{name}@{world.tenant.slug}.example")) for name in names]
