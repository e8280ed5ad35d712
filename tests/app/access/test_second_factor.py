"""The second factor: one use per code, ten recovery codes, and what it changes."""

from __future__ import annotations

import asyncio
import re

import httpx2
import pyotp
import pytest

from app.access import second_factor
from app.access.second_factor import STEP_S
from tenants.directory import PLATFORM
from tenants.session import tenant_tx
from tests.app.access.people import PASSWORD, STAFF, Person, browser, log_in, person, send
from tests.world import World

pytestmark = [pytest.mark.anyio]
PAGE = "/me/security"
FACTOR = f"{PAGE}/second-factor"


class Clock:
    """The authenticator's time, which tests move from step to step."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def time(self) -> float:
        return self.at

    def code(self, secret: str) -> str:
        return pyotp.TOTP(secret).at(int(self.at))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(second_factor, "time", made)
    return made


async def turned_on(world: World, clock: Clock, **more: bool) -> tuple[Person, httpx2.AsyncClient, str, list[str]]:
    """Somebody with a second factor: his browser, secret and recovery codes."""
    who = await person(world.tenant, **more)
    client = await log_in(world, who)
    assert (await send(client, FACTOR, page=PAGE, password=PASSWORD)).headers["location"] == FACTOR
    secret = re.sub(r"\s", "", re.search(r"<dd>([A-Z2-7 ]{32,})</dd>", (await client.get(FACTOR)).text)[1])  # type: ignore[index]
    answer = await send(client, f"{FACTOR}/confirmation", page=FACTOR, code=clock.code(secret))
    assert answer.status_code == 200
    codes = re.findall(r"<li>([0-9a-z]{5}-[0-9a-z]{5})</li>", answer.text)
    clock.at += STEP_S
    return who, client, secret, codes


async def half_way(world: World, who: Person) -> httpx2.AsyncClient:
    client = await log_in(world, who)
    assert (await client.get("/log-in/second-factor")).status_code == 200
    return client


@pytest.mark.case("H06")
async def test_it_is_turned_on_with_a_code_and_renews_the_session(world: World, clock: Clock) -> None:
    who = await person(world.tenant)
    elsewhere = await log_in(world, who)
    client = await log_in(world, who)
    old = client.cookies[STAFF]
    await send(client, FACTOR, page=PAGE, password=PASSWORD)
    text = (await client.get(FACTOR)).text
    assert 'class="qr"' in text
    secret = re.sub(r"\s", "", re.search(r"<dd>([A-Z2-7 ]{32,})</dd>", text)[1])  # type: ignore[index]
    wrong = await send(client, f"{FACTOR}/confirmation", page=FACTOR, code="000000")
    assert wrong.status_code == 422
    right = await send(client, f"{FACTOR}/confirmation", page=FACTOR, code=clock.code(secret))
    assert len(re.findall(r"<li>[0-9a-z]{5}-", right.text)) == 10
    assert client.cookies[STAFF] != old
    assert (await elsewhere.get("/me")).status_code == 303
    async with tenant_tx(PLATFORM) as tx:
        stored = await tx.fetchval("select totp_secret from app_user where id = $1", who.id)
    assert secret.encode() not in stored


async def test_half_a_log_in_opens_nothing(world: World, clock: Clock) -> None:
    who, *_ = await turned_on(world, clock)
    client = await half_way(world, who)
    for path in ("/me", PAGE, f"/m/{world.tenant.slug}/team"):
        assert (await client.get(path)).status_code == 303
    assert (await client.get("/")).headers["location"] == "/log-in"


@pytest.mark.case("H06")
async def test_the_second_step_opens_all_and_the_half_session_is_dead(world: World, clock: Clock) -> None:
    who, _, secret, _ = await turned_on(world, clock)
    client = browser(world)
    first = await send(client, "/log-in", email=who.email, password=PASSWORD, next="/me/security")
    assert first.headers["location"] == "/log-in/second-factor?next=/me/security"
    half = client.cookies[STAFF]
    answer = await send(client, "/log-in/second-factor", code=clock.code(secret), next="/me/security")
    assert answer.headers["location"] == "/me/security"
    assert client.cookies[STAFF] != half
    assert (await client.get("/me")).status_code == 200
    assert (await browser(world).get("/log-in/second-factor", headers={"cookie": f"{STAFF}={half}"})).status_code == 303


@pytest.mark.case("H07")
async def test_a_code_counts_once(world: World, clock: Clock) -> None:
    who, _, secret, _ = await turned_on(world, clock)
    code = clock.code(secret)
    assert (await send(await half_way(world, who), "/log-in/second-factor", code=code)).status_code == 303
    again = await send(await half_way(world, who), "/log-in/second-factor", code=code)
    assert again.status_code == 422
    assert "used already" in again.text
    clock.at += STEP_S
    assert (await send(await half_way(world, who), "/log-in/second-factor", code=clock.code(secret))).status_code == 303


async def test_an_earlier_code_does_not_count_after_a_later_one(world: World, clock: Clock) -> None:
    who, _, secret, _ = await turned_on(world, clock)
    earlier = clock.code(secret)
    clock.at += STEP_S
    assert (await send(await half_way(world, who), "/log-in/second-factor", code=clock.code(secret))).status_code == 303
    assert (await send(await half_way(world, who), "/log-in/second-factor", code=earlier)).status_code == 422


async def test_of_many_uses_of_one_code_at_once_one_counts(world: World, clock: Clock) -> None:
    who, _, secret, _ = await turned_on(world, clock)
    clients = [await half_way(world, who) for _ in range(5)]
    answers = await asyncio.gather(*(send(client, "/log-in/second-factor", code=clock.code(secret)) for client in clients))
    assert sorted(answer.status_code for answer in answers) == [303, 422, 422, 422, 422]


async def test_a_recovery_code_works_once(world: World, clock: Clock) -> None:
    who, _, _, codes = await turned_on(world, clock)
    assert len(set(codes)) == 10
    typed = codes[3].upper().replace("-", " ")
    assert (await send(await half_way(world, who), "/log-in/second-factor", code=typed)).status_code == 303
    assert (await send(await half_way(world, who), "/log-in/second-factor", code=codes[3])).status_code == 422
    clients = [await half_way(world, who) for _ in range(5)]
    answers = await asyncio.gather(*(send(client, "/log-in/second-factor", code=codes[4]) for client in clients))
    assert sorted(answer.status_code for answer in answers) == [303, 422, 422, 422, 422]


async def test_somebody_elses_recovery_code_is_worth_nothing(world: World, clock: Clock) -> None:
    who, *_ = await turned_on(world, clock)
    _, _, _, foreign = await turned_on(world, clock)
    assert (await send(await half_way(world, who), "/log-in/second-factor", code=foreign[0])).status_code == 422


async def test_new_recovery_codes_end_the_old_ones(world: World, clock: Clock) -> None:
    who, client, _, old = await turned_on(world, clock)
    answer = await send(client, f"{FACTOR}/recovery-codes", page=PAGE, password=PASSWORD)
    fresh = re.findall(r"<li>([0-9a-z]{5}-[0-9a-z]{5})</li>", answer.text)
    assert len(fresh) == 10
    assert (await send(await half_way(world, who), "/log-in/second-factor", code=old[0])).status_code == 422
    assert (await send(await half_way(world, who), "/log-in/second-factor", code=fresh[0])).status_code == 303


@pytest.mark.case("H07")
async def test_guessing_codes_is_slowed(world: World, clock: Clock) -> None:
    who, _, secret, _ = await turned_on(world, clock)
    client = await half_way(world, who)
    statuses = [(await send(client, "/log-in/second-factor", code=f"{n:06}")).status_code for n in range(11)]
    assert statuses[-1] == 429
    assert (await send(client, "/log-in/second-factor", code=clock.code(secret))).status_code == 429


async def test_turning_it_off_asks_the_password_and_a_long_one(world: World, clock: Clock) -> None:
    who, client, _, _ = await turned_on(world, clock)
    assert (await send(client, f"{FACTOR}/removal", page=PAGE, password="a wrong password")).status_code == 422
    assert (
        await send(client, f"{PAGE}/password", page=PAGE, old_password=PASSWORD, new_password="kelp#9Rift")
    ).status_code == 303
    short = await send(client, f"{FACTOR}/removal", page=PAGE, password="kelp#9Rift")
    assert short.status_code == 422
    assert "12 characters" in short.text
    assert (
        await send(client, f"{PAGE}/password", page=PAGE, old_password="kelp#9Rift", new_password=PASSWORD)
    ).status_code == 303
    assert (await send(client, f"{FACTOR}/removal", page=PAGE, password=PASSWORD)).status_code == 303
    assert (await (await log_in(world, who)).get("/me")).status_code == 200


async def test_without_a_second_factor_eight_characters_are_too_few(world: World) -> None:
    client = await log_in(world, await person(world.tenant))
    answer = await send(client, f"{PAGE}/password", page=PAGE, old_password=PASSWORD, new_password="kelp#9Rift")
    assert answer.status_code == 422


async def test_starting_asks_the_password_again(world: World) -> None:
    client = await log_in(world, await person(world.tenant))
    assert (await send(client, FACTOR, page=PAGE, password="a wrong password")).status_code == 422
    assert (await client.get(FACTOR)).headers["location"] == PAGE


async def test_acts_on_the_account_are_in_the_audit_chain(world: World, clock: Clock) -> None:
    who, client, _, _ = await turned_on(world, clock)
    await send(client, f"{FACTOR}/removal", page=PAGE, password=PASSWORD)
    async with tenant_tx(PLATFORM) as tx:
        rows = await tx.fetch("select action, facts::text from audit_entry where subject_id = $1 order by seq", who.id)
    assert [row["action"] for row in rows] == ["account.second_factor_on", "account.second_factor_off"]
