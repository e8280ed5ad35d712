"""Another tenant's ids, wherever a request takes one: the answer is that of an id nobody has, and neither tenant changes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from uuid import UUID, uuid4

import httpx2
import pytest

from app.access.models import MemberRole
from tests.attacks.merchant import Merchant, buyers_session, fingerprint, merchant
from tests.attacks.routes import Route, of_nobody, routes
from tests.attacks.table import WANT_MORE
from tests.attacks.visitors import Caller, member
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.case("G02")]
OURS = frozenset({"tenant_slug", "rest", "file", "unit_no"})
"""Parameters that name no thing of a tenant's: the tenant himself, a place in a line, a page."""
REASON = "the buyer asks on the phone"
FORMS: dict[str, dict[str, str]] = {
    "POST /m/{tenant_slug}/orders/{order_no}/notes": {"note": REASON},
    "POST /m/{tenant_slug}/orders/{order_no}/refunds": {"stated_minor": "1990", "reason": REASON},
    "POST /m/{tenant_slug}/orders/{order_no}/reveals": {"line": "{line_id}", "unit": "1", "reason": REASON},
    "POST /m/{tenant_slug}/card-keys/{card_key_id}/reveal": {"reason": REASON},
    "POST /m/{tenant_slug}/card-keys/{card_key_id}/void": {"reason": REASON},
    "POST /m/{tenant_slug}/imports/{batch_no}/quarantine": {"reason": REASON},
    "POST /m/{tenant_slug}/imports/{batch_no}/release": {"reason": REASON},
    "POST /m/{tenant_slug}/card-pools/{sku_id}/imports": {"keys": "NEW-KEY-0001", "unit_cost": "1.00"},
    "POST /m/{tenant_slug}/cases/{case_id}/closure": {"note": REASON},
    "POST /m/{tenant_slug}/cases/{case_id}/refund": {"note": REASON},
    "POST /m/{tenant_slug}/orders/{order_no}/after-sales": {"line": "{line_id}", "unit": "1", "words": REASON},
    "POST /m/{tenant_slug}/imports/{batch_no}/recall": {"reason": REASON},
    "POST /m/{tenant_slug}/after-sales/{case_no}/replacement": {"reason": REASON},
    "POST /m/{tenant_slug}/after-sales/{case_no}/refund": {"reason": REASON},
    "POST /m/{tenant_slug}/after-sales/{case_no}/rejection": {"text": REASON},
    "POST /m/{tenant_slug}/after-sales/{case_no}/questions": {"text": REASON},
    "POST /m/{tenant_slug}/after-sales/{case_no}/notes": {"note": REASON},
    "POST /m/{tenant_slug}/after-sales/claims/{claim_id}/decision": {"decision": "accepted", "note": REASON},
    "POST /m/{tenant_slug}/suppliers/replenishments/{replenishment_no}/cancellation": {"reason": REASON},
    "POST /m/{tenant_slug}/suppliers/replenishments/{replenishment_no}/messages": {"text": REASON},
    "POST /m/{tenant_slug}/suppliers/replenishments/{replenishment_no}/lines/{wanted_id}/batches": {"batch": "{batch_no}"},
    "POST /m/{tenant_slug}/suppliers/replenishments/{replenishment_no}/lines/{wanted_id}/imports": {"keys": "NEW-KEY-0002"},
    "POST /s/orders/{order_no}/{signature}/help/{line_id}/{unit_no}/report": {"complaint": "invalid"},
    "POST /s/orders/{order_no}/{signature}/reports/{report_id}/messages": {"words": REASON},
    "POST /s/orders/{order_no}/{signature}/subscriptions/{subscription_id}/renewal": {
        "stated_minor": "5000", "request_id": "0123456789abcdef0123",
    },
    "POST /s/orders/{order_no}/{signature}/reports/{report_id}/objection": {"words": REASON},
    "POST /m/{tenant_slug}/categories/{category_id}": {"name-{category_id}": "Taken over"},
    "POST /m/{tenant_slug}/categories/{category_id}/position": {"by": "1", "to": "down"},
    "POST /m/{tenant_slug}/order-views/{view_id}": {"name": "Taken over"},
    "POST /m/{tenant_slug}/team/members/{user_id}/role": {"role": "owner"},
    "POST /m/{tenant_slug}/products/{product_id}": {
        "name": "Taken over", "kind": "card_key", "sku-0-name": "Month", "sku-0-price": "0.01", "sku-0-id": "{sku_id}",
    },
}  # fmt: skip
"""Forms filled so that nothing but the id can be what is wrong."""


def plain(answer: httpx2.Response, ids: Mapping[str, object]) -> tuple[int, str, str]:
    """An answer without what differs between any two: the ids that were asked for, tokens and request numbers."""
    text = answer.text
    for value in sorted((str(value) for name, value in ids.items() if name not in OURS), key=len, reverse=True):
        text = text.replace(value, "@") if len(value) > 3 else text
    text = re.sub(r"[0-9a-f]{64}|[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{12}\b", "#", text)
    return answer.status_code, answer.headers.get("location", ""), text


async def both(world: World) -> tuple[Merchant, Merchant]:
    mine = await merchant(world, world.tenant)
    return mine, await merchant(world, await world.new_tenant("Elsewhere"), canary="Marlin")


def filled(route: Route, ids: Mapping[str, object]) -> dict[str, str]:
    form = FORMS.get(str(route), {})
    return {name.format(**ids): text.format(**ids) if text.startswith("{") else text for name, text in form.items()}


