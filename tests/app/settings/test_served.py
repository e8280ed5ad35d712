"""What the server in front is told before it fetches a certificate, and what a merchant is told of his domain."""

from __future__ import annotations

from urllib.parse import quote

import httpx2
import pytest

from app.kernel import dns, domains
from app.settings import settings
from tenants import operating
from tenants.directory import PLATFORM, Tenant, TenantState
from tenants.session import tenant_tx
from tests.app.settings.nameserver import NameServer
from tests.staff import Desk, desk, words_of
from tests.world import World

pytestmark = [pytest.mark.anyio]
ASK = "/internal/may-serve"


async def own_domain(tenant: Tenant, host: str, *, is_verified: bool = True) -> str:
    async with tenant_tx(PLATFORM) as tx:
        await operating.claim_domain(tx, tenant, host=host, token="t")
        if is_verified:
            await operating.verify_domain(tx, tenant, host=host)
    return host


async def asked(
    world: World, query: str, *, of: str = "web:8000", caller: str = "172.18.0.5", headers: dict[str, str] | None = None
) -> httpx2.Response:
    """Ask as the server in front does: a machine of the same network, under whatever name it reaches us."""
    transport = httpx2.ASGITransport(app=world.app, client=(caller, 40_000))
    async with httpx2.AsyncClient(transport=transport, base_url=f"http://{of}") as client:
        return await client.get(f"{ASK}{query}", headers=headers or {})


async def may(world: World, name: str) -> int:
    return (await asked(world, f"?domain={quote(name)}")).status_code


async def test_every_name_we_serve_may_have_a_certificate_and_no_other(world: World) -> None:
    slug, shops = world.tenant.slug, settings().shops_host.partition(":")[0]
    own = await own_domain(world.tenant, f"own.{slug}.com")
    waits = await own_domain(world.tenant, f"waits.{slug}.com", is_verified=False)
    served = [settings().app_host.partition(":")[0], f"{slug}.{shops}", own, own.upper(), f"{own}."]
    assert [await may(world, name) for name in served] == [200] * len(served)
    not_served = [waits, f"x.{own}", f"unknown.{shops}", f"a.{slug}.{shops}", shops, settings().base_host.partition(":")[0]]
    not_served += [
        "shop.elsewhere.com",
        "",
        " ",
        "a b",
        "127.0.0.1",
        "::1",
        "localhost",
        "*.com",
        "ex\x00ample.com",
        f"{own}\x00",
    ]
    not_served += [
        "x" * 300,
        ("a." * 150) + "com",
        "ä" * 200,
        "'; drop table tenant; --",
        f"{own}/x",
        f"{own}:443",
        f"https://{own}",
    ]
    assert [(name, await may(world, name)) for name in not_served] == [(name, 404) for name in not_served]
    assert (await asked(world, "")).status_code == 404


async def test_a_suspended_shop_keeps_its_names_and_a_closed_one_does_not(world: World) -> None:
    """The suspended one says that it is closed for now; over a broken connection it could not."""
    names = [f"{world.tenant.slug}.{settings().shops_host.partition(':')[0]}", f"own.{world.tenant.slug}.com"]
    await own_domain(world.tenant, names[1])
    told = []
    for state in (TenantState.SUSPENDED, TenantState.CLOSED):
        async with tenant_tx(PLATFORM) as tx:
            await operating.set_state(tx, world.tenant, state, reason="test")
        told.append([await may(world, name) for name in names])
    assert told == [[200, 200], [404, 404]]


