"""Logging in and out, passwords by mail, and what strangers learn and may try."""

from __future__ import annotations

import asyncio

import pytest

from app.access import one_time, passwords
from app.access.addresses import way_back
from app.access.models import LinkPurpose
from app.access.one_time import LinkOver
from app.kernel.ids import new_id
from app.settings import settings
from tenants.directory import PLATFORM
from tenants.session import Tx, tenant_tx
from tests.app.access.people import PASSWORD, STAFF, Person, browser, link_in, log_in, mails, new_email, person, send, token
from tests.world import World

pytestmark = [pytest.mark.anyio]
NEW = "seven paper boats drift"


def team(world: World) -> str:
    return f"/m/{world.tenant.slug}/team"


# Sessions


async def test_a_log_in_leads_to_the_own_shop(world: World) -> None:
    who = await person(world.tenant)
    answer = await send(browser(world), "/log-in", email=who.email, password=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/m/{world.tenant.slug}")
    cookie = next(line for line in answer.headers.get_list("set-cookie") if line.startswith(STAFF))
    assert all(word in cookie for word in ("HttpOnly", "Secure", "Path=/", "SameSite=lax"))
    assert "Domain" not in cookie


@pytest.mark.case("H06")
async def test_a_planted_cookie_is_never_adopted(world: World) -> None:
    who, client = await person(world.tenant), browser(world)
    client.cookies.set(STAFF, "planted-by-somebody", domain=settings().app_host.partition(":")[0])
    await log_in(world, who, client=client)
    assert "planted-by-somebody" not in client.cookies.get(STAFF, "")
    thief = browser(world)
    assert (await thief.get(team(world), headers={"cookie": f"{STAFF}=planted-by-somebody"})).status_code == 303


@pytest.mark.case("H06")
async def test_a_second_log_in_ends_the_browsers_first_session(world: World) -> None:
    who = await person(world.tenant)
    client = await log_in(world, who)
    old = client.cookies[STAFF]
    await log_in(world, who, client=client)
    assert client.cookies[STAFF] != old
    assert (await browser(world).get(team(world), headers={"cookie": f"{STAFF}={old}"})).status_code == 303


@pytest.mark.case("H06")
async def test_after_logging_out_the_cookie_is_dead_everywhere(world: World) -> None:
    who = await person(world.tenant)
    client = await log_in(world, who)
    old = client.cookies[STAFF]
    assert (await send(client, "/log-out", page=team(world))).status_code == 303
    assert (await browser(world).get(team(world), headers={"cookie": f"{STAFF}={old}"})).status_code == 303
    assert (await send(client, "/log-out", page="/log-in")).status_code == 303


@pytest.mark.case("H06")
async def test_a_change_of_password_ends_every_session_and_renews_this_one(world: World) -> None:
    who = await person(world.tenant)
    here, there = await log_in(world, who), await log_in(world, who)
    old = here.cookies[STAFF]
    answer = await send(here, "/me/security/password", page="/me/security", old_password=PASSWORD, new_password=NEW)
    assert answer.status_code == 303
    assert here.cookies[STAFF] != old
    assert (await here.get(team(world))).status_code == 200
    assert (await there.get(team(world))).status_code == 303
    assert (await browser(world).get(team(world), headers={"cookie": f"{STAFF}={old}"})).status_code == 303
    await log_in(world, who, password=NEW)


async def test_a_wrong_current_password_changes_nothing(world: World) -> None:
    who = await person(world.tenant)
    client = await log_in(world, who)
    answer = await send(client, "/me/security/password", page="/me/security", old_password="not this one", new_password=NEW)
    assert answer.status_code == 422
    assert 'id="f-old_password-error"' in answer.text
    assert NEW not in answer.text
    await log_in(world, who)


@pytest.mark.case("H06")
async def test_sessions_are_listed_and_ended_one_by_one_or_all(world: World) -> None:
    who = await person(world.tenant)
    here, there, third = [await log_in(world, who) for _ in range(3)]
    text = (await here.get("/me/security")).text
    assert text.count("/end-others") == 1
    assert text.count('/end"') == 2
    path = text.split('action="/me/security/sessions/')[2].split('"')[0]
    assert (await send(here, f"/me/security/sessions/{path}", page="/me/security")).status_code == 303
    assert [(await c.get("/me")).status_code for c in (there, third)].count(303) == 1
    await send(here, "/me/security/sessions/end-others", page="/me/security")
    assert [(await c.get("/me")).status_code for c in (here, there, third)] == [200, 303, 303]


async def test_somebody_elses_session_cannot_be_ended(world: World) -> None:
    one, two = await person(world.tenant), await person(world.tenant)
    mine, theirs = await log_in(world, one), await log_in(world, two)
    async with tenant_tx(PLATFORM) as tx:
        foreign = await tx.fetchval("select id from user_session where user_id = $1", two.id)
    await send(mine, f"/me/security/sessions/{foreign}/end", page="/me/security")
    assert (await theirs.get("/me")).status_code == 200


# Where a log-in leads


@pytest.mark.case("H05")
@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example", "https://evil.example", "///evil.example", "/m/../..//evil",
        "/%2f%2fevil.example", "/%5cevil.example", "%2f%2fevil.example", "/m/x//evil", "/m/x\r\nSet-Cookie:a=b", "/m/x\t", " /m/x", "javascript:alert(1)",
        "/log-out", "/", "", "m/x", "/static/x", "/m/x#//evil", "/m/x?next=//evil.example", "/me@evil.example", "/m/店", "/m/" + "a" * 600,
    ],
)  # fmt: skip
async def test_a_log_in_never_leads_elsewhere(world: World, wanted: str) -> None:
    assert way_back(wanted) is None
    who = await person(world.tenant)
    answer = await send(browser(world), "/log-in", email=who.email, password=PASSWORD, next=wanted)
    assert answer.headers["location"] == f"/m/{world.tenant.slug}"


