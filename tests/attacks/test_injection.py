"""Texts that mean something to a database, a template, a shell or a parser, in every place an address takes one: they are plain signs or refused."""

from __future__ import annotations

from itertools import product
from urllib.parse import quote

import pytest

from app.access.models import MemberRole
from tests.attacks.merchant import fingerprint, merchant
from tests.attacks.routes import Route, routes
from tests.attacks.visitors import Caller, caller, member
from tests.attacks.whom import Visitor
from tests.world import World

pytestmark = [pytest.mark.anyio]
TEXTS = (
    "' or '1'='1", "'; drop table shop_order; --", '" or ""="', "1) or (1=1", "1 union select password_hash from app_user",
    "' || (select password_hash from app_user limit 1) || '", "$1", "$$", ":state", "%s", "%(id)s", "%", "_", "\\", "\\'", "*", "?",
    "$.a[*]", "{{7*7}}", "${7*7}", "<%= 7*7 %>", "#{7*7}", "../../../etc/passwd", "..\\..\\", "|id", "`id`", "\r\nset-cookie: a=b",
    "\x1b[31m", "\u202e", "\ufeff", "a" * 5000, "[]", '{"$ne":null}', "1e309", "-1", "0x10", "NaN", "٣", "１", "true", "null",
)  # fmt: skip
BYTES = ("%00", "%ED%A0%80", "%FF", "%C0%AF", "%25%27", "%u0000", "a%00b", "%F4%90%80%80")
"""Already encoded: NUL, a lone surrogate, bytes that are no UTF-8, twice encoded signs."""
EVERY = ("lang", "nothing_of_ours")
QUERIES: dict[str, tuple[str, ...]] = {
    "/m/{tenant_slug}": ("range",),
    "/m/{tenant_slug}/orders": (
        "q", "state", "payment", "problem", "by", "range", "from", "to", "channel", "product", "sku", "buyer", "sort", "size", "page",
    ),
    "/m/{tenant_slug}/order-views": ("q", "state", "sort"),
    "/m/{tenant_slug}/orders/{order_no}/timeline": ("seen",),
    "/m/{tenant_slug}/orders/{order_no}/reveals": ("line", "unit"),
    "/m/{tenant_slug}/products": ("q", "view", "category", "page", "sort"),
    "/m/{tenant_slug}/audit": ("action", "actor", "object", "from", "to", "before"),
    "/m/{tenant_slug}/card-pools": ("low",),
    "/m/{tenant_slug}/issues": ("state", "client", "before"),
    "/m/{tenant_slug}/issues/new": ("listing",),
    "/m/{tenant_slug}/issues/{issue_no}": ("rows", "after", "lines"),
    "/m/{tenant_slug}/issues/{issue_no}/progress": ("seen",),
    "/m/{tenant_slug}/suppliers/replenishments": ("state", "supplier", "before"),
    "/m/{tenant_slug}/suppliers/replenishments/new": ("supplier", "sku", "low", "again"),
    "/m/{tenant_slug}/cases": ("state", "kind", "page"),
    "/m/{tenant_slug}/after-sales": ("view", "complaint", "connection", "batch", "sku", "q", "page"),
    "/m/{tenant_slug}/after-sales/claims": ("state", "page"),
    "/s/orders/{order_no}/{signature}/help/{line_id}/{unit_no}": ("step",),
    "/m/{tenant_slug}/imports/{batch_no}": ("lines",),
    "/console": ("q", "state", "page"),
    "/console/audit": ("action", "actor", "before", "check"),
    "/log-in": ("next",),
    "/s/search": ("q",),
    "/s/products/{product_id}": ("listing",),
    "/s/brand.css": ("v",),
    "/s/orders/{order_no}/{signature}/status": ("seen",),
}  # fmt: skip
"""Which words behind an address are read, page by page."""
STARTS = ("/m/{tenant_slug}/orders", "/m/{tenant_slug}", "/")


async def who_reads(world: World, path: str) -> Caller:
    if path.startswith("/console"):
        return await caller(world, world.tenant, Visitor.OPERATOR)
    return Caller(world, world.tenant) if path.startswith("/s") else await member(world, world.tenant, MemberRole.OWNER)


@pytest.mark.case("H01")
@pytest.mark.parametrize("first", STARTS)
async def test_no_word_behind_an_address_is_more_than_a_word(world: World, first: str) -> None:
    """The addresses that begin so, each in one of the tests; words that every page reads, and words of nobody, on the first."""
    shop, wrong = await merchant(world, world.tenant), []
    paths = [path for path in QUERIES if next(start for start in STARTS if path.startswith(start)) == first]
    readers = {path: await who_reads(world, path) for path in paths}
    before = await fingerprint(world.tenant)
    for path, who in readers.items():
        route = Route("GET", path)
        for name in (*QUERIES[path], *(EVERY if path == paths[0] else ())):
            for sent in (*(quote(text) for text in TEXTS), *BYTES):
                got = await who.ask(route, shop.ids, query=f"?{name}={sent}")
                if got.status_code not in (200, 303, 400, 404, 422) or "password_hash" in got.headers.get("location", ""):
                    wrong.append(f"{path} {name}={sent[:40]}: {got.status_code}")
                if "$argon2" in got.text or "a=b" in str(got.headers.get_list("set-cookie")):
                    wrong.append(f"{path} {name}={sent[:40]} came through")
    assert wrong == []
    assert await fingerprint(world.tenant) == before


