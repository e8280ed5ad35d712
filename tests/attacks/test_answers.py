"""What every answer carries, whoever asks and however it ends; and what lies outside the table of routes."""

from __future__ import annotations

import ast
from pathlib import Path

import httpx2
import pytest
from markupsafe import escape

from app.access.models import MemberRole
from app.kernel.vault import keyring
from app.settings import settings
from tenants.session import tenant_tx
from tests.attacks.merchant import Merchant, buyers_session, merchant
from tests.attacks.routes import Route, routes
from tests.attacks.table import ROWS
from tests.attacks.test_matrix import ids_of
from tests.attacks.visitors import Caller, caller, member
from tests.attacks.whom import For, Visitor
from tests.world import World

pytestmark = [pytest.mark.anyio]
ROOT = Path(__file__).resolve().parents[2]
KEPT_BY_BROWSERS = frozenset(
    {"/static/{file}", "/s/pictures/{picture_id}", "/s/brand.css", "/m/{tenant_slug}/pictures/{picture_id}"}
)
"""What holds nothing of a person: drawings, sheets, pictures of products."""


def faults_of(answer: httpx2.Response) -> list[str]:
    """What an answer's headers lack."""
    headers, policy = answer.headers, answer.headers.get("content-security-policy", "")
    wanted = {
        "frame-ancestors 'none'": "frame-ancestors 'none'" in policy,
        "default-src 'none'": "default-src 'none'" in policy,
        "no inline": "unsafe" not in policy and "nonce" not in policy,
        "base-uri 'none'": "base-uri 'none'" in policy,
        "nosniff": headers.get("x-content-type-options") == "nosniff",
        "referrer": headers.get("referrer-policy") == "same-origin",
        "opener": headers.get("cross-origin-opener-policy") == "same-origin",
        "no server": "server" not in headers and "x-powered-by" not in headers,
        "no cors": "access-control-allow-origin" not in headers,
    }
    return [name for name, holds in wanted.items() if not holds]


async def answers(world: World, shop: Merchant) -> list[tuple[Route, httpx2.Response]]:
    """Each route's answer to somebody who may, to nobody, and to a form that cannot be read."""
    owner, operator = await member(world, world.tenant, MemberRole.OWNER), await caller(world, world.tenant, Visitor.OPERATOR)
    buyer, nobody = (
        Caller(world, world.tenant, buyer_cookie=await buyers_session(world, world.tenant)),
        Caller(world, world.tenant),
    )
    found = []
    for route in routes(world.app):
        who = buyer if route.is_shops else operator if route.path.startswith("/console") else owner
        bad = {"content-type": "multipart/form-data; boundary=x"}
        for answer in (
            await who.ask(route, ids_of(shop, route)),
            await nobody.ask(route, ids_of(shop, route)),
            await who.ask(route, ids_of(shop, route), headers=bad),
        ):
            found.append((route, answer))
    return found


@pytest.mark.case("H20")
async def test_no_answer_may_be_framed_stored_or_named_to_another_site(world: World) -> None:
    shop, wrong = await merchant(world, world.tenant), []
    for route, answer in await answers(world, shop):
        wrong += [f"{route} {answer.status_code}: {fault}" for fault in faults_of(answer)]
        kept = answer.headers.get("cache-control", "")
        if route.path not in KEPT_BY_BROWSERS and kept != "no-store":
            wrong.append(f"{route} {answer.status_code}: cache-control {kept}")
        if route.path in KEPT_BY_BROWSERS and route.path.startswith("/m/") and "public" in kept:
            wrong.append(f"{route}: kept by all")
    assert wrong == []


