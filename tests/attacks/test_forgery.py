"""Requests another site makes a browser send: on every route that changes something they are refused, and reading changes nothing."""

from __future__ import annotations

import httpx2
import pytest

from app.access.models import MemberRole
from app.kernel import csrf
from app.settings import settings
from tests.attacks.merchant import buyers_session, fingerprint, merchant
from tests.attacks.routes import Route, handlers, routes
from tests.attacks.test_matrix import ids_of
from tests.attacks.visitors import Caller, caller, member
from tests.attacks.whom import Visitor
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.case("H04")]
ATTACKERS = "a-binding-the-attacker-chose-0001"
FORGERIES: dict[str, dict[str, str | None]] = {
    "no token": {csrf.HEADER: None},
    "an empty token": {csrf.HEADER: ""},
    "a token of another browser": {csrf.HEADER: "0" * 64},
    "no origin": {"origin": None},
    "a foreign origin": {"origin": "https://evil.example"},
    "a shop's origin": {"origin": "https://evil.shop.localhost"},
    "the origin null": {"origin": "null"},
    "an origin that only begins like ours": {"origin": "https://app.quanyi.localhost.evil.example"},
    "a fetch from another site": {"sec-fetch-site": "cross-site"},
    "a fetch from a sibling's host": {"sec-fetch-site": "same-site"},
}


def unsafe(application: object) -> list[Route]:
    """Routes that change something and are not signed in another way."""
    signed = {path for path, handler in handlers(application) if handler.opt.get("signed")}
    return [route for route in routes(application) if not route.is_safe and route.path not in signed]


async def visitor_of(world: World, route: Route, buyer_cookie: str) -> Caller:
    """Somebody who may do it: an operator, an owner, or a buyer."""
    if route.is_shops:
        return Caller(world, world.tenant, buyer_cookie=buyer_cookie)
    if route.path.startswith("/console"):
        return await caller(world, world.tenant, Visitor.OPERATOR)
    return await member(world, world.tenant, MemberRole.OWNER)


def is_refused(answer: httpx2.Response) -> bool:
    return answer.status_code == 403 and "This page is too old to be sent safely." in answer.text


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_no_route_takes_a_form_that_was_not_sent_from_our_page(world: World, forgery: str) -> None:
    shop = await merchant(world, world.tenant)
    buyer = await buyers_session(world, world.tenant)
    callers = {route: await visitor_of(world, route, buyer) for route in unsafe(world.app)}
    before, wrong = await fingerprint(world.tenant), []
    for route, who in callers.items():
        got = await who.ask(route, ids_of(shop, route), {"reason": "forged"}, headers=FORGERIES[forgery])
        wrong += [] if is_refused(got) else [f"{route}: {got.status_code}"]
    assert wrong == []
    assert await fingerprint(world.tenant) == before


async def test_a_pair_of_cookie_and_token_tossed_at_a_session_is_worth_nothing(world: World) -> None:
    """The attacker sets the form cookie from a sibling host and sends the token that fits it; the session's own binding comes first."""
    shop = await merchant(world, world.tenant)
    buyer, wrong = await buyers_session(world, world.tenant), []
    for route in unsafe(world.app):
        who = await visitor_of(world, route, buyer)
        pair = {**await who.cookies(route), csrf.COOKIE: ATTACKERS}
        header = "; ".join(f"{name}={value}" for name, value in pair.items())
        got = await who.ask(route, ids_of(shop, route), headers={"cookie": header, csrf.HEADER: csrf._sign(ATTACKERS)})
        wrong += [] if is_refused(got) else [f"{route}: {got.status_code}"]
    assert wrong == []


async def test_a_form_sent_as_plain_text_carries_no_token(world: World) -> None:
    """What a foreign page can send without asking: text/plain, with the token's name in the body."""
    shop = await merchant(world, world.tenant)
    who = await member(world, world.tenant, MemberRole.OWNER)
    for route in unsafe(world.app):
        if route.path.startswith("/m/"):
            got = await who.ask(route, ids_of(shop, route), headers={"content-type": "text/plain", csrf.HEADER: None})
            assert is_refused(got), route


async def test_reading_any_address_changes_nothing(world: World) -> None:
    shop = await merchant(world, world.tenant)
    buyer = await buyers_session(world, world.tenant)
    reading = [route for route in routes(world.app) if route.is_safe]
    callers = {route: await visitor_of(world, route, buyer) for route in reading}
    before = await fingerprint(world.tenant)
    for route, who in callers.items():
        await who.ask(route, ids_of(shop, route))
    assert await fingerprint(world.tenant) == before


async def test_what_changes_something_cannot_be_asked_for_by_reading(world: World) -> None:
    shop = await merchant(world, world.tenant)
    who = await member(world, world.tenant, MemberRole.OWNER)
    paths = {route.path for route in routes(world.app) if route.is_safe}
    before = await fingerprint(world.tenant)
    for route in unsafe(world.app):
        if route.path not in paths and not route.is_shops:
            got = await who.ask(Route("GET", route.path), ids_of(shop, route), query="?_method=POST&reason=forged")
            assert got.status_code == 405, route
    for override in ("x-http-method-override", "x-method-override"):
        await who.ask(Route("GET", "/m/{tenant_slug}/settings/logo/removal"), shop.ids, headers={override: "POST"})
    assert await fingerprint(world.tenant) == before


async def test_a_right_form_passes(world: World) -> None:
    """The control: what is refused above is sent the same way, token and origin apart."""
    shop = await merchant(world, world.tenant)
    who = await member(world, world.tenant, MemberRole.OWNER)
    got = await who.ask(Route("POST", "/m/{tenant_slug}/orders/{order_no}/notes"), shop.ids, {"note": "asked by phone"})
    assert got.status_code == 303
    assert settings().app_host in str(got.request.url)
