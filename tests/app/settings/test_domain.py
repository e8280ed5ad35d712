"""A shop's own domain: waiting, verified, taken; asked for at a real name server on this machine."""

import pytest

from app.access.models import MemberRole
from app.kernel import domains
from tenants import routing
from tenants.directory import PLATFORM
from tenants.session import tenant_tx
from tests.app.settings.nameserver import NameServer
from tests.staff import desk, words_of
from tests.world import World

pytestmark = [pytest.mark.anyio]
HOST = "shop.example-brand.com"


async def token_of(host: str) -> str:
    async with tenant_tx(PLATFORM) as tx:
        token: str = await tx.fetchval("select token from tenant_domain where host = $1", host)
    return token


async def test_a_domain_leads_to_the_shop_once_its_record_is_there(world: World, names: NameServer) -> None:
    staff, host = await desk(world), f"{world.tenant.slug}.example-brand.com"
    noted = words_of(await staff.look(await staff.post("/settings/domain", {"host": f" {host.upper()}. "})))
    assert "Waiting for its record" in noted
    assert f"_quanyi.{host}" in noted
    assert await token_of(host) in noted
    assert await routing.by_domain(host) is None
    missing = await staff.look(await staff.post("/settings/domain/checks", {"host": host}))
    assert "not there yet" in words_of(missing)
    names.records[f"_quanyi.{host}"] = ["something else"]
    assert "but not this one" in words_of(await staff.look(await staff.post("/settings/domain/checks", {"host": host})))
    token = await token_of(host)
    names.records[f"_quanyi.{host}"] = ["v=spf1 -all", f"{token[:10]}|{token[10:]}"]
    for _ in range(2):
        seen = words_of(await staff.look(await staff.post("/settings/domain/checks", {"host": host})))
        assert "Not seen over HTTPS yet" in seen
    found = await routing.by_domain(host)
    assert found is not None
    assert found.id == world.tenant.id
    assert set(names.asked) == {f"_quanyi.{host}"}
    for _ in range(2):
        assert host not in words_of(await staff.look(await staff.post("/settings/domain/removals", {"host": host})))
    assert await routing.by_domain(host) is None
    actions = [
        row["action"] for row in await world.rows("select action from audit_entry where subject_kind = 'domain' order by seq")
    ]
    assert actions == ["domain.claimed", "domain.verified", "domain.dropped"]


async def test_a_name_server_that_is_silent_changes_nothing(world: World, names: NameServer) -> None:
    staff, host = await desk(world), f"silent.{world.tenant.slug}.com"
    await staff.post("/settings/domain", {"host": host})
    names.silent.add(f"_quanyi.{host}")
    told = words_of(await staff.look(await staff.post("/settings/domain/checks", {"host": host})))
    assert "did not answer" in told
    assert "Waiting for its record" in told


async def test_a_domain_another_shop_has_proved_is_taken(world: World, names: NameServer) -> None:
    host = f"taken.{world.tenant.slug}.com"
    owner, rival = await desk(world), await desk(world, tenant=await world.new_tenant())
    await owner.post("/settings/domain", {"host": host})
    names.records[f"_quanyi.{host}"] = [await token_of(host)]
    await owner.post("/settings/domain/checks", {"host": host})
    refused = await rival.post("/settings/domain", {"host": host})
    assert refused.status_code == 422
    assert "Another shop has proved" in words_of(refused.text)
    assert (await rival.post("/settings/domain/checks", {"host": host})).status_code == 404
    await rival.post("/settings/domain/removals", {"host": host})
    found = await routing.by_domain(host)
    assert found is not None
    assert found.id == world.tenant.id


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "https://shop.example.com", "shop.example.com/x", "shop.example.com:8000", "127.0.0.1", "1.2.3.4",
     "-a.com", "a-.com", "a..com",
     "a b.com", "x" * 64 + ".com", ("a." * 130) + "com", "shop.quanyi.localhost", "x.shop.localhost", "shop.localhost", "'; drop--.com", "*.example.com",
     "ex\x00ample.com"],
)  # fmt: skip
async def test_what_is_no_domain_is_refused_with_what_was_typed(world: World, host: str) -> None:
    answer = await (await desk(world)).post("/settings/domain", {"host": host})
    assert answer.status_code in (400, 422)
    if answer.status_code == 422:
        assert 'aria-invalid="true"' in answer.text
    async with tenant_tx(PLATFORM) as tx:
        assert await tx.fetchval("select count(*) from tenant_domain where tenant_id = $1", world.tenant.id) == 0


@pytest.mark.parametrize(
    ("typed", "host"),
    [("Shop.Example.COM.", "shop.example.com"), ("权益.公司", "xn--wqvp95a.xn--55qx5d"), ("a_b.com", None), ("中", None)],
)
def test_hosts_are_read_in_their_one_form(typed: str, host: str | None) -> None:
    assert domains.parse_host(typed) == host


async def test_only_those_who_may_change_settings_do(world: World) -> None:
    for role, status in {
        MemberRole.READ_ONLY: 403,
        MemberRole.SUPPORT: 403,
        MemberRole.FINANCE_MAKER: 403,
        MemberRole.OPERATOR: 303,
    }.items():
        staff = await desk(world, role)
        assert (
            await staff.post("/settings/domain", {"host": f"{role.value.replace('_', '-')}.{world.tenant.slug}.com"})
        ).status_code == status
        assert (await staff.get("/settings/domain")).status_code == (200 if status == 303 else 403)
    stranger = await desk(world, tenant=await world.new_tenant())
    assert (await stranger.client.get(f"/m/{world.tenant.slug}/settings/domain")).status_code == 404


async def test_no_more_domains_than_a_shop_needs(world: World) -> None:
    staff = await desk(world)
    answers = [(await staff.post("/settings/domain", {"host": f"d{i}.{world.tenant.slug}.com"})).status_code for i in range(6)]
    assert answers == [303] * 5 + [422]