@pytest.mark.case("H20")
async def test_an_answer_to_a_foreign_host_or_an_unknown_method_carries_them_too(world: World) -> None:
    nobody = Caller(world, world.tenant)
    for route, headers in (
        (Route("GET", "/log-in"), {"host": "evil.example"}),
        (Route("PUT", "/log-in"), {}),
        (Route("DELETE", "/s"), {}),
        (Route("PATCH", "/nothing"), {}),
        (Route("TRACE", "/log-in"), {}),
        (Route("GET", "/nothing/at/all"), {}),
        (Route("POST", "/log-in"), {"content-length": "99999999"}),
    ):
        answer = await nobody.ask(route, {}, headers=dict(headers))
        assert 400 <= answer.status_code < 500, route
        assert faults_of(answer) == [], route
        assert answer.headers["cache-control"] == "no-store", route


@pytest.mark.case("H20")
async def test_a_foreign_site_is_given_no_answer_it_could_read(world: World) -> None:
    shop = await merchant(world, world.tenant)
    owner = await member(world, world.tenant, MemberRole.OWNER)
    asks = {
        "origin": "https://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-csrf-token",
    }
    for route in routes(world.app):
        answer = await owner.ask(Route("OPTIONS", route.path), ids_of(shop, route), headers=dict(asks))
        assert not [name for name in answer.headers if name.startswith("access-control-allow")], route


# What is open without a log-in, and what is not there


@pytest.mark.case("H19")
async def test_the_metrics_are_for_this_machine_alone(world: World) -> None:
    nobody = Caller(world, world.tenant)
    assert (await nobody.ask(Route("GET", "/metrics"), {})).status_code == 200
    assert (await nobody.ask(Route("GET", "/metrics"), {}, headers={"x-forwarded-for": "127.0.0.1"})).status_code == 404
    assert (await nobody.ask(Route("GET", "/s/metrics"), {})).status_code == 404
    transport = httpx2.ASGITransport(app=world.app, client=("198.51.100.7", 4000))
    async with httpx2.AsyncClient(transport=transport, base_url=f"https://{settings().app_host}") as elsewhere:
        assert (await elsewhere.get("/metrics")).status_code == 404
        for path in ("/healthz", "/readyz"):
            answer = await elsewhere.get(path)
            assert answer.json() in ({"status": "ok"}, {"status": "ready"})


@pytest.mark.case("H19")
async def test_the_metrics_name_routes_and_no_merchant_number_or_secret(world: World) -> None:
    product = await world.product()
    for path in ("/", f"/products/{product.id}", f"/orders/N261121-1/{'x' * 26}", "/nothing-of-the-kind"):
        await world.client().get(path)
    told = (await Caller(world, world.tenant).ask(Route("GET", "/metrics"), {})).text
    assert 'route="/s/products/{product_id' in told
    for secret in (world.tenant.slug, str(product.id), "N261121-1", "x" * 26, "nothing-of-the-kind"):
        assert secret not in told, secret


@pytest.mark.case("H19")
@pytest.mark.parametrize(
    "path",
    [
        "/schema", "/schema/swagger", "/openapi.json", "/docs", "/redoc", "/saq", "/saq/queues", "/jobs", "/queue", "/admin", "/debug",
        "/_debug", "/__debug__", "/console.json", "/graphql", "/api", "/api/v1", "/.env", "/.git/config", "/static/../pyproject.toml",
        "/static/%2e%2e/pyproject.toml", "/static/..%2fpyproject.toml", "/static//etc/passwd", "/server-status", "/phpmyadmin", "/actuator",
        "/s", "/s/", "/s/orders", "/hooks", "/m", "/profiler", "/static/css/../../templates/ui.html",
    ],
)  # fmt: skip
async def test_nothing_answers_outside_the_table(world: World, path: str) -> None:
    operator = await caller(world, world.tenant, Visitor.OPERATOR)
    answer = (
        await operator.ask(Route("GET", path), {})
        if not path.startswith("/s") or path.startswith(("/static", "/schema", "/saq", "/server"))
        else None
    )
    if answer is None:  # a shop's pages, asked for on the merchants' host
        transport = httpx2.ASGITransport(app=world.app)
        async with httpx2.AsyncClient(transport=transport, base_url=f"https://{settings().app_host}") as client:
            answer = await client.get(path)
    assert answer.status_code in (404, 405), path