@pytest.mark.case("H01")
async def test_no_part_of_an_address_is_more_than_a_name(world: World) -> None:
    """Some of the texts in each parameter of each path, others in the next: there is nothing there, as for any name that is not ours."""
    shop = await merchant(world, world.tenant)
    callers = {path: await who_reads(world, path) for path in ("/m", "/s", "/console")}
    ids: dict[str, object] = {**shop.ids, "tenant_id": shop.tenant.id, "home_id": shop.tenant.id, "task_id": shop.tenant.id}
    wrong, asked = [], 0
    for route in routes(world.app):
        surface = next((path for path in callers if route.path.startswith(path + "/")), None)
        for name in route.parameters if surface and route.is_safe else ():
            await world.rows("delete from rate_counter")
            texts = [*(quote(text, safe="") for text in TEXTS), *BYTES]
            first, asked = asked % 4, asked + 1
            for sent in texts[first::4]:
                got = await callers[str(surface)].ask(route, {**ids, name: sent})
                wrong += [] if got.status_code in (400, 404, 405, 429) else [f"{route} {name}={sent[:40]}: {got.status_code}"]
    assert wrong == []


@pytest.mark.case("H01")
@pytest.mark.parametrize(
    "slug",
    [
        "public",
        "information_schema",
        "pg_catalog",
        "work",
        "queue",
        "{schema}",
        "{schema}; select 1",
        '"{schema}"',
        "{upper}",
        "{slug}%00",
        "{slug}'",
        "%",
    ],
)
async def test_a_schemas_name_is_no_tenants_address(world: World, slug: str) -> None:
    tenant = world.tenant
    named = slug.format(schema=tenant.schema, slug=tenant.slug, upper=tenant.slug.upper())
    who = await member(world, tenant, MemberRole.OWNER)
    got = await who.ask(Route("GET", "/m/{tenant_slug}"), {"tenant_slug": quote(named, safe="%")})
    assert got.status_code == 404
    host = quote(named, safe="%") + ".shop.localhost"
    answer = await Caller(world, tenant).ask(Route("GET", "/s"), {}, headers={"host": host})
    assert answer.status_code == (200 if named.lower() == tenant.slug else 421)


@pytest.mark.case("H01")
async def test_signs_that_match_anything_match_only_themselves(world: World) -> None:
    """One product and one order are there; a search for a pattern finds neither, a search for their names both."""
    shop = await merchant(world, world.tenant)
    owner, buyer = await member(world, world.tenant, MemberRole.OWNER), Caller(world, world.tenant)
    searches = {
        "/m/{tenant_slug}/products": (owner, "q", f"/products/{shop.ids['product_id']}"),
        "/m/{tenant_slug}/orders": (owner, "product", f"/orders/{shop.ids['order_no']}"),
        "/s/search": (buyer, "q", f"/products/{shop.ids['product_id']}"),
    }
    for path, (who, name, link) in searches.items():
        found = await who.ask(Route("GET", path), shop.ids, query=f"?{name}=Skylark")
        assert link in found.text, path
        for text in ("%", "_", "S_ylark", "Sky%", "' or '1'='1", "\\", "%%", "*"):
            assert link not in (await who.ask(Route("GET", path), shop.ids, query=f"?{name}={quote(text)}")).text, (path, text)


HIDDEN = (
    "password_hash", "secret", "contact_fingerprint", "fingerprint", "unit_cost", "token_hash", "id", "total_minor desc", "1", "(select 1)",
    "random()", "state;--", "newest,oldest", "NEWEST",
)  # fmt: skip


@pytest.mark.case("H02")
async def test_no_list_is_sorted_by_what_it_does_not_offer(world: World) -> None:
    shop = await merchant(world, world.tenant)
    who = await member(world, world.tenant, MemberRole.OWNER)
    for path in ("/m/{tenant_slug}/orders", "/m/{tenant_slug}/audit", "/m/{tenant_slug}", "/m/{tenant_slug}/order-views"):
        for name, column in product(("sort", "orderBy", "order_by", "sort_by", "sortOrder"), HIDDEN):
            got = await who.ask(Route("GET", path), shop.ids, query=f"?{name}={quote(column)}")
            assert got.status_code == 400, (path, name, column)


@pytest.mark.case("H02")
async def test_lists_without_a_choice_of_order_have_none(world: World) -> None:
    """What is not read changes no row and no order."""
    await merchant(world, world.tenant)
    await world.product(name="Marlin Music")
    ids = {"tenant_slug": world.tenant.slug}
    for path in ("/m/{tenant_slug}/products", "/m/{tenant_slug}/card-pools", "/m/{tenant_slug}/team", "/console", "/s/search"):
        who = await who_reads(world, path)
        plain = rows((await who.ask(Route("GET", path), ids)).text)
        for name, column in product(("sort", "orderBy", "order_by"), HIDDEN):
            got = await who.ask(Route("GET", path), ids, query=f"?{name}={quote(column)}")
            assert rows(got.text) == plain, (path, name, column)


def rows(html: str) -> list[str]:
    """The links of a page's body, in their order."""
    return [part.partition('"')[0] for part in html.partition("<main")[2].split('href="')[1:] if "lang=" not in part[:200]]
