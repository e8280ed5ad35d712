"""Opening a shop: at once, once, and without telling strangers who has an account."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from app.settings import settings
from tenants import provisioning, routing
from tenants.directory import PLATFORM
from tenants.session import tenant_tx
from tests.app.access.people import PASSWORD, STAFF, browser, link_in, log_in, mails, new_email, person, send
from tests.world import World

pytestmark = [pytest.mark.anyio]


def new_form(**more: Any) -> dict[str, Any]:
    return {"shop_name": "Nanzhi Cards", "slug": f"nz-{secrets.token_hex(5)}", "email": new_email(), "password": PASSWORD, **more}


async def spares(world: World) -> None:
    await provisioning.refill(world.urls.owner_url, wanted=3)


async def test_from_the_form_to_the_own_shop(world: World) -> None:
    await spares(world)
    client, form = browser(world), new_form()
    answer = await send(client, "/sign-up", **form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-up/sent")
    assert form["email"] in (await client.get("/sign-up/sent")).text
    tenant = await routing.by_slug(form["slug"])
    assert tenant is not None
    assert await world.value("select name from storefront", tenant=tenant) == "Nanzhi Cards"
    mail = (await mails(world, form["email"]))[0]
    assert await world.value("select count(*) from gateway_connection", tenant=tenant) == 1
    path = link_in(mail)
    assert "Confirm" in (await client.get(path)).text
    verified = await send(client, path)
    assert (verified.status_code, verified.headers["location"]) == (303, f"/m/{form['slug']}")
    assert client.cookies.get(STAFF)
    assert (await client.get(f"/m/{form['slug']}/team")).status_code == 200


async def test_the_form_shows_every_fault_and_keeps_what_was_typed_but_no_password(world: World) -> None:
    answer = await send(browser(world), "/sign-up", shop_name="", slug="-Nope-", email="azhou@nanzhi", password="tiny#one")
    assert answer.status_code == 422
    assert answer.text.count('-error"><svg') == 4
    assert 'value="azhou@nanzhi"' in answer.text
    assert "tiny#one" not in answer.text


@pytest.mark.parametrize(
    "slug", ["ab", "a" * 41, "-abc", "abc-", "xn--abc", "a_b_c", "a b c", "店铺店铺", "admin", "www", "a.bc", "ａｂｃｄ"]
)
async def test_a_shop_address_is_a_plain_free_name(world: World, slug: str) -> None:
    answer = await send(browser(world), "/sign-up", **new_form(slug=slug))
    assert answer.status_code == 422
    assert 'id="f-slug-error"' in answer.text


@pytest.mark.parametrize(
    "password",
    [
        "elevenchars",
        "password2024!!",
        "qwertyuiop1234",
        "aaaaaaaaaaaaaa",
        "abcabcabcabcab",
        "123456789012",
        "woaini5201314",
        "x" * 201,
    ],
)
async def test_a_password_is_long_and_not_among_the_first_that_are_tried(world: World, password: str) -> None:
    answer = await send(browser(world), "/sign-up", **new_form(password=password))
    assert answer.status_code == 422
    assert 'id="f-password-error"' in answer.text


async def test_a_password_that_repeats_the_address_is_refused(world: World) -> None:
    form = new_form(email=f"zhouzhouzhou{secrets.token_hex(2)}@nanzhi.example")
    answer = await send(browser(world), "/sign-up", **{**form, "password": form["email"]})
    assert 'id="f-password-error"' in answer.text


async def test_a_taken_address_is_a_fault_of_its_field(world: World) -> None:
    answer = await send(browser(world), "/sign-up", **new_form(slug=world.tenant.slug))
    assert answer.status_code == 422
    assert 'id="f-slug-error"' in answer.text


async def test_sent_twice_it_opens_one_shop_and_sends_one_mail(world: World) -> None:
    await spares(world)
    client, form = browser(world), new_form()
    first, second = await send(client, "/sign-up", **form), await send(client, "/sign-up", **form)
    assert (first.status_code, second.status_code) == (303, 303)
    assert first.headers["location"] == second.headers["location"]
    assert len(await mails(world, form["email"])) == 1


async def test_sent_twice_at_once_it_opens_one_shop(world: World) -> None:
    await spares(world)
    form = new_form()
    clients = [browser(world) for _ in range(4)]
    answers = await asyncio.gather(*(send(client, "/sign-up", **form) for client in clients))
    assert {answer.status_code for answer in answers} <= {303, 422}
    assert answers.count(None) == 0
    async with tenant_tx(PLATFORM) as tx:
        assert await tx.fetchval("select count(*) from app_user where email = $1", form["email"]) == 1
        assert await tx.fetchval("select count(*) from tenant where slug = $1", form["slug"]) == 1


@pytest.mark.case("H07")
async def test_known_and_unknown_addresses_get_the_same_answer(world: World) -> None:
    await spares(world)
    known = await person()
    one, two = browser(world), browser(world)
    unknown_answer = await send(one, "/sign-up", **new_form())
    known_answer = await send(two, "/sign-up", **new_form(email=known.email, password="a wholly other one"))
    assert (known_answer.status_code, known_answer.headers["location"]) == (
        unknown_answer.status_code,
        unknown_answer.headers["location"],
    )
    assert known_answer.text == unknown_answer.text
    assert sorted(known_answer.cookies) == sorted(unknown_answer.cookies)
    assert {len(c.cookies["__Host-q_device"]) for c in (one, two)} == {22}
    mail = (await mails(world, known.email))[0]
    assert "You have an account with it" in mail
    await log_in(world, known)


async def test_a_link_is_not_used_by_looking_and_works_once(world: World) -> None:
    await spares(world)
    client, form = browser(world), new_form()
    await send(client, "/sign-up", **form)
    path = link_in((await mails(world, form["email"]))[0])
    for _ in range(3):
        assert (await client.get(path)).status_code == 200
    assert (await send(client, path)).status_code == 303
    assert (await client.get(path)).status_code == 410
    assert (await send(client, path, page="/log-in")).status_code == 410


async def test_in_another_browser_the_link_confirms_and_the_log_in_follows(world: World) -> None:
    await spares(world)
    form = new_form()
    await send(browser(world), "/sign-up", **form)
    elsewhere = browser(world)
    answer = await send(elsewhere, link_in((await mails(world, form["email"]))[0]))
    assert answer.headers["location"] == f"/log-in?next=/m/{form['slug']}"
    assert STAFF not in elsewhere.cookies
    landed = await send(elsewhere, "/log-in", email=form["email"], password=PASSWORD, next=f"/m/{form['slug']}")
    assert landed.headers["location"] == f"/m/{form['slug']}"


async def test_who_signs_up_over_somebodys_unconfirmed_account_is_not_let_into_it(world: World) -> None:
    await spares(world)
    form = new_form()
    await send(browser(world), "/sign-up", **form)
    owner = browser(world)
    await send(owner, "/sign-up", **new_form(email=form["email"], password="the owner's own words"))
    answer = await send(owner, link_in((await mails(world, form["email"]))[0]))
    assert answer.headers["location"].startswith("/log-in")
    assert STAFF not in owner.cookies


async def test_an_unconfirmed_account_waits_before_every_page(world: World) -> None:
    who = await person(world.tenant, is_verified=False)
    client = await log_in(world, who)
    answer = await client.get(f"/m/{world.tenant.slug}/team")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-up/sent?next=/m/{world.tenant.slug}/team")
    assert who.email in (await client.get("/sign-up/sent")).text
    again = await send(client, "/sign-up/sent", email=who.email)
    assert again.status_code == 303
    assert link_in((await mails(world, who.email))[0]).startswith("/verify/")


@pytest.mark.case("H18")
async def test_fields_that_are_not_the_forms_change_nothing(world: World) -> None:
    await spares(world)
    form = new_form(
        is_operator="true", role="owner", tenant_id=str(world.tenant.id), email_verified_at="2020-01-01", state="closed"
    )
    await send(browser(world), "/sign-up", **form)
    async with tenant_tx(PLATFORM) as tx:
        row = await tx.fetchrow("select is_operator, email_verified_at from app_user where email = $1", form["email"])
    assert row is not None
    assert (row["is_operator"], row["email_verified_at"]) == (False, None)


async def test_without_a_spare_the_page_says_when_to_come_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none_left(*_args: object, **_more: object) -> None:
        raise provisioning.NoSpareTenant

    monkeypatch.setattr(provisioning, "take_spare", none_left)
    form = new_form()
    answer = await send(browser(world), "/sign-up", **form)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    async with tenant_tx(PLATFORM) as tx:
        assert not await tx.fetchval("select exists (select 1 from app_user where email = $1)", form["email"])
        assert await tx.fetchval("select exists (select 1 from task where kind = 'tenants.refill')")


async def test_the_gateway_may_be_away_while_a_shop_opens(world: World) -> None:
    """The connection is a task: it is made when the gateway is back, and once."""
    await spares(world)
    form = new_form()
    await send(browser(world), "/sign-up", **form)
    tenant = await routing.by_slug(form["slug"])
    assert tenant is not None
    async with tenant_tx(PLATFORM) as tx:
        assert await tx.fetchval(
            "select exists (select 1 from task where kind = 'tenants.furnish' and subject_id = $1)", tenant.id
        )
    await world.work()
    assert await world.value("select count(*) from gateway_connection", tenant=tenant) == 1
    assert settings().sandbox_gateway_url


@pytest.mark.case("H10")
async def test_links_are_made_from_our_own_records_not_from_the_host_header(world: World) -> None:
    who = await person()
    client = browser(world)
    data = {"email": who.email, "_csrf": "x"}
    answer = await client.post(
        "/password/forgot", data=data, headers={"host": "evil.example", "x-forwarded-host": "evil.example"}
    )
    assert answer.status_code == 421
    await send(client, "/password/forgot", email=who.email)
    assert "evil" not in (await mails(world, who.email))[0]
