"""A session counts where it was made and nowhere else: not on another shop's host, not as a token, not for whoever has the address next."""

from __future__ import annotations

import asyncio
import re

import httpx2
import pytest

from app.access import sessions
from app.access.models import MemberRole
from app.access.sessions import Browser
from app.kernel import csrf
from app.settings import settings
from tenants import provisioning, routing
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx
from tests.app.access.people import person
from tests.attacks.merchant import Merchant, buyers_session, merchant
from tests.attacks.routes import Route, routes
from tests.attacks.test_foreign_ids import plain
from tests.attacks.test_matrix import told
from tests.attacks.visitors import Caller, member, turn
from tests.attacks.whom import Answer
from tests.world import World

pytestmark = [pytest.mark.anyio]


@pytest.mark.case("G01")
async def test_sessions_of_one_shop_are_nobodys_on_another(world: World) -> None:
    """Every page of a shop, once as nobody and once with an owner's and a buyer's cookie of the other shop: the same bytes."""
    shop, other = await merchant(world, world.tenant), await merchant(world, await world.new_tenant("Elsewhere"), canary="Marlin")
    nobody = Caller(world, shop.tenant)
    carried = f"{csrf.STAFF_COOKIE}={await _token(other)}; {csrf.BUYER_COOKIE}={await buyers_session(world, other.tenant)}"
    for route in routes(world.app):
        if route.is_shops and route.is_safe:
            here = await nobody.ask(route, shop.ids)
            there = await nobody.ask(route, shop.ids, headers={"cookie": carried})
            assert plain(there, shop.ids) == plain(here, shop.ids), route


async def _token(shop: Merchant) -> str:
    async with tenant_tx(PLATFORM) as tx:
        return await sessions.open_session(tx, user_id=shop.owner.id, browser=Browser("127.0.0.1", "test"))


def ways_to_send(token: str) -> dict[str, tuple[dict[str, str | None], str]]:
    """A live session's own token, sent in every way but its cookie: headers, and what is put behind the address."""
    headers: list[dict[str, str | None]] = [
        {"authorization": f"Bearer {token}"},
        {"authorization": f"Basic {token}"},
        {"authorization": f"Token {token}"},
        {"x-api-key": token},
        {"x-auth-token": token},
        {"x-session": token},
        {csrf.STAFF_COOKIE: token},
        {"cookie": f"q_staff={token}"},
        {"cookie": f"__Secure-q_staff={token}"},
    ]
    names = ("token", "access_token", "api_key", "key", "session", csrf.STAFF_COOKIE)
    found: dict[str, tuple[dict[str, str | None], str]] = {str(sent).replace(token, "…"): (sent, "") for sent in headers}
    return found | {f"?{name}=": ({}, f"?{name}={token}") for name in names}


@pytest.mark.case("G03")
async def test_a_token_anywhere_but_in_its_cookie_opens_nothing(world: World) -> None:
    """There are no API tokens. Whatever looks like one is passed over, also when it is a live session's."""
    shop = await merchant(world, world.tenant)
    nobody, token = Caller(world, world.tenant), await _token(shop)
    pages = [route for route in routes(world.app) if route.is_safe and f"{route.path}/".startswith(("/m/", "/me/", "/console/"))]
    opened = []
    for name, (headers, query) in ways_to_send(token).items():
        for route in pages:
            got = await nobody.ask(route, {**shop.ids, "tenant_id": shop.tenant.id}, headers=headers, query=query)
            opened += [] if told(got) is Answer.LOG_IN else [f"{name}: {route} {got.status_code}"]
    assert opened == []
    in_its_cookie = {"cookie": f"{csrf.STAFF_COOKIE}={token}"}
    assert (await nobody.ask(Route("GET", "/me"), {}, headers=in_its_cookie)).status_code == 200


async def give_address_to(old: Tenant, new: Tenant) -> Tenant:
    """Close a tenant and let another have its address, as only somebody with the database could."""
    await turn(old, "closed")
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("update tenant set slug = slug || '-was' where id = $1", old.id)
        await tx.execute("update tenant set slug = $2 where id = $1", new.id, old.slug)
    routing.forget()
    found = await routing.by_slug(old.slug)
    assert found is not None
    assert found.id == new.id
    return found


@pytest.mark.case("G12")
async def test_a_closed_tenants_address_is_not_given_away(world: World) -> None:
    await turn(world.tenant, "closed")
    with pytest.raises(provisioning.SlugTaken):
        async with tenant_tx(PLATFORM) as tx:
            await provisioning.take_spare(tx, slug=world.tenant.slug, name="Next")


