"""Messages as they leave us."""

from typing import Any
from uuid import UUID

import pytest

from app.fulfillment import mailing
from app.integrations.sending import NotHandedOver, letter, send
from app.integrations.service import Message, queue_messages
from app.integrations.templates import Rendered
from app.kernel.ids import new_id
from tenants.session import Tx, tenant_tx
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
        await send(world.tenant, ids, add_more=mailing.add_more)
    states = [(row["state"], row["has_problem"]) for row in await world.rows(STATES)]
    assert sorted(states) == [("sent", False), ("sent", False), ("waiting", True)]
    assert arrived(world, "first", "nobody", "last") == [1, 0, 1]


async def test_when_the_line_goes_dead_the_rest_waits_for_the_next_time_and_nothing_is_sent_twice(world: World) -> None:
    ids = await queued(world, "first", "hangs-up", "last")
    with pytest.raises(NotHandedOver):
        await send(world.tenant, ids, add_more=mailing.add_more)
    assert arrived(world, "first", "hangs-up", "last") == [1, 0, 0]
    with pytest.raises(NotHandedOver):
        await send(world.tenant, [ids[1]], add_more=mailing.add_more)
    for _ in range(2):
        await send(world.tenant, [ids[0], ids[2]], add_more=mailing.add_more)
    assert arrived(world, "first", "hangs-up", "last") == [1, 0, 1]


def arrived(world: World, *names: str) -> list[int]:
    """How many mails each of them has, in the mail company's book."""
    return [len(world.outbox.messages(f"{name}@{world.tenant.slug}.example")) for name in names]


USAGE = "<p>Open the app &amp; sign in.</p><ol><li>Choose <b>Redeem</b></li><li>Type the key</li></ol><p><a href='https://help.example/a'>More</a></p>"


async def test_how_to_use_what_was_bought_travels_with_the_mail_of_its_delivery(world: World) -> None:
    """Once per product however many units of it; a text message stays one short line, its link and nothing more."""
    product = await world.product(usage_html=USAGE + "<script>alert(1)</script>")
    await world.stock(product.skus[0].id, 10)
    mail, phone = f"lin@{world.tenant.slug}.example", "13800132046"
    await world.bought(product.skus[0].listing.id, 2, contact=mail)
    texted = await world.bought(product.skus[0].listing.id, contact=phone)
    [letter_] = world.outbox.messages(mail)
    assert (
        "Skylark Video 使用说明\nOpen the app & sign in.\n1. Choose Redeem\n2. Type the key\nMore (https://help.example/a)"
        in (letter_["text"].replace("\r\n", "\n"))
    )
    assert letter_["html"].count("<ol><li>Choose <b>Redeem</b></li><li>Type the key</li></ol>") == 1
    assert "script" not in letter_["html"]
    said = next(one["text"] for one in world.outbox.messages(phone) if texted.order_no in one["text"])
    assert "Redeem" not in said
    assert len(said.split("\n\n")) == 2, "one line and the link"


async def test_how_to_use_it_is_read_once_for_all_the_messages_of_a_batch(world: World) -> None:
    product = await world.product(usage_html=USAGE)
    await world.stock(product.skus[0].id, 10)
    mails = [f"{name}@{world.tenant.slug}.example" for name in ("a", "b", "c")]
    orders = [await world.bought(product.skus[0].listing.id, contact=mail) for mail in mails]
    facts = [("order_delivered", {"order_id": str(order.id)}) for order in orders] + [("stock_low", FACTS)]
    async with tenant_tx(world.tenant) as tx:
        counted = Counted(tx)
        added = await mailing.add_more(counted, facts)  # type: ignore[arg-type]
    assert [len(more.notes) for more in added] == [1, 1, 1, 0]
    assert counted.reads == 2, "the keys and the notes, of all orders together"


class Counted:
    """A transaction that counts how often it reads."""

    def __init__(self, tx: Tx) -> None:
        self._tx, self.reads = tx, 0

    async def fetch(self, *asked: Any) -> Any:
        self.reads += 1
        return await self._tx.fetch(*asked)
