"""Webhooks: what happens at a till is told to the merchant's systems, signed, at least once under one id, for three days, and never with a code."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app.access.models import MemberRole
from app.fulfillment import redeeming
from app.fulfillment.minting import UsedUp
from app.integrations import webhook_calls, webhook_sending, webhooks
from app.integrations.models import WebhookTopic
from app.integrations.webhook_calls import Delivered, Gone, Refused
from app.integrations.webhooks import WebhookTerms
from app.kernel.http import Answer
from tenants.session import tenant_tx
from tests.app.fulfillment.test_minting import code_of, minted, use
from tests.app.integrations.receiver import Receiver, receiver
from tests.app.staff import Staff, staff
from tests.app.storefront.buyer import words
from tests.world import STAFF, World

CREATED = WebhookTopic.REDEMPTION_CREATED


@pytest.fixture
async def owner(world: World) -> Staff:
    return await staff(world)


@pytest.fixture
def till_program() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


async def connected(world: World, program: Receiver, *topics: WebhookTopic) -> tuple[UUID, str]:
    """An endpoint and its secret."""
    terms = WebhookTerms("Till", program.url, topics or tuple(webhooks.TOPICS))
    async with tenant_tx(world.tenant) as tx:
        return await webhooks.add(tx, terms, actor=STAFF)


async def tell(world: World, endpoint_id: UUID, times: int = 1) -> None:
    async with tenant_tx(world.tenant) as tx:
        for number in range(times):
            await webhooks.publish(tx, CREATED, [endpoint_id], {"number": number})


async def time_passes(world: World) -> None:
    """Whatever waits is due now."""
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update webhook_delivery set due_at = now() where state = 'waiting'")
        await tx.execute("update task set run_at = now() where kind = 'integrations.tell_webhook'")
    await world.work()


async def states(world: World) -> dict[str, int]:
    return {row["state"]: row["n"] for row in await world.rows("select state, count(*) as n from webhook_delivery group by 1")}


def test_the_signature_is_the_standard_s() -> None:
    """*Source:* the example in the reference implementations of Standard Webhooks."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    found = webhook_calls.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("status", "headers", "means"),
    [
        (200, {}, Delivered()),
        (204, {}, Delivered()),
        (301, {"location": "http://127.0.0.1/"}, Refused("answered 301")),
        (400, {"retry-after": "60"}, Refused("answered 400")),
        (410, {}, Gone()),
        (429, {"retry-after": "120"}, Refused("answered 429", 120)),
        (503, {"retry-after": "Fri, 31 Dec 2027 23:59:59 GMT"}, Refused("answered 503")),
        (503, {"retry-after": "99999999"}, Refused("answered 503")),
    ],
)
def test_only_two_hundreds_are_a_yes(status: int, headers: dict[str, str], means: object) -> None:
    assert webhook_calls.read(Answer(status, b"", headers)) == means


@pytest.mark.anyio
@pytest.mark.case("K01")
async def test_a_use_at_the_counter_and_its_taking_back_are_told_without_the_code(
    world: World, owner: Staff, till_program: Receiver
) -> None:
    form = {"name": "Till", "url": till_program.url, "topics": ["redemption.created", "redemption.voided"]}
    made = await owner.post("/settings/webhooks", form)
    secret = re.search(r"whsec_[\w+/=]+", made.text)
    assert secret
    product = await minted(world)
    placed = await world.bought(product.skus[0].listing.id)
    code = await code_of(world, placed)
    assert (await owner.post("/redeem", {"code": code, "place": "West Lake"})).status_code == 200
    use_id = await world.value("select id from minted_use")
    async with tenant_tx(world.tenant) as tx:
        await redeeming.void(tx, use_id, reason="Wrong guest", actor=STAFF)
    await world.work()
    created, voided = sorted(till_program.told, key=lambda told: told.event["type"])
    assert [told.event["type"] for told in (created, voided)] == ["redemption.created", "redemption.voided"]
    assert all(told.is_signed_with(secret[0]) for told in till_program.told)
    assert created.event["data"] | {"at": "", "who": ""} == {
        "id": str(use_id), "masked": created.event["data"]["masked"], "product": "Noodle House", "sku": "Month", "order_no": placed.order_no,
        "use_no": 1, "most_uses": 1, "at": "", "place": "West Lake", "reference": "", "who": "", "voided_at": None, "void_reason": "",
    }  # fmt: skip
    assert voided.event["data"]["void_reason"] == "Wrong guest"
    assert code.encode() not in created.body + voided.body
    assert code.replace("-", "").encode() not in created.body + voided.body
    shown = await owner.get(f"/settings/webhooks/{await world.value('select id from webhook_endpoint')}")
    assert secret[0] not in shown.text
    assert words(shown.text).count("Taken1 try") == 2


