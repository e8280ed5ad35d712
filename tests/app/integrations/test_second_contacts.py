"""A text message that nobody takes goes to the e-mail address its buyer left beside his phone: once, and no person is asked for help."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from app.integrations import service
from app.integrations.service import Message, queue_messages
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from app.ordering.placing import Placed
from app.settings import settings
from app.storefront.checkout import path_of
from tenants.session import tenant_tx
from tests.app.staff import staff
from tests.app.storefront.buyer import Buyer, words
from tests.world import World
from workers.failing import SEND, give_up_refused, leave_case

pytestmark = [pytest.mark.anyio]
NO_TEXTS = "17000000404"
"""The text-message company refuses this number for good."""
PHONE = "13800132046"
MESSAGES = "select medium, state, recipient_masked as masked, instead_of from outgoing_message order by created_at, id"
CASES = "select state, facts ->> 'to' as masked from staff_case where kind = 'message_failed'"
GOES_BY_MAIL = "The phone takes no text message; the same goes by e-mail"


@pytest.fixture
def no_line() -> Iterator[None]:
    """Nobody listens where text messages are handed over."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("QUANYI_SMS_URL", "http://127.0.0.1:9/sms")
        settings.cache_clear()
        yield
    settings.cache_clear()


def spare(world: World, name: str = "lin") -> str:
    return f"{name}@{world.tenant.slug}.example"


async def sold(world: World, contact: str, second: str) -> Placed:
    """An order from the shop's own form, paid and delivered, its messages on their way."""
    product = await world.product()
    await world.stock(product.skus[0].id, 3)
    answer = await Buyer(world.client()).buy(product.id, contact=contact, second_contact=second)
    assert answer.status_code == 303, words(answer.text)
    row = (await world.rows("select id, order_no from shop_order order by placed_at desc limit 1"))[0]
    placed = Placed(row["id"], row["order_no"], repeated=False)
    await world.pay(placed)
    await world.ask_gateway(placed)
    await world.work()
    return placed


async def test_a_number_that_takes_no_texts_is_written_to_by_mail_once(world: World) -> None:
    mail = spare(world)
    placed = await sold(world, NO_TEXTS, mail)
    assert len(world.outbox.messages(mail)) == 1, "at once, as the number was refused for good"
    for _ in range(2):
        async with tenant_tx(world.tenant) as tx:
            await leave_case(tx, SEND, await tx.fetchval("select id from outgoing_message where medium = 'sms'"), "again")
        await world.work()
    [arrived] = world.outbox.messages(mail)
    assert await path_of(world.tenant, placed) in arrived["text"], "the way to his order"
    assert world.outbox.messages(f"+86{NO_TEXTS}") == []
    text, letter = await world.rows(MESSAGES)
    assert (text["medium"], text["state"], text["masked"]) == ("sms", "failed", "170****0404")
    assert (letter["medium"], letter["state"], letter["instead_of"] is not None) == ("mail", "sent", True)
    assert await world.rows(CASES) == []
    page = (await (await staff(world)).get(f"/orders/{placed.order_no}")).text
    assert words(page).count(GOES_BY_MAIL) == 1
    assert letter["masked"] in page
    assert mail not in page


async def test_a_line_that_stays_dead_is_the_same(world: World, no_line: None) -> None:
    mail = spare(world)
    await sold(world, PHONE, mail)
    assert world.outbox.messages(mail) == [], "it is tried again before anything else"
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update task set attempts = 11, run_at = now() where kind = $1", SEND)
    await world.work(Lane.MESSAGES)
    assert len(world.outbox.messages(mail)) == 1
    assert await world.rows(CASES) == []


async def test_only_when_the_mail_fails_too_is_it_a_case(world: World) -> None:
    mail = spare(world, "nobody")
    await sold(world, NO_TEXTS, mail)
    assert await world.rows(CASES) == []
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update task set attempts = 11, run_at = now() where kind = $1", SEND)
    await world.work(Lane.MESSAGES)
    assert world.outbox.messages(mail) == []
    masked = await world.value("select masked from second_contact")
    assert await world.rows(CASES) == [{"state": "open", "masked": masked}]


async def test_without_a_second_contact_a_refusal_is_a_case_at_once(world: World) -> None:
    await sold(world, NO_TEXTS, "")
    assert await world.rows(CASES) == [{"state": "open", "masked": "170****0404"}]
    assert [row["state"] for row in await world.rows(MESSAGES)] == ["failed"]


async def test_a_refused_number_holds_up_none_of_the_others(world: World) -> None:
    """In one go with it, whatever the order: a number that is refused says nothing of the line."""
    others = [f"1390000{n:04d}" for n in range(2)]
    params = {"order_no": "N1", "order_id": str(new_id())}
    contacts = [others[0], NO_TEXTS, others[1]]
    async with tenant_tx(world.tenant) as tx:
        await queue_messages(tx, [Message("order_delivered", ("phone", f"+86{number}"), "zh_CN", params) for number in contacts])
    await world.work(Lane.MESSAGES)
    assert [row["state"] for row in await world.rows(MESSAGES)] == ["sent", "failed", "sent"]


async def test_two_who_give_it_up_at_once_send_one_mail(world: World) -> None:
    assert await mails_of_two(world) == 1


async def test_without_its_guard_they_send_two(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The red control: a mail that does not say which text message it replaces."""
    assert "$6, $7)" in service._MAIL_INSTEAD
    monkeypatch.setattr(service, "_MAIL_INSTEAD", service._MAIL_INSTEAD.replace("$6, $7)", "$6, nullif($7::uuid, $7::uuid))"))
    assert await mails_of_two(world) == 2


async def mails_of_two(world: World) -> int:
    """How many mails arrive when two workers give the same text message up in the same instant."""
    mail = spare(world)
    product = await world.product()
    await world.stock(product.skus[0].id, 3)
    placed = await world.order_with_second(product.skus[0].listing.id, contact=PHONE, second=mail)
    params = {"order_no": placed.order_no, "order_id": str(placed.id)}
    async with tenant_tx(world.tenant) as tx:
        await queue_messages(tx, [Message("order_delivered", ("phone", f"+86{PHONE}"), "zh_CN", params)])
        message_id = await tx.fetchval("select id from outgoing_message")
        await tx.execute("delete from task where subject_id = $1", message_id)
    both = asyncio.Barrier(2)

    async def give_up() -> None:
        async with tenant_tx(world.tenant) as tx:
            await both.wait()
            await give_up_refused(tx, {message_id: "refused"})

    await asyncio.gather(give_up(), give_up())
    await world.work(Lane.MESSAGES)
    return len(world.outbox.messages(mail))