@pytest.mark.case("G12")
async def test_nothing_of_the_former_owner_works_at_an_address_given_to_another(world: World) -> None:
    old, buyer = await merchant(world, world.tenant), await buyers_session(world, world.tenant)
    new = await give_address_to(old.tenant, await world.new_tenant("Next"))
    staff = Caller(world, new, old.owner.id)
    customer = Caller(world, new, buyer_cookie=buyer)
    for route in routes(world.app):
        if route.path.startswith("/m/"):
            assert told(await staff.ask(route, old.ids)) is Answer.NOT_THERE, route
        elif (
            route.is_shops and route.is_safe and {"signature", "product_id", "picture_id", "category_id"} & set(route.parameters)
        ):
            assert (await customer.ask(route, old.ids)).status_code == 404, route
    for path in ("/s/orders", "/s/me"):
        assert str(old.ids["order_no"]) not in (await customer.ask(Route("GET", path), {})).text


@pytest.mark.case("G12")
async def test_old_invitations_and_notices_do_not_reach_the_next_owner(world: World) -> None:
    old = await merchant(world, world.tenant)
    payment_no = await world.value("select payment_no from payment where state = 'succeeded' limit 1")
    new = await give_address_to(old.tenant, await world.new_tenant("Next"))
    invited = Caller(world, new, (await person()).id)
    await invited.ask(Route("POST", "/invitations/{token}"), old.ids)
    async with tenant_tx(PLATFORM) as tx:
        assert await tx.fetchval("select count(*) from membership where tenant_id = $1", new.id) == 0
    gateway = await Caller(world, new).ask(Route("POST", "/hooks/{tenant_slug}/{connection_id}"), old.ids)
    assert gateway.status_code == 404
    statuses = await asyncio.to_thread(world.gateway.replay, payment_no)
    assert {status for notice in statuses for status in notice} == {404}
    assert await world.value("select count(*) from gateway_notice", tenant=new) == 0


@pytest.mark.case("G12")
async def test_a_domain_given_up_leads_to_whoever_proved_it_last(world: World) -> None:
    old, new = await merchant(world, world.tenant), await world.new_tenant("Next")
    for tenant in (old.tenant, new):
        async with tenant_tx(PLATFORM) as tx:
            await tx.execute("delete from tenant_domain where host = 'cards.example'")
            await tx.execute(
                "insert into tenant_domain (host, tenant_id, token, verified_at) values ('cards.example', $1, 'x', now())",
                tenant.id,
            )
        routing.forget()
    buyer = await buyers_session(world, old.tenant)
    client = world.client("cards.example")
    answer = await client.get(
        f"/orders/{old.ids['order_no']}/{old.ids['signature']}", headers={"cookie": f"{csrf.BUYER_COOKIE}={buyer}"}
    )
    assert answer.status_code == 404
    assert "Next" in (await client.get("/")).text


# What a sibling host can plant


@pytest.mark.case("G13")
@pytest.mark.parametrize("name", [csrf.STAFF_COOKIE, csrf.BUYER_COOKIE, csrf.COOKIE, "__Host-q_device"])
@pytest.mark.parametrize("is_first", [True, False])
async def test_one_of_our_cookies_sent_twice_is_refused(world: World, name: str, is_first: bool) -> None:
    mine = Caller(world, world.tenant, (await person(world.tenant)).id)
    own = {csrf.COOKIE: "mine", "__Host-q_device": "mine", csrf.BUYER_COOKIE: "mine", **await mine.cookies(Route("GET", "/me"))}
    pair = [f"{name}={own[name]}", f"{name}=planted"]
    sent = "; ".join(["a=b", *(pair if is_first else reversed(pair))])
    for surface in (Route("GET", "/me"), Route("GET", "/s")):
        answer = await mine.ask(surface, {}, headers={"cookie": sent})
        assert (answer.status_code, "twice" in answer.text) == (400, True)
        assert "set-cookie" not in answer.headers


@pytest.mark.case("G13")
@pytest.mark.parametrize("prefix", ["", "__Secure-", "__host-", "__HOST-", " __Host"])
async def test_a_cookie_that_a_parent_domain_could_hold_is_not_read(world: World, prefix: str) -> None:
    who = await person(world.tenant)
    async with tenant_tx(PLATFORM) as tx:
        token = await sessions.open_session(tx, user_id=who.id, browser=Browser("127.0.0.1", "test"))
    sent = f"{prefix}q_staff={token}"
    assert told(await Caller(world, world.tenant).ask(Route("GET", "/me"), {}, headers={"cookie": sent})) is Answer.LOG_IN


