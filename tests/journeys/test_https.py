"""A shop's own domain over HTTPS without an operator: the Caddyfile we ship, asking the running application before it makes a certificate."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.kernel import dns, domains, http, served
from app.kernel.served import Served
from app.kernel.vault import keyring
from app.settings import settings
from operations.doctor import find_caddy
from tenants import operating
from tenants.directory import PLATFORM, Tenant, TenantState
from tenants.session import tenant_tx
from tests.app.settings.nameserver import NameServer, name_server
from tests.app.storefront.buyer import fields
from tests.installation import Installation
from tests.journeys.front import CADDYFILE, Front, front
from tests.staff import desk, words_of
from tests.world import World

pytestmark = [pytest.mark.anyio]


@pytest.fixture(scope="module")
def caddy(application: object, installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Caddy before the running application."""
    with front(_program(), tmp_path_factory.mktemp("caddy"), upstream_port=installation.port) as made:
        yield made


def _program() -> str:
    if (found := find_caddy()) is None:
        pytest.skip("no caddy on PATH: apt-get install caddy")
    return found


def test_what_is_not_set_is_as_in_the_compose_file() -> None:
    environment = {"PATH": os.environ["PATH"], "ACME_EMAIL": "operator@quanyi.example"}
    adapted = subprocess.run(
        [_program(), "adapt", "--config", str(CADDYFILE), "--adapter", "caddyfile"],
        env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert '"dial":"web:8000"' in adapted.stdout
    assert '"http://web:8000/internal/may-serve"' in adapted.stdout


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NameServer]:
    async with name_server() as server:
        monkeypatch.setattr(dns, "name_servers", lambda: dns.NameServers(server.address))
        yield server


async def own_domain(tenant: Tenant, *, is_verified: bool = True) -> str:
    host = f"own.{tenant.slug}.com"
    async with tenant_tx(PLATFORM) as tx:
        await operating.claim_domain(tx, tenant, host=host, token="t")
        if is_verified:
            await operating.verify_domain(tx, tenant, host=host)
    return host


async def refused(front: Front, host: str) -> bool:
    """Whether a name is refused before anything is sent: in the handshake, with the alert of a server that has no certificate for it."""
    try:
        await asyncio.to_thread(front.open, host)
    except ssl.SSLCertVerificationError:
        return False
    except ssl.SSLError:
        return True
    return False


async def test_a_proved_domain_is_answered_by_its_shop_over_https(world: World, caddy: Front) -> None:
    product = await world.product()
    host = await own_domain(world.tenant)
    other = await world.new_tenant("Elsewhere", with_gateway=False)
    found = await asyncio.to_thread(caddy.open, host)
    assert (found.status, found.names) == (200, (host,))
    assert product.name in found.text
    assert (await asyncio.to_thread(caddy.open, host, f"/products/{product.id}")).status == 200
    assert (await asyncio.to_thread(caddy.open, host, served.WHOSE)).text == world.tenant.slug
    its_own = await asyncio.to_thread(caddy.open, f"{other.slug}.{settings().shops_host.partition(':')[0]}", served.WHOSE)
    assert (its_own.status, its_own.text) == (200, other.slug)
    assert (await asyncio.to_thread(caddy.open, settings().app_host.partition(":")[0], "/log-in")).status == 200
    plain = await asyncio.to_thread(caddy.open_plainly, host, "/cart")
    assert plain.status == 308
    assert plain.headers["location"].startswith(f"https://{host}")


async def test_a_name_nobody_has_proved_is_refused_in_the_handshake_until_he_has(world: World, caddy: Front) -> None:
    host = await own_domain(world.tenant, is_verified=False)
    assert await refused(caddy, host)
    assert await refused(caddy, f"nobody.{world.tenant.slug}.com")
    assert await refused(caddy, f"nobody-{world.tenant.slug}.{settings().shops_host.partition(':')[0]}")
    await own_domain(world.tenant)
    assert not await refused(caddy, host)


