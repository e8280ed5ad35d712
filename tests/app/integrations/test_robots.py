"""Robots of group chats: signed as their companies want it, told once, under their limit, and tried again when they are troubled."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.access.models import MemberRole
from app.integrations import robot_calls, robots
from app.integrations.alerts import EVENTS, Raised, raise_alert
from app.integrations.models import RobotCompany
from app.integrations.robot_calls import NotNow, Refused, Robot, Taken
from app.kernel import clock
from app.kernel.http import Answer
from app.kernel.tasks import Lane
from tenants.session import tenant_tx
from tests.app.staff import Staff, staff
from tests.simulators import GroupRobot
from tests.world import World

FACTS = {"connection": "Northbank", "goods": ["Skylark Month"], "path": "/suppliers/board"}


@pytest.fixture
async def owner(world: World) -> Staff:
    return await staff(world)


def form(group: GroupRobot, company: str, **changes: Any) -> dict[str, Any]:
    sent = {
        "company": company,
        "name": f"Ops {company}",
        "address": group.address,
        "secret": group.secret,
        "events": ["supplier_failing"],
    }
    return sent | {"locale": "en"} | changes


async def connected(world: World, owner: Staff, company: str) -> GroupRobot:
    group = world.outbox.robot(company)
    answer = await owner.post("/settings/robots", form(group, company))
    assert answer.status_code == 303, answer.text
    return group


async def tell(world: World, key: str = "k1", template: str = "supplier_failing") -> bool:
    async with tenant_tx(world.tenant) as tx:
        return await raise_alert(tx, Raised(template, key, FACTS), [])


def test_signature_of_dingtalk_is_the_documented_one() -> None:
    at = datetime.fromtimestamp(1_700_000_000, UTC)
    call = robot_calls.call(
        Robot(RobotCompany.DINGTALK, "https://oapi.dingtalk.com/robot/send?access_token=T", "this is secret"), "hi", at
    )
    assert "&timestamp=1700000000000&sign=" in call.url
    assert call.url.endswith("%3D")
    assert "this is secret" not in call.url


@pytest.mark.parametrize(
    ("company", "status", "body", "said"),
    [
        ("dingtalk", 200, b'{"errcode":0,"errmsg":"ok"}', Taken()),
        ("dingtalk", 200, b'{"errcode":130101,"errmsg":"fast"}', NotNow("130101: fast")),
        ("dingtalk", 200, b'{"errcode":310000,"errmsg":"sign not match"}', Refused("310000: sign not match")),
        ("wecom", 200, b'{"errcode":45009,"errmsg":"freq"}', NotNow("45009: freq")),
        ("feishu", 200, b'{"code":19021,"msg":"sign"}', Refused("19021: sign")),
        ("feishu", 502, b"<html>", NotNow("answered 502")),
        ("feishu", 200, b"[]", Refused("an odd answer")),
        ("wecom", 200, b"<html>", Refused("answered 200 without JSON: this is not a robot's address")),
    ],
)
def test_only_the_documented_yes_is_a_yes(company: str, status: int, body: bytes, said: object) -> None:
    assert robot_calls.read(RobotCompany(company), Answer(status, body, {})) == said


def test_long_texts_are_cut_between_signs() -> None:
    cut = robot_calls.shortened("权" * 2000)
    assert len(cut.encode()) <= robot_calls.LONGEST_BYTES
    assert cut.endswith("权…")


@pytest.mark.anyio
@pytest.mark.parametrize("company", ["dingtalk", "wecom", "feishu"])
async def test_an_alert_reaches_the_group_once(world: World, owner: Staff, company: str) -> None:
    group = await connected(world, owner, company)
    assert await tell(world)
    assert not await tell(world), "the same event again"
    assert await tell(world, "other", "supplier_back"), "an event the group did not choose"
    await world.work()
    [text] = group.texts()
    assert text.startswith("【Nanzhi】Northbank is failing")
    assert "Skylark Month" in text
    assert f"/m/{world.tenant.slug}/suppliers/board" in text
    assert group.calls() == {"taken": 1}
    page = await owner.get("/settings/robots")
    assert group.token not in page.text
    assert group.address not in page.text


@pytest.mark.anyio
async def test_two_that_raise_the_same_alert_at_once_tell_once(world: World, owner: Staff) -> None:
    group = await connected(world, owner, "dingtalk")
    assert sum(await asyncio.gather(*(tell(world) for _ in range(8)))) == 1
    await world.work()
    assert group.calls() == {"taken": 1}


@pytest.mark.anyio
async def test_a_wrong_secret_is_refused_for_good_and_the_page_says_so(world: World, owner: Staff) -> None:
    group = world.outbox.robot("dingtalk")
    await owner.post("/settings/robots", form(group, "dingtalk", secret="SECwrong"))
    await tell(world)
    await world.work()
    assert group.texts() == []
    assert group.calls() == {"refused": 1}
    assert "sign not match" in (await owner.get("/settings/robots")).text
    assert await world.value("select state from robot_message") == "failed"


@pytest.mark.anyio
async def test_a_troubled_company_is_asked_again_with_growing_waits_and_at_last_not(
    world: World, owner: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = await connected(world, owner, "feishu")
    group.refuse("busy")
    await tell(world)
    real, passed = clock.now, timedelta()
    monkeypatch.setattr(clock, "now", lambda: real() + passed)
    for _ in range(7):
        await world.work()
        passed += timedelta(minutes=6)
        async with tenant_tx(world.tenant) as tx:
            await tx.execute("update task set run_at = now()")
    assert group.calls() == {"too fast": 5}
    assert await world.value("select state from robot_message") == "failed"


@pytest.mark.anyio
async def test_twenty_calls_a_minute_and_the_rest_later(world: World, owner: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    group = await connected(world, owner, "wecom")
    for number in range(25):
        await tell(world, f"k{number}")
    await world.work(Lane.MESSAGES)
    assert group.calls() == {"taken": 20}
    assert await world.value("select run_at > now() + interval '30 seconds' from task where kind = 'integrations.tell_robot'")
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update robot set called_at = '{}'")
        await tx.execute("update task set run_at = now()")
    await world.work(Lane.MESSAGES)
    assert await world.value("select count(*) from robot_message where state = 'sent'") == 20, "the company's own limit holds too"
    assert group.calls()["taken"] == 20


@pytest.mark.anyio
async def test_the_test_button_says_what_the_group_answered(world: World, owner: Staff) -> None:
    group = await connected(world, owner, "dingtalk")
    robot_id = await world.value("select id from robot")
    await owner.post(f"/settings/robots/{robot_id}/test")
    assert "【Nanzhi】This is a test" in group.texts()[0]
    assert "The group has the test message." in (await owner.get("/settings/robots")).text
    group.refuse("no")
    await owner.post(f"/settings/robots/{robot_id}/test")
    assert "310000: sign not match" in (await owner.get("/settings/robots")).text
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update robot set called_at = array_fill($1::timestamptz, array[20])", clock.now())
    answer = await owner.post(f"/settings/robots/{robot_id}/test")
    assert answer.status_code == 429


@pytest.mark.anyio
async def test_switched_off_is_told_nothing_and_removed_is_gone(world: World, owner: Staff) -> None:
    group = await connected(world, owner, "feishu")
    robot_id = await world.value("select id from robot")
    for _ in range(2):
        assert (await owner.post(f"/settings/robots/{robot_id}/switch", {"on": ""})).status_code == 303
    await tell(world)
    await world.work()
    assert group.calls() == {}
    assert (await owner.post(f"/settings/robots/{robot_id}/removal")).status_code == 303
    assert (await owner.post(f"/settings/robots/{robot_id}/removal")).status_code == 404
    assert await world.value("select count(*) from robot") == 0


@pytest.mark.anyio
async def test_the_form_tells_every_fault_and_keeps_what_was_stored(world: World, owner: Staff) -> None:
    answer = await owner.post("/settings/robots", {"company": "dingtalk", "name": "", "address": "http://", "locale": "en"})
    assert answer.status_code == 422
    for sentence in ("Fill this in.", "beginning with https://", "Choose at least one kind of notice."):
        assert sentence in answer.text, sentence
    answer = await owner.post(
        "/settings/robots", {"company": "dingtalk", "name": "A", "address": "https://a.example/x", "events": ["nothing"]}
    )
    assert "ends with ?access_token=" in answer.text
    assert "Choose one of the options." in answer.text
    assert (await owner.get("/settings/robots/new?company=nobody")).status_code == 404
    group = await connected(world, owner, "dingtalk")
    again = await owner.post("/settings/robots", form(group, "dingtalk"))
    assert "exists already" in again.text
    robot_id = await world.value("select id from robot")
    changed = await owner.post(f"/settings/robots/{robot_id}", {"name": "Renamed", "events": list(EVENTS), "locale": "en"})
    assert changed.status_code == 303
    assert group.secret not in (await owner.get(f"/settings/robots/{robot_id}")).text
    await tell(world)
    await world.work()
    assert group.calls() == {"taken": 1}, "the address and the secret stayed"


@pytest.mark.anyio
async def test_nobody_without_the_right_and_nobody_of_another_tenant(world: World, owner: Staff) -> None:
    await connected(world, owner, "wecom")
    robot_id = await world.value("select id from robot")
    reader = await staff(world, MemberRole.READ_ONLY)
    assert (await reader.get("/settings/robots")).status_code == 403
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await stranger.get(f"/settings/robots/{robot_id}")).status_code == 404
    assert (await stranger.post(f"/settings/robots/{robot_id}/test")).status_code == 404


@pytest.mark.anyio
async def test_the_bell_counts_what_one_person_has_not_read(world: World, owner: Staff) -> None:
    assert "Nothing to tell" in (await owner.get("/notices")).text
    for number in range(3):
        await tell(world, f"k{number}")
    page = await owner.get("/notices")
    assert "3 unread notices" in page.text
    assert page.text.count("Northbank is failing") == 3
    newest = await world.value("select id from alert order by created_at desc, id desc limit 1")
    for _ in range(2):
        assert (await owner.post("/notices/read", {"until": str(newest)})).status_code == 303
    assert "unread notice" not in (await owner.get("/notices")).text
    other = await staff(world, MemberRole.READ_ONLY)
    assert "3 unread notices" in (await other.get("/notices")).text
    assert (await owner.get("/notices?before=nonsense")).status_code == 404
    part = await owner.get("/notices", part=True)
    assert "<html" not in part.text
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert "Northbank" not in (await stranger.get("/notices")).text


@pytest.mark.anyio
async def test_a_robot_is_told_in_turn_when_two_workers_come(world: World, owner: Staff) -> None:
    group = await connected(world, owner, "wecom")
    robot_id = await world.value("select id from robot")
    await tell(world)
    await robots.tell(world.tenant, robot_id)
    await robots.tell(world.tenant, robot_id)
    assert group.calls() == {"taken": 1}