def mixed(route: Route, mine: Merchant, theirs: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """The other's ids in every parameter at once, and in each parameter alone beside our own."""
    named = [name for name in route.parameters if name not in OURS]
    yield {**theirs, "tenant_slug": mine.tenant.slug}
    if len(named) > 1:
        yield from ({**mine.ids, name: theirs[name]} for name in named)


@pytest.mark.parametrize("surface", ["/m/", "/s/"])
async def test_foreign_ids_in_addresses_are_answered_as_unknown_ones(world: World, surface: str) -> None:
    mine, theirs = await both(world)
    who = await member(world, mine.tenant, MemberRole.OWNER)
    if surface == "/s/":
        who = Caller(world, mine.tenant, buyer_cookie=await buyers_session(world, mine.tenant))
    before, wrong = await fingerprint(mine.tenant, theirs.tenant), []
    for route in routes(world.app):
        if not route.path.startswith(surface) or set(route.parameters) <= OURS:
            continue
        for foreign in mixed(route, mine, theirs.ids):
            await world.rows("delete from rate_counter")  # guesses are counted, and the thirty-first would be answered so
            unknown = of_nobody(route, foreign)
            got = await who.ask(route, foreign, filled(route, foreign))
            nobody = await who.ask(route, unknown, filled(route, unknown))
            if plain(got, foreign) != plain(nobody, unknown) or got.status_code not in (404, 303):
                wrong.append(f"{route} {got.status_code}, and {nobody.status_code} for an id of nobody")
    assert wrong == []
    assert await fingerprint(mine.tenant, theirs.tenant) == before


@pytest.mark.parametrize("surface", ["/m/", "/s/"])
async def test_each_of_these_addresses_is_there_for_ones_own_ids(world: World, surface: str) -> None:
    """The control: the same requests with one's own ids do not get that answer, so the ids alone made the difference."""
    mine = await merchant(world, world.tenant)
    who = await member(world, mine.tenant, MemberRole.OWNER) if surface == "/m/" else Caller(world, mine.tenant)
    reading = [r for r in routes(world.app) if r.path.startswith(surface) and r.is_safe and not set(r.parameters) <= OURS]
    answers = {str(route): (await who.ask(route, mine.ids)).status_code for route in reading}
    led_on = {"GET /s/products/{product_id}/proof", "GET /s/c/{code}", "GET /s/c/{code}/{product_id}"}
    assert {route for route, status in answers.items() if status != 200} == (WANT_MORE if surface == "/m/" else led_on)


async def posts(
    world: World, mine: Merchant, theirs: Mapping[str, object]
) -> list[tuple[str, dict[str, object], dict[str, str]]]:
    """Forms of ours that take ids in their fields, with another's ids in them: where, at which of our own addresses, and what."""
    product = {"name": "Ours", "kind": "card_key", "sku-0-name": "Month", "sku-0-price": "19.90"}
    line = {"line": str(theirs["line_id"]), "unit": "1", "reason": REASON}
    here = mine.ids
    return [
        ("POST /m/{tenant_slug}/products", here, {**product, "category": str(theirs["category_id"])}),
        ("POST /m/{tenant_slug}/products/{product_id}", here, {**product, "sku-0-id": str(theirs["sku_id"])}),
        ("POST /m/{tenant_slug}/products/{product_id}", here, {**product, "category": str(theirs["category_id"])}),
        ("POST /m/{tenant_slug}/orders/{order_no}/reveals", here, line),
    ]


async def test_foreign_ids_in_forms_are_answered_as_unknown_ones(world: World) -> None:
    mine, theirs = await both(world)
    who = await member(world, mine.tenant, MemberRole.OWNER)
    nobodys = {name: uuid4() if isinstance(value, UUID) else value for name, value in theirs.ids.items()}
    before, wrong = await fingerprint(mine.tenant, theirs.tenant), []
    for (name, ids, foreign), (_, _, unknown) in zip(
        await posts(world, mine, theirs.ids), await posts(world, mine, nobodys), strict=True
    ):
        method, _, path = name.partition(" ")
        got, nobody = [await who.ask(Route(method, path), ids, form) for form in (foreign, unknown)]
        if got.status_code not in (404, 409, 422) or plain(got, theirs.ids) != plain(nobody, nobodys):
            wrong.append(f"{name} {got.status_code}, and {nobody.status_code} for an id of nobody")
    assert wrong == []
    assert await fingerprint(mine.tenant, theirs.tenant) == before


async def test_a_foreign_listing_is_neither_bought_nor_put_in_a_cart(world: World) -> None:
    mine, theirs = await both(world)
    who = Caller(world, mine.tenant)
    order = {"quantity": "1", "contact": "13800132046", "request_id": "0123456789abcdef0123"}
    before = await fingerprint(mine.tenant, theirs.tenant)
    for path in ("/s/checkout", "/s/cart/lines"):
        foreign, unknown = [
            await who.ask(Route("POST", path), {}, {**order, "listing": str(listing)}) for listing in (theirs.listing_id, uuid4())
        ]
        assert foreign.status_code == unknown.status_code == 404
        assert plain(foreign, theirs.ids) == plain(unknown, {})
    assert await fingerprint(mine.tenant, theirs.tenant) == before


async def test_no_byte_of_the_other_tenant_is_on_any_page(world: World) -> None:
    mine, theirs = await both(world)
    members = await member(world, mine.tenant, MemberRole.OWNER)
    buyer = Caller(world, mine.tenant, buyer_cookie=await buyers_session(world, mine.tenant))
    found = []
    for route in routes(world.app):
        if route.is_safe and route.path.startswith(("/m/", "/s")) and route.path != "/static/{file}":
            got = await (buyer if route.is_shops else members).ask(route, mine.ids)
            found += [f"{route}: {sign}" for sign in ("Marlin", "MARLIN", theirs.tenant.slug) if sign in got.text]
    assert found == []