@pytest.mark.case("H05")
@pytest.mark.parametrize(
    "wanted",
    [
        "/me",
        "/me/security",
        "/m/nanzhi/orders?state=paid&page=2",
        "/console",
        "/invitations/Ab-_9",
        "/m/x/orders/N261121-7QK2MD4",
    ],
)
def test_our_own_pages_may_be_led_back_to(wanted: str) -> None:
    assert way_back(wanted) == wanted


@pytest.mark.case("H05")
async def test_a_page_leads_to_the_log_in_and_back(world: World) -> None:
    who, client = await person(world.tenant), browser(world)
    answer = await client.get(team(world) + "?x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/log-in?next={team(world)}%3Fx%3D1")
    assert f'name="next" value="{team(world)}?x=1"' in (await client.get(answer.headers["location"])).text
    landed = await send(client, "/log-in", email=who.email, password=PASSWORD, next=team(world) + "?x=1")
    assert landed.headers["location"] == team(world) + "?x=1"


@pytest.mark.case("H05")
async def test_htmx_is_told_to_go_there_itself(world: World) -> None:
    headers = {"hx-request": "true", "hx-request-type": "partial", "hx-current-url": f"http://{settings().app_host}/m/x/orders"}
    answer = await browser(world).get(team(world), headers=headers)
    assert answer.headers["hx-redirect"] == "/log-in?next=/m/x/orders"
    answer = await browser(world).get(team(world), headers={**headers, "hx-current-url": "https://evil.example//evil"})
    assert answer.headers["hx-redirect"] == "/log-in"


async def test_a_form_sent_without_a_session_is_refused_and_not_led_away(world: World) -> None:
    answer = await send(browser(world), team(world) + "/invitations", page="/log-in", email=new_email(), role="owner")
    assert answer.status_code == 401
    assert "Log in to open this page." in answer.text