@pytest.mark.anyio
async def test_what_did_not_happen_is_not_told(world: World, till_program: Receiver) -> None:
    await connected(world, till_program)
    product = await minted(world)
    code = await code_of(world, await world.bought(product.skus[0].listing.id))
    await use(world, code)
    with pytest.raises(UsedUp):
        await use(world, code)
    await world.work()
    assert len(till_program.told) == 1


@pytest.mark.anyio
async def test_who_is_off_or_chose_something_else_is_told_nothing(world: World, till_program: Receiver) -> None:
    await connected(world, till_program, WebhookTopic.REDEMPTION_VOIDED)
    product = await minted(world, quota=2)
    code = await code_of(world, await world.bought(product.skus[0].listing.id))
    await use(world, code)
    await world.work()
    assert await world.value("select count(*) from webhook_event") == 0
    async with tenant_tx(world.tenant) as tx:
        assert await webhooks.listening(tx, WebhookTopic.REDEMPTION_VOIDED)
        await tx.execute("update webhook_endpoint set is_on = false")
        assert not await webhooks.listening(tx, WebhookTopic.REDEMPTION_VOIDED)


@pytest.mark.anyio
async def test_a_receiver_that_is_down_for_three_days_misses_nothing(world: World, owner: Staff, till_program: Receiver) -> None:
    endpoint_id, secret = await connected(world, till_program)
    most = len(webhook_sending.DELAYS_S)
    assert sum(webhook_sending.DELAYS_S) > timedelta(days=3).total_seconds()
    till_program.answers = [(500, {})] * most
    await tell(world, endpoint_id)
    await world.work()
    assert await world.value("select due_at > now() + interval '4 seconds' from webhook_delivery")
    for _ in range(most):
        await time_passes(world)
    assert await states(world) == {"delivered": 1}
    assert len({told.event_id for told in till_program.told}) == 1
    assert len(till_program.told) == most + 1
    assert all(told.is_signed_with(secret) for told in till_program.told)
    assert await world.value("select count(*) from alert where template = 'webhook_failing'") == 1, "told once, in half an hour"


@pytest.mark.anyio
async def test_what_was_given_up_is_sent_again_by_hand_under_its_id(world: World, owner: Staff, till_program: Receiver) -> None:
    endpoint_id, _ = await connected(world, till_program)
    till_program.answers = [(500, {})] * (2 * (len(webhook_sending.DELAYS_S) + 1))
    await tell(world, endpoint_id, times=2)
    await world.work()
    for _ in webhook_sending.DELAYS_S:
        await time_passes(world)
    assert await states(world) == {"failed": 2}
    page = await owner.get(f"/settings/webhooks/{endpoint_id}")
    assert "Not taken" in words(page.text)
    one = await world.value("select id from webhook_delivery order by id limit 1")
    assert (await owner.post(f"/settings/webhooks/{endpoint_id}/deliveries/{one}")).status_code == 303
    await world.work()
    assert await states(world) == {"failed": 1, "delivered": 1}
    assert (await owner.post(f"/settings/webhooks/{endpoint_id}/failed")).status_code == 303
    await world.work()
    assert await states(world) == {"delivered": 2}
    assert len({told.event_id for told in till_program.told}) == 2


@pytest.mark.anyio
async def test_a_receiver_that_is_gone_is_switched_off_and_the_shop_is_told(world: World, till_program: Receiver) -> None:
    endpoint_id, _ = await connected(world, till_program)
    till_program.answers = [(410, {})]
    await tell(world, endpoint_id)
    await world.work()
    assert await world.value("select not is_on from webhook_endpoint")
    assert await world.value("select count(*) from alert where template = 'webhook_failing'") == 1


@pytest.mark.anyio
async def test_a_receiver_that_asks_for_time_gets_it(world: World, till_program: Receiver) -> None:
    endpoint_id, _ = await connected(world, till_program)
    till_program.answers = [(429, {"Retry-After": "3000"})]
    await tell(world, endpoint_id)
    await world.work()
    assert await world.value("select due_at - now() between interval '2900 s' and interval '3000 s' from webhook_delivery")


@pytest.mark.anyio
async def test_many_workers_tell_each_event_once(world: World, till_program: Receiver) -> None:
    endpoint_id, _ = await connected(world, till_program)
    await tell(world, endpoint_id, times=20)
    await asyncio.gather(*(webhook_sending.tell(world.tenant, endpoint_id) for _ in range(4)))
    assert Counter(Counter(told.event_id for told in till_program.told).values()) == {1: 20}