async def test_the_answer_holds_no_cookie_and_nothing_of_the_shop(world: World) -> None:
    answers = [await asked(world, f"?domain={name}") for name in (f"{world.tenant.slug}.{settings().shops_host}", "no.com")]
    for answer in answers:
        assert "set-cookie" not in answer.headers
        assert answer.text in ("served", "not served")
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("caller", "headers", "is_there"),
    [
        ("127.0.0.1", {}, True),
        ("fd00::5", {}, True),
        ("8.8.8.8", {}, False),
        ("2a00:1450:4001:80b::200e", {}, False),
        ("172.18.0.5", {"x-forwarded-for": "8.8.8.8"}, False),
        ("172.18.0.5", {"x-forwarded-for": ""}, False),
        ("172.18.0.5", {"forwarded": "for=8.8.8.8"}, False),
        ("172.18.0.5", {"x-forwarded-proto": "https"}, False),
        ("nobody", {}, False),
    ],
)
async def test_it_is_there_for_the_server_in_front_alone(
    world: World, caller: str, headers: dict[str, str], is_there: bool
) -> None:
    """Whatever name is asked for it: what a proxy hands on for others says so in its headers."""
    own = f"?domain={settings().app_host.partition(':')[0]}"
    for of in ("web:8000", settings().app_host, f"{world.tenant.slug}.{settings().shops_host}"):
        answer = await asked(world, own, of=of, caller=caller, headers=headers)
        assert (answer.status_code, answer.text == "served") == ((200, True) if is_there else (404, False)), of


async def test_each_host_of_a_shop_says_whose_it_is_also_while_it_is_closed(world: World) -> None:
    own = await own_domain(world.tenant, f"own.{world.tenant.slug}.com")
    path = "/.well-known/quanyi-shop"
    async with tenant_tx(PLATFORM) as tx:
        await operating.set_state(tx, world.tenant, TenantState.SUSPENDED, reason="test")
    for host in (own, None):
        answer = await world.client(host).get(path)
        assert (answer.status_code, answer.text) == (200, world.tenant.slug)
    assert (await world.client("app").get(path)).status_code == 404


@pytest.mark.parametrize(
    ("leads_to", "told", "pill"),
    [
        ([], "leads nowhere yet", "Not seen over HTTPS yet"),
        (["127.0.0.2"], "leads to another machine", "Not seen over HTTPS yet"),
        (["127.0.0.1"], "could not be opened over HTTPS yet", "Not seen over HTTPS yet"),
    ],
)
async def test_a_merchant_is_told_where_his_domain_leads(
    world: World, names: NameServer, leads_to: list[str], told: str, pill: str
) -> None:
    staff, host = await desk(world), await own_domain(world.tenant, f"own.{world.tenant.slug}.com")
    names.addresses = {host: leads_to, domains.target(world.tenant): ["127.0.0.1"]}
    before = words_of((await staff.get("/settings/domain")).text)
    assert "Nobody has looked yet" in before
    assert domains.target(world.tenant) in before
    flash = words_of(await _look(staff, host))
    after = words_of((await staff.get("/settings/domain")).text)
    assert flash.count(told) == 2, "said at once, and on the card"
    assert after.count(told) == 1
    assert pill in after
    assert domains.target(world.tenant) in after, "what to enter stays in sight until it works"


async def test_silent_name_servers_change_nothing_that_was_seen(world: World, names: NameServer) -> None:
    staff, host = await desk(world), await own_domain(world.tenant, f"own.{world.tenant.slug}.com")
    await domains.look(world.tenant, host, resolver=dns.NameServers(names.address))
    names.silent.add(host)
    assert "did not answer" in words_of(await _look(staff, host))
    assert "leads nowhere yet" in words_of((await staff.get("/settings/domain")).text)


async def test_looking_is_counted(world: World, names: NameServer) -> None:
    staff, host = await desk(world), await own_domain(world.tenant, f"own.{world.tenant.slug}.com")
    statuses = [(await staff.post("/settings/domain/checks", {"host": host})).status_code for _ in range(21)]
    assert statuses == [303] * 20 + [429]
    other = await desk(world, tenant=await world.new_tenant("Other", with_gateway=False))
    assert (await other.post("/settings/domain/checks", {"host": host})).status_code == 404


async def _look(staff: Desk, host: str) -> str:
    return await staff.look(await staff.post("/settings/domain/checks", {"host": host}))