@pytest.mark.case("G13", "H06")
async def test_every_cookie_we_set_belongs_to_its_host_alone(world: World) -> None:
    """`__Host-`, Secure, HttpOnly, no Domain; the chosen language alone is no secret and has no prefix."""
    shop = await merchant(world, world.tenant)
    owner, buyer = await member(world, world.tenant, MemberRole.OWNER), Caller(world, world.tenant)
    cookies: list[str] = []
    for route in routes(world.app):
        who = buyer if route.is_shops else owner
        if not route.path.startswith("/console"):
            got = await who.ask(
                route,
                {**shop.ids, "file": "css/app.css", "session_id": shop.tenant.id},
                headers={"cookie": "a=b"},
                query="?lang=en",
            )
            cookies += got.headers.get_list("set-cookie")
    assert len(cookies) > 20
    for cookie in cookies:
        name, _, rest = cookie.partition("=")
        assert "domain=" not in rest.lower(), cookie
        assert "path=/;" in f"{rest.lower()};".replace(" ", ""), cookie
        assert "secure" in rest.lower(), cookie
        assert name == "lang" or (name.startswith("__Host-") and "httponly" in rest.lower() and "samesite=lax" in rest.lower()), (
            cookie
        )


# Where we are is said by the host alone


@pytest.mark.case("H10")
@pytest.mark.parametrize(
    ("sent", "is_ours"),
    [
        ("{host}", True),
        ("{upper}", True),
        ("{bare}", True),
        ("{bare}.", True),
        ("{bare}.:443", True),
        ("evil.example", False),
        ("{bare}.evil.example", False),
        ("evil{bare}", False),
        ("evil.example#{bare}", False),
        ("evil.example/{bare}", False),
        ("user@{bare}", False),
        ("{bare}@evil.example", False),
        ("evil.example:80@{bare}", False),
        ("{bare}, evil.example", False),
        ("", False),
        ("localhost", False),
        ("127.0.0.1", False),
        ("*.{bare}", False),
        ("{bare}%00", False),
    ],
)
async def test_only_our_own_hosts_are_answered_however_they_are_spelled(world: World, sent: str, is_ours: bool) -> None:
    host = settings().app_host
    named = sent.format(host=host, upper=host.upper(), bare=host.partition(":")[0])
    answer = await Caller(world, world.tenant).ask(Route("GET", "/log-in"), {}, headers={"host": named})
    assert answer.status_code == (200 if is_ours else 421)
    assert "evil" not in answer.text


@pytest.mark.case("H10")
async def test_no_header_but_host_says_where_we_are(world: World) -> None:
    shop = await merchant(world, world.tenant)
    hosts = dict.fromkeys(("x-forwarded-host", "x-host", "x-original-host", "x-forwarded-server"), "evil.example")
    headers = {**hosts, "forwarded": "host=evil.example", "x-rewrite-url": "/console", "x-original-url": "/console"}
    owner = await member(world, world.tenant, MemberRole.OWNER)
    for path in (
        "/m/{tenant_slug}/settings/domain",
        "/m/{tenant_slug}/settings/payments",
        "/s",
        "/s/orders/{order_no}/{signature}",
    ):
        without = await owner.ask(Route("GET", path), shop.ids)
        for header, value in headers.items():
            with_it = await owner.ask(Route("GET", path), shop.ids, headers={header: value})
            assert plain(with_it, shop.ids) == plain(without, shop.ids), header
            assert "evil.example" not in with_it.text + str(with_it.headers), header


@pytest.mark.case("H10")
async def test_mailed_links_are_made_from_our_records_whatever_the_headers_say(world: World) -> None:
    who = await person()
    headers = {"x-forwarded-host": "evil.example", "forwarded": "host=evil.example", "x-forwarded-proto": "gopher"}
    asked = await Caller(world, world.tenant).ask(
        Route("POST", "/password/forgot"), {}, {"email": who.email}, headers=dict(headers)
    )
    assert asked.status_code == 200
    await world.work()
    mail = world.outbox.wait_for(who.email)[0]["text"]
    assert re.findall(r"https?://[^/\s]+", mail) == [settings().app_url]


@pytest.mark.case("H10")
async def test_two_hosts_in_one_request_are_none(world: World) -> None:
    scope_headers = [(b"host", settings().app_host.encode()), (b"host", b"evil.example")]
    transport = httpx2.ASGITransport(app=world.app)
    async with httpx2.AsyncClient(transport=transport) as client:
        request = httpx2.Request("GET", f"https://{settings().app_host}/log-in", headers=scope_headers)
        assert (await client.send(request)).status_code == 421