@pytest.mark.case("H19")
def test_what_is_open_without_a_log_in_is_this_and_no_more() -> None:
    open_to_all = {route for route, row in ROWS.items() if row in (For.ANYBODY, For.GATEWAYS, For.SCRAPER)}
    assert len(open_to_all) == 28
    assert not [route for route in open_to_all if route.partition(" ")[2].startswith(("/m/", "/me/", "/console", "/view"))]


# Secrets in addresses


@pytest.mark.case("H08")
async def test_an_orders_address_holds_more_than_a_hundred_bits_nobody_can_guess(world: World) -> None:
    """Twenty thousand signatures: no two alike, each of 128 bits, every bit as often on as off, and the number alone opens nothing."""
    from base64 import urlsafe_b64decode
    from uuid import uuid4

    async with tenant_tx(world.tenant) as tx:
        ring = await keyring(tx)
    drawn = [urlsafe_b64decode(ring.link_signature("order", uuid4()) + "==") for _ in range(20_000)]
    assert len(set(drawn)) == len(drawn)
    assert {len(one) for one in drawn} == {16}
    for bit in range(128):
        on = sum(one[bit // 8] >> (bit % 8) & 1 for one in drawn)
        assert 9_600 < on < 10_400, bit  # five and a half standard deviations
    shop = await merchant(world, world.tenant)
    for path in ("/s/orders/{order_no}", "/s/orders/{order_no}/", "/s/orders/{order_no}/{order_no}"):
        assert (await Caller(world, world.tenant).ask(Route("GET", path), shop.ids)).status_code == 404


# Words of merchants are never a template


@pytest.mark.case("H11")
def test_no_template_is_made_of_text_that_is_not_a_file_of_ours() -> None:
    """There are no templates a merchant writes. Templates are files of this repository, and nothing compiles one from a string."""
    compiles = {"from_string", "Template", "compile_expression", "overlay", "eval", "exec", "compile"}
    found = []
    for package in ("app", "workers", "operations"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
                if name in compiles or (name.rpartition(".")[2] in compiles and not name.startswith("re.")):
                    found.append(f"{path.relative_to(ROOT)}: {name}")
    assert found == []


EXPRESSIONS = (
    "{{7*191}}", "{%raw%}{{7*191}}{%endraw%}", "${7*191}", "<%=7*191%>", "#{7*191}", "{{config}}", "{{''.__class__.__mro__}}",
    "{{request.scope}}", "{{settings().session_secret}}", "%(order_no)s", "{order_no}", "{0.__class__}", "%s%n",
)  # fmt: skip


@pytest.mark.case("H11")
@pytest.mark.parametrize("text", EXPRESSIONS)
async def test_an_expression_in_a_merchants_words_stays_as_it_was_typed(world: World, text: str) -> None:
    """As the merchant's and the shop's name, line, notice and product, on the shop's pages and in the mail to its buyer."""
    tenant, plain = await world.new_tenant(text), text.replace("<", "&lt;")
    await world.rows(
        "update storefront set tagline = $1, notice_html = $2 returning name", text, f"<p>{plain}</p>", tenant=tenant
    )
    product = await world.product(name=text, summary=text, description_html=f"<p>{plain}</p>", tenant=tenant)
    await world.stock(product.skus[0].id, 1, tenant=tenant)
    shop = Caller(world, tenant)
    for path in ("/s", "/s/products/{product_id}"):
        shown = (await shop.ask(Route("GET", path), {"product_id": product.id})).text
        assert escape(text) in shown
        assert not [sign for sign in ("1337", settings().session_secret, "HTTPScope", "&lt;class") if sign in shown]
    await world.bought(product.skus[0].listing.id, contact="lin@nanzhi.example", tenant=tenant)
    await world.work(tenant=tenant)
    mail = world.outbox.wait_for("lin@nanzhi.example")[0]
    assert text in mail["text"]
    assert "1337" not in str(mail)
