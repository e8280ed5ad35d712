"""Messages that nobody took, however often they were tried: a person sees them, and they close by themselves once they are sent."""

from collections.abc import Iterator

import aiosmtplib
import pytest

from app.access.models import MemberRole
from app.integrations import sending
from app.integrations.service import Message, queue_messages
from app.kernel.tasks import Lane
from app.ordering.placing import Placed
from tenants.session import tenant_tx
from tests.app.staff import staff
from tests.world import World

GIVEN_UP = "A message could not be delivered"
STATES = "select state, order_id, note, facts ->> 'to' as masked from staff_case where kind = 'message_failed'"


@pytest.fixture
def away() -> Iterator[pytest.MonkeyPatch]:
    """The mail server listens no more, until this is undone."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sending, "_mail_server", lambda: aiosmtplib.SMTP(hostname="127.0.0.1", port=9, timeout=5))
        yield patched


async def given_up(world: World) -> None:
    """All the tries of the messages that wait are used up."""
    await world.work()
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update task set attempts = 11, run_at = now() where kind = 'integrations.send'")
    await world.work(Lane.MESSAGES)


async def untold(world: World) -> tuple[Placed, str]:
    """A delivered order whose buyer could not be told, and his address."""
    product = await world.product()
    await world.stock(product.skus[0].id, 3)
    mail = f"lin@{world.tenant.slug}.example"
    placed = await world.bought(product.skus[0].listing.id, contact=mail)
    await given_up(world)
    return placed, mail


async def test_a_message_that_is_given_up_is_a_case_until_it_is_sent(world: World, away: pytest.MonkeyPatch) -> None:
    placed, mail = await untold(world)
    [case] = await world.rows(STATES)
    assert (case["state"], case["order_id"]) == ("open", placed.id)
    assert case["masked"] not in ("", mail)
    owner, stranger = await staff(world), await staff(world, tenant=await world.new_tenant("Other"))
    reader = await staff(world, MemberRole.READ_ONLY)
    case_id = await world.value("select id from staff_case where kind = 'message_failed'")
    shown = (await owner.get(f"/orders/{placed.order_no}")).text
    assert GIVEN_UP in shown
    assert "A message was given up after many tries." in shown
    page = await owner.get(f"/cases/{case_id}")
    assert "Try the message again" in page.text
    assert case["masked"] in page.text
    assert "Try the message again" not in (await reader.get(f"/cases/{case_id}")).text
    assert (await reader.post(f"/cases/{case_id}/message")).status_code == 403
    assert (await stranger.post(f"/cases/{case_id}/message")).status_code == 404
    away.undo()
    for _ in range(2):
        assert (await owner.post(f"/cases/{case_id}/message")).status_code == 303
    await world.work()
    assert len(world.outbox.messages(mail)) == 1
    [case] = await world.rows(STATES)
    assert (case["state"], case["note"]) == ("closed", "The message was sent.")
    assert (
        "done already"
        in (await owner.get((await owner.post(f"/cases/{case_id}/message")).headers["location"][len(owner.base) :])).text
    )
    await world.work()
    assert len(world.outbox.messages(mail)) == 1
    assert GIVEN_UP not in (await owner.get(f"/orders/{placed.order_no}")).text


async def test_a_later_message_about_the_delivery_closes_it_too(world: World, away: pytest.MonkeyPatch) -> None:
    placed, mail = await untold(world)
    away.undo()
    assert (await (await staff(world)).post(f"/orders/{placed.order_no}/messages")).status_code == 303
    await world.work()
    assert len(world.outbox.messages(mail)) == 1
    assert [case["state"] for case in await world.rows(STATES)] == ["closed"]


async def test_what_stands_in_the_app_and_what_comes_too_late_leaves_no_case(world: World, away: pytest.MonkeyPatch) -> None:
    """An alert and a code are given up in silence; the supplier who was not asked is a case, of no order."""
    to = ("email", f"lin@{world.tenant.slug}.example")
    facts = {
        "product": "Card",
        "sku": "10",
        "left": 3,
        "threshold": 5,
        "path": "/stock",
        "code": "1",
        "no": "R1",
        "goods": "10 cards",
    }
    names = ("stock_low", "contact_code", "replenishment_asked")
    async with tenant_tx(world.tenant) as tx:
        await queue_messages(tx, [Message(name, to, "en", facts) for name in names])
    await given_up(world)
    assert await world.value("select count(*) from outgoing_message where state = 'failed'") == 3
    [case] = await world.rows(STATES)
    assert (case["state"], case["order_id"]) == ("open", None)
    assert await world.value("select facts ->> 'template' from staff_case") == "replenishment_asked"
    away.undo()