@pytest.mark.anyio
async def test_a_worker_that_died_between_call_and_record_tells_again_under_the_same_id(
    world: World, till_program: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint_id, _ = await connected(world, till_program)
    await tell(world, endpoint_id)

    async def dies(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(webhook_sending, "_note", dies)
        with pytest.raises(RuntimeError):
            await webhook_sending.tell(world.tenant, endpoint_id)
    await webhook_sending.tell(world.tenant, endpoint_id)
    assert len(till_program.told) == 1, "its lease runs"
    await time_passes(world)
    assert [told.event_id for told in till_program.told] == [till_program.told[0].event_id] * 2
    assert await states(world) == {"delivered": 1}


@pytest.mark.anyio
async def test_a_new_secret_signs_at_once_and_the_one_before_for_a_day(
    world: World, owner: Staff, till_program: Receiver
) -> None:
    endpoint_id, before = await connected(world, till_program)
    rolled = re.search(r"whsec_[\w+/=]+", (await owner.post(f"/settings/webhooks/{endpoint_id}/secrets")).text)
    assert rolled
    await owner.post(f"/settings/webhooks/{endpoint_id}/test")
    await world.work()
    [told] = till_program.told
    assert told.event["type"] == "endpoint.test"
    assert told.is_signed_with(rolled[0])
    assert told.is_signed_with(before)
    async with tenant_tx(world.tenant) as tx:
        assert await webhooks.signing_secrets(tx, endpoint_id) == [rolled[0], before]
        await webhooks.roll(tx, endpoint_id, actor=STAFF)
        assert before not in await webhooks.signing_secrets(tx, endpoint_id), "two at most"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "Fill this in"),
        ("ftp://hooks.example", "beginning with https://"),
        ("https://me:secret@hooks.example/x", "without a name or password"),
        ("https://10.0.0.8/hooks", "inside a private network"),
        ("https://169.254.169.254/latest", "inside a private network"),
        ("https://[::ffff:10.0.0.8]/", "inside a private network"),
    ],
)
async def test_an_address_that_is_never_called_is_refused_with_its_reason(
    world: World, owner: Staff, url: str, says: str
) -> None:
    answer = await owner.post("/settings/webhooks", {"name": " ", "url": url, "topics": ["no.such"]})
    assert answer.status_code == 422
    assert says in words(answer.text)
    assert "Choose one of the options" in words(answer.text), "every fault at once"
    assert await world.value("select count(*) from webhook_endpoint") == 0


@pytest.mark.anyio
async def test_settings_are_changed_switched_and_removed(world: World, owner: Staff, till_program: Receiver) -> None:
    endpoint_id, _ = await connected(world, till_program)
    place = f"/settings/webhooks/{endpoint_id}"
    assert "No webhook yet" not in words((await owner.get("/settings/webhooks")).text)
    form = {"name": "Lobby", "url": till_program.url, "topics": ["redemption.voided"]}
    assert (await owner.post(place, form)).status_code == 303
    assert 'value="Lobby"' in (await owner.get(f"{place}/change")).text
    assert "exists already" in words((await owner.post("/settings/webhooks", form)).text)
    assert (await owner.post(f"{place}/switch", {"on": ""})).status_code == 303
    assert "It is told nothing while it is off" in words((await owner.get(place)).text)
    assert (await (await staff(world, MemberRole.READ_ONLY)).post(f"{place}/test")).status_code == 403
    await tell(world, endpoint_id)
    await world.work()
    assert till_program.told == []
    assert (await owner.post(f"{place}/switch", {"on": "yes"})).status_code == 303
    await world.work()
    assert len(till_program.told) == 1
    assert (await owner.post(f"{place}/removal")).status_code == 303
    assert await world.value("select count(*) from webhook_delivery") == 0
    assert (await owner.get(place)).status_code == 404


@pytest.mark.anyio
async def test_events_of_a_month_ago_are_dropped_unless_somebody_waits_for_them(world: World, till_program: Receiver) -> None:
    endpoint_id, _ = await connected(world, till_program)
    await tell(world, endpoint_id, times=2)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update webhook_event set created_at = now() - interval '31 days'")
        await tx.execute(
            "update webhook_delivery set state = 'delivered' where id = (select id from webhook_delivery order by id limit 1)"
        )
        assert await webhooks.forget(tx) == 1
    assert await world.value("select count(*) from webhook_delivery") == 1