async def test_machines_get_a_problem(world: World) -> None:
    answer = await browser(world).get("/me", headers={"accept": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


async def test_the_start_leads_where_one_belongs(world: World) -> None:
    assert (await browser(world).get("/")).headers["location"] == "/log-in"
    assert (await (await log_in(world, await person(world.tenant))).get("/")).headers["location"] == f"/m/{world.tenant.slug}"
    assert (await (await log_in(world, await person(is_operator=True))).get("/")).headers["location"] == "/console"
    assert (await (await log_in(world, await person())).get("/")).headers["location"] == "/me"


# Forms from elsewhere


@pytest.mark.parametrize(
    ("headers", "tamper"),
    [
        ({}, ""),
        ({}, "0" * 64),
        ({"origin": "https://evil.example"}, "right"),
        ({"origin": "null"}, "right"),
        ({"sec-fetch-site": "cross-site"}, "right"),
        ({"sec-fetch-site": "same-site"}, "right"),
        ({}, "another session's"),
    ],
)
async def test_a_form_from_elsewhere_changes_nothing(world: World, headers: dict[str, str], tamper: str) -> None:
    who = await person(world.tenant)
    client = await log_in(world, who)
    sent = tamper
    if tamper == "right":
        sent = await token(client, "/me")
    elif tamper == "another session's":
        sent = await token(await log_in(world, await person()), "/me")
    answer = await client.post("/me", data={"_csrf": sent, "name": "Mallory", "locale": "en"}, headers=headers)
    assert answer.status_code == 403
    assert "too old to be sent safely" in answer.text
    async with tenant_tx(PLATFORM) as tx:
        assert await tx.fetchval("select name from app_user where id = $1", who.id) == "Chen"


@pytest.mark.case("H04")
async def test_a_token_from_before_the_log_in_is_worth_nothing_after_it(world: World) -> None:
    client = browser(world)
    before = await token(client, "/log-in")
    await log_in(world, await person(world.tenant), client=client)
    assert (await client.post("/me", data={"_csrf": before, "name": "x", "locale": "en"})).status_code == 403


async def test_reading_changes_nothing(world: World) -> None:
    client = await log_in(world, await person(world.tenant))
    for path in ("/log-out", "/me/security/password", "/me/security/second-factor/removal"):
        assert (await client.get(path)).status_code in (404, 405)
    assert (await client.get("/me")).status_code == 200


# What strangers learn, and how often they may try


@pytest.mark.case("H07")
async def test_known_and_unknown_addresses_get_the_same_refusal(world: World) -> None:
    known, unknown = await person(), Person(new_id(), new_email())
    bodies = []
    for who in (known, unknown):
        client = browser(world, address="198.51.100.7")
        answer = await send(client, "/log-in", email=who.email, password="a wrong password")
        bodies.append((answer.status_code, answer.text.replace(who.email, "@").replace(await token(client), "")))
    assert bodies[0] == bodies[1]
    assert bodies[0][0] == 422


@pytest.mark.case("H07")
async def test_an_unknown_address_costs_as_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of one hash; hashes made with the same settings are tried for known and unknown alike."""
    known, unknown = await person(), Person(new_id(), new_email())
    tried: list[str] = []
    verify = passwords._verify
    monkeypatch.setattr(passwords, "_verify", lambda password, stored: tried.append(stored) or verify(password, stored))
    for who in (known, unknown):
        await send(browser(world, address="198.51.100.8"), "/log-in", email=who.email, password="a wrong password")
    assert len(tried) == 2
    settings_of = [stored.rsplit("$", 2)[0] for stored in tried]
    assert settings_of[0] == settings_of[1]


@pytest.mark.case("H07")
async def test_asking_for_a_new_password_tells_nothing(world: World) -> None:
    known = await person()
    one, two = browser(world), browser(world)
    first = await send(one, "/password/forgot", email=known.email)
    second = await send(two, "/password/forgot", email=new_email())
    assert first.status_code == second.status_code == 200
    assert first.text.replace(await token(one), "") == second.text.replace(await token(two), "")
    assert len(await mails(world, known.email)) == 1


@pytest.mark.case("H07")
async def test_guessing_at_an_account_is_slowed_for_known_and_unknown_alike(world: World) -> None:
    for who in (await person(), Person(new_id(), new_email())):
        client = browser(world, address="198.51.100.9")
        statuses = [(await send(client, "/log-in", email=who.email, password="a wrong password")).status_code for _ in range(12)]
        assert statuses == [422] * 10 + [429] * 2


@pytest.mark.case("H07")
async def test_strangers_do_not_shut_the_owner_out(world: World) -> None:
    who = await person(world.tenant)
    known = await log_in(world, who)
    stranger = browser(world, address="198.51.100.10")
    for _ in range(11):
        await send(stranger, "/log-in", email=who.email, password="a wrong password")
    elsewhere = await send(browser(world), "/log-in", email=who.email, password=PASSWORD)
    assert elsewhere.status_code == 429
    assert int(elsewhere.headers["retry-after"]) <= 900
    await log_in(world, who, client=known)


@pytest.mark.case("H07")
async def test_right_passwords_never_run_into_the_limit(world: World) -> None:
    who = await person(world.tenant)
    for _ in range(13):
        await log_in(world, who)


@pytest.mark.case("H07", "F12")
async def test_one_network_address_may_not_try_many_accounts(world: World) -> None:
    client = browser(world, address="198.51.100.11")
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute(
            "insert into rate_counter (key, window_starts_at, tries) values ('log-in-address:198.51.100.11', now(), 99) "
            "on conflict (key) do update set tries = 99, window_starts_at = now()"
        )
    assert (await send(client, "/log-in", email=new_email(), password="a wrong password")).status_code == 422
    refused = await send(client, "/log-in", email=new_email(), password="a wrong password")
    assert refused.status_code == 429
    spoofed = await client.get("/log-in", headers={"x-forwarded-for": "203.0.113.1"})
    assert spoofed.status_code == 200
    assert (await send(client, "/log-in", email=new_email(), password="a wrong password")).status_code == 429


async def test_a_log_in_from_a_new_browser_is_told_by_mail(world: World) -> None:
    who = await person(world.tenant)
    client = await log_in(world, who)
    assert "New log-in" in str(world.outbox.wait_for(who.email) if await world.work() else "")
    await log_in(world, who, client=client)
    await world.work()
    assert len(world.outbox.messages(who.email)) == 1


# A new password by mail


@pytest.mark.case("H06")
async def test_a_new_password_by_mail_ends_all_sessions(world: World) -> None:
    who = await person(world.tenant)
    client = await log_in(world, who)
    lost = browser(world)
    await send(lost, "/password/forgot", email=who.email)
    path = next(link_in(mail) for mail in await mails(world, who.email, count=2) if "/password/reset" in mail)
    assert who.email in (await lost.get(path)).text
    short = await send(lost, path, password="tiny#one")
    assert (short.status_code, "tiny#one" in short.text) == (422, False)
    assert (await send(lost, path, password=NEW)).headers["location"] == "/log-in"
    assert (await client.get("/me")).status_code == 303
    assert (await lost.get(path)).status_code == 410
    await log_in(world, who, password=NEW)
    assert (await send(browser(world), "/log-in", email=who.email, password=PASSWORD)).status_code == 422


async def test_a_newer_link_replaces_an_older_one(world: World) -> None:
    who = await person()
    client = browser(world)
    for _ in range(2):
        await send(client, "/password/forgot", email=who.email)
    newer, older = [link_in(mail) for mail in await mails(world, who.email, count=2)]
    assert sorted([(await client.get(older)).status_code, (await client.get(newer)).status_code]) == [200, 410]


async def _read_then_write(tx: Tx, hashed: bytes) -> bool:
    """The obvious, wrong way: look, then mark."""
    row = await tx.fetchrow("select id from one_time_link where token_hash = $1 and used_at is null", hashed)
    await asyncio.sleep(0.05)
    if row is not None:
        await tx.execute("update one_time_link set used_at = now() where id = $1", row["id"])
    return row is not None


@pytest.mark.parametrize("way", ["ours", "read then write"])
async def test_of_twenty_at_once_exactly_one_uses_a_link(world: World, way: str) -> None:
    """The second way is the red control: the same race finds more than one winner there."""
    who = await person()
    async with tenant_tx(PLATFORM) as tx:
        made = await one_time.make(tx, LinkPurpose.RESET_PASSWORD, one_time.to(who.email, user_id=who.id))

    async def one() -> bool:
        try:
            async with tenant_tx(PLATFORM) as tx:
                if way == "ours":
                    await one_time.use(tx, LinkPurpose.RESET_PASSWORD, made)
                    return True
                return await _read_then_write(tx, one_time.hash_of(made))
        except LinkOver:
            return False

    winners = sum(await asyncio.gather(*(one() for _ in range(20))))
    assert winners == 1 if way == "ours" else winners > 1


async def test_a_reset_raced_through_the_page_succeeds_once(world: World) -> None:
    who = await person()
    await send(browser(world), "/password/forgot", email=who.email)
    path = link_in((await mails(world, who.email))[0])
    clients = [browser(world) for _ in range(6)]
    tokens = [await token(client) for client in clients]
    answers = await asyncio.gather(
        *(c.post(path, data={"_csrf": t, "password": f"{NEW} {n}"}) for n, (c, t) in enumerate(zip(clients, tokens, strict=True)))
    )
    assert sorted(answer.status_code for answer in answers) == [303] + [410] * 5


async def test_a_name_with_a_line_break_reaches_no_mail_header(world: World) -> None:
    client = await log_in(world, await person(world.tenant))
    answer = await send(client, "/me", name="Chen\r\nBcc: all@evil.example", locale="en")
    assert answer.status_code == 422
    assert 'id="f-name-error"' in answer.text


@pytest.mark.case("H18")
async def test_the_profile_keeps_name_and_language_and_nothing_else(world: World) -> None:
    who = await person(world.tenant)
    client = await log_in(world, who)
    more = {"is_operator": "true", "email": "new@evil.example", "role": "owner", "password_hash": "x", "id": str(new_id())}
    answer = await send(client, "/me", name="Chen Yu", locale="zh_CN", **more)
    assert answer.headers["location"] == "/me?lang=zh_CN"
    async with tenant_tx(PLATFORM) as tx:
        row = await tx.fetchrow("select name, locale, email, is_operator from app_user where id = $1", who.id)
    assert row is not None
    assert tuple(row) == ("Chen Yu", "zh_CN", who.email, False)