async def test_a_closed_shop_gets_no_certificate(world: World, caddy: Front) -> None:
    host = await own_domain(world.tenant)
    async with tenant_tx(PLATFORM) as tx:
        await operating.set_state(tx, world.tenant, TenantState.CLOSED, reason="test")
    assert await refused(caddy, host)


async def test_without_the_question_every_name_would_be_served(
    world: World, application: object, installation: Installation, tmp_path: Path
) -> None:
    """The red control: the same server, told to ask an address that always agrees."""
    written = CADDYFILE.read_text()
    assert "/internal/may-serve" in written
    credulous = tmp_path / "Caddyfile"
    credulous.write_text(written.replace("/internal/may-serve", "/healthz"))
    with front(_program(), tmp_path, upstream_port=installation.port, caddyfile=credulous) as made:
        assert not await refused(made, f"nobody.{world.tenant.slug}.com")


@pytest.mark.parametrize(
    "path", ["/internal/may-serve?domain=", "/%69nternal/may-serve?domain=", "/internal//may-serve?domain=", "/metrics"]
)
async def test_what_is_for_the_server_alone_is_not_handed_on(world: World, caddy: Front, path: str) -> None:
    host = await own_domain(world.tenant)
    asked = path + host if path.endswith("=") else path
    app_host = settings().app_host.partition(":")[0]
    for name in (host, app_host):
        found = await asyncio.to_thread(
            caddy.open, name, asked, **{"X-Forwarded-For": "", "Connection": "close, X-Forwarded-For"}
        )
        assert (found.status, found.text == "served") == (404, False), name


@pytest.fixture
def behind_one_proxy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("QUANYI_TRUSTED_PROXIES", "1")
        settings.cache_clear()
        yield
    settings.cache_clear()


async def test_an_order_is_placed_there_and_counted_for_who_the_server_saw(
    world: World, caddy: Front, behind_one_proxy: None
) -> None:
    """Whatever he says of himself: it is his address, not the one he names, whose unpaid orders are counted."""
    product = await world.product()
    await world.stock(product.skus[0].id, 3)
    host, forged = await own_domain(world.tenant), {"X-Forwarded-For": "203.0.113.9"}
    page = await asyncio.to_thread(caddy.open, host, f"/products/{product.id}", **forged)
    form = {**fields(page.text, "/checkout"), "contact": "13800132046"}
    sent = {"Cookie": page.cookies, "Origin": f"https://{host}", **forged}
    answer = await asyncio.to_thread(caddy.send, host, "/checkout", form, **sent)
    assert answer.status == 303, answer.text
    assert answer.headers["location"].startswith("/orders/")
    async with tenant_tx(world.tenant) as tx:
        ring = await keyring(tx)
    assert await world.value("select address_fingerprint from shop_order") == ring.fingerprint("address", "127.0.0.1")


async def test_the_merchant_reads_that_his_domain_is_served(
    world: World, caddy: Front, names: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    staff, host = await desk(world), await own_domain(world.tenant)
    names.addresses = {host: ["127.0.0.1"], domains.target(world.tenant): ["127.0.0.1"]}

    def trusting(of: dns.Resolver) -> http.Client:
        async def resolve(name: str, _port: int) -> list[str]:
            return sorted(await of.addresses_at(name))

        return http.Client(allow_loopback=True, resolve=resolve, tls=caddy.trusting())

    monkeypatch.setattr(served, "PORT", caddy.https_port)
    told = words_of(await staff.look(await staff.post("/settings/domain/checks", {"host": host})))
    assert "could not be opened over HTTPS yet" in told, "its authority is unknown here"
    monkeypatch.setattr(served, "client_asking", trusting)
    told = words_of(await staff.look(await staff.post("/settings/domain/checks", {"host": host})))
    assert "Your shop answers there over HTTPS." in told
    assert "Served over HTTPS" in words_of((await staff.get("/settings/domain")).text)
    at, to = dns.NameServers(names.address), domains.target(world.tenant)
    assert await served.look(host, slug=world.tenant.slug, target=to, names=at) is Served.SERVED
    assert await served.look(host, slug="another-shop", target=to, names=at) is Served.NOT_YET, "it answers, and not as that shop"
