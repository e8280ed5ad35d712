"""The operator's console: who may open it, and what a suspension and a look as the merchant do."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import httpx2
import pytest

from app.kernel import audit
from app.ordering import placing
from app.ordering.placing import ShopClosed
from tenants import routing
from tenants.directory import PLATFORM
from tenants.session import tenant_tx
from tests.app.console.people import browser_of, csrf, member, operator_of, person
from tests.world import World

pytestmark = [pytest.mark.anyio]
PAGES = ["/console", "/console/tasks", "/console/migrations", "/console/health", "/console/audit", "/console/audit?check=1"]
PARTIAL = {"hx-request": "true", "hx-request-type": "partial"}


async def suspend(world: World, client: httpx2.AsyncClient, **fields: str) -> httpx2.Response:
    path = f"/console/tenants/{world.tenant.id}"
    sent = {"typed_slug": world.tenant.slug, "suspend_reason": "Chargebacks, case 118", **await csrf(client, path), **fields}
    return await client.post(f"{path}/suspension", data=sent)


async def view(world: World, client: httpx2.AsyncClient) -> httpx2.Response:
    path = f"/console/tenants/{world.tenant.id}"
    return await client.post(f"{path}/view", data={"view_reason": "Support case 204", **await csrf(client, path)})


@pytest.mark.parametrize("path", PAGES)
async def test_pages_open_for_an_operator(world: World, path: str) -> None:
    client = await operator_of(world)
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.text.count("<h1>") == 1


@pytest.mark.parametrize("path", ["/console/tasks", "/console/health"])
async def test_live_figures_come_as_fragments_too(world: World, path: str) -> None:
    client = await operator_of(world)
    part = (await client.get(path, headers=PARTIAL)).text
    assert "<html" not in part
    assert part.strip() in (await client.get(path)).text or 'hx-trigger="every 5s"' in part


@pytest.mark.parametrize("path", [*PAGES, "/console/tenants/00000000-0000-4000-8000-000000000001"])
async def test_the_console_is_not_there_for_others(world: World, path: str) -> None:
    assert (await world.client("app").get(path)).status_code in (303, 401)
    assert (await (await browser_of(world, await member(world.tenant))).get(path)).status_code == 404


async def test_an_operator_without_second_factor_is_sent_to_set_it_up(world: World) -> None:
    client = await browser_of(world, await person(is_operator=True, has_second_factor=False))
    answer = await client.get("/console")
    assert answer.status_code == 403
    assert "second factor" in answer.text


@pytest.mark.parametrize("change", ["suspension", "reopening", "view"])
async def test_others_cannot_act(world: World, change: str) -> None:
    client = await browser_of(world, await member(world.tenant))
    fields = await csrf(client, "/console/audit")
    sent = {
        "typed_slug": world.tenant.slug,
        "suspend_reason": "because",
        "reopen_reason": "because",
        "view_reason": "because",
        **fields,
    }
    assert (await client.post(f"/console/tenants/{world.tenant.id}/{change}", data=sent)).status_code == 404
    assert (await routing.by_slug(world.tenant.slug)) == world.tenant


async def test_the_list_is_searched_by_name_and_address_and_state(world: World) -> None:
    other = await world.new_tenant("Banshan Tea 100%_", with_gateway=False)
    client = await operator_of(world)
    for words in ("banshan tea", "100%_", other.slug):
        text = (await client.get("/console", params={"q": words})).text
        assert f"/console/tenants/{other.id}" in text, words
        assert f"/console/tenants/{world.tenant.id}" not in text, words
    assert "No merchant" not in (await client.get("/console", params={"q": "%%"})).text
    assert "Nothing matches" in (await client.get("/console", params={"q": "nobody has this"})).text
    assert str(other.id) not in (await client.get("/console", params={"q": other.slug, "state": "suspended"})).text


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=9999999999999999", "page=１", "state=';--", "q=%00", "q=%ED%A0%80", "q=" + "x" * 5000]
)
async def test_nonsense_in_the_address_is_passed_over(world: World, query: str) -> None:
    client = await operator_of(world)
    assert (await client.get(f"/console?{query}")).status_code == 200
    assert (await client.get(f"/console/audit?before={query[-20:]}&action={query[-20:]}")).status_code == 200


async def test_a_tenant_that_is_not_there(world: World) -> None:
    client = await operator_of(world)
    spare = await world.value("select id from tenant where state = 'spare' limit 1", tenant=PLATFORM)
    for tenant_id in (uuid4(), spare, PLATFORM.id, "1"):
        assert (await client.get(f"/console/tenants/{tenant_id}")).status_code == 404


async def test_a_suspension_closes_the_shop_at_once_and_stands_in_both_chains(world: World) -> None:
    product = await world.product()
    request = await world.request(product.skus[0].listing.id)
    client = await operator_of(world)
    answer = await suspend(world, client)
    assert answer.status_code == 303
    suspended = await routing.by_slug(world.tenant.slug)
    assert suspended is not None
    assert not suspended.is_open
    with pytest.raises(ShopClosed):
        await placing.place(suspended, request)
    for home in (world.tenant, PLATFORM):
        async with tenant_tx(home) as tx:
            entry = (await audit.search(tx, action="tenant.suspended", limit=1))[0]
            assert (entry["subject_id"], entry["reason"], entry["actor_kind"]) == (
                world.tenant.id,
                "Chargebacks, case 118",
                "operator",
            )
            assert await audit.first_broken(tx) is None
    page = (await client.get(f"/console/tenants/{world.tenant.id}")).text
    assert "Chargebacks, case 118" in page
    assert "Reopen" in page


async def test_suspending_twice_is_written_once(world: World) -> None:
    client = await operator_of(world)
    first = await suspend(world, client)
    again = await suspend(world, client, suspend_reason="Another click")
    assert (first.status_code, again.status_code) == (303, 303)
    assert await world.value("select count(*) from audit_entry where action = 'tenant.suspended'") == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"typed_slug": "something-else"}, "exactly as it stands"),
        ({"suspend_reason": ""}, "at least 2"),
        ({"suspend_reason": "", "typed_slug": "x"}, "exactly as it stands"),
        ({"suspend_reason": "", "typed_slug": "x"}, "at least 2"),
        ({"suspend_reason": "x" * 301}, "at most 300"),
        ({"suspend_reason": "a\nb\nc d"}, "cannot be used"),
    ],
)
async def test_a_suspension_needs_the_address_and_a_reason(world: World, fields: dict[str, str], said: str) -> None:
    client = await operator_of(world)
    answer = await suspend(world, client, **fields)
    assert answer.status_code == 422
    assert said in answer.text
    assert "Chargebacks" in answer.text or "suspend_reason" in fields
    assert (await routing.by_slug(world.tenant.slug)) == world.tenant


async def test_a_reopened_shop_sells_again(world: World) -> None:
    client = await operator_of(world)
    await suspend(world, client)
    path = f"/console/tenants/{world.tenant.id}"
    answer = await client.post(f"{path}/reopening", data={"reopen_reason": "Cleared up", **await csrf(client, path)})
    assert answer.status_code == 303
    tenant = await routing.by_slug(world.tenant.slug)
    assert tenant is not None
    assert tenant.is_open
    events = await world.rows("select event, note from history where subject_id = $1 order by at", tenant.id, tenant=PLATFORM)
    assert [event["event"] for event in events] == ["tenant.suspended", "tenant.active"]


async def test_a_look_as_the_merchant_is_bounded_read_only_and_doubly_recorded(world: World) -> None:
    client = await operator_of(world)
    assert (await client.get(f"/m/{world.tenant.slug}")).status_code == 404
    answer = await view(world, client)
    assert answer.headers["location"] == f"/m/{world.tenant.slug}"
    for home in (world.tenant, PLATFORM):
        entry = (
            await world.rows(
                "select * from audit_entry where action = 'tenant.view_started' order by seq desc limit 1", tenant=home
            )
        )[0]
        assert (entry["reason"], entry["subject_id"]) == ("Support case 204", world.tenant.id)
    until = await world.value(
        "select viewing_until - now() from user_session where viewing_tenant_id = $1", world.tenant.id, tenant=PLATFORM
    )
    assert timedelta(minutes=29) < until <= timedelta(minutes=30)
    shown = (await client.get(f"/m/{world.tenant.slug}/orders")).text
    assert "Read only until" in shown
    assert 'action="/view/end"' in shown
    form = {"name": "Music", **await csrf(client)}
    assert (await client.post(f"/m/{world.tenant.slug}/categories", data=form)).status_code == 403
    for home in (world.tenant, PLATFORM):
        entry = (
            await world.rows("select * from audit_entry where action = 'tenant.viewed' order by seq desc limit 1", tenant=home)
        )[0]
        assert entry["reason"] == "Support case 204"
    ended = await client.post("/view/end", data=await csrf(client))
    assert ended.headers["location"] == f"/console/tenants/{world.tenant.id}"
    assert await world.value("select count(*) from audit_entry where action = 'tenant.view_ended'") == 1


async def test_a_look_ends_by_itself(world: World) -> None:
    client = await operator_of(world)
    await view(world, client)
    assert (await client.get(f"/m/{world.tenant.slug}/orders")).status_code == 200
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("update user_session set viewing_until = now() where viewing_tenant_id = $1", world.tenant.id)
    assert (await client.get(f"/m/{world.tenant.slug}/orders")).status_code == 404


async def test_a_look_opens_one_merchant_alone(world: World) -> None:
    other = await world.new_tenant("Other", with_gateway=False)
    client = await operator_of(world)
    await view(world, client)
    assert (await client.get(f"/m/{other.slug}/orders")).status_code == 404


async def test_a_failed_task_is_shown_and_tried_again(world: World) -> None:
    task_id = uuid4()
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(
            "insert into task (id, kind, lane, subject_id, dedupe, run_at, state, attempts, last_error)"
            " values ($1, 'payments.ask', 'orders', $1, $2, now(), 'failed', 12, 'NoSuchGateway: it is gone')",
            task_id, f"payments.ask:{task_id}",
        )  # fmt: skip
    from app.console import lookout

    lookout.forget()
    client = await operator_of(world)
    text = (await client.get("/console/tasks")).text
    assert "NoSuchGateway: it is gone" in text
    path = f"/console/tasks/{world.tenant.id}/{task_id}/retries"
    fields = await csrf(client)
    assert (await client.post(path, data=fields)).status_code == 303
    row = (await world.rows("select state, attempts from task where id = $1", task_id))[0]
    assert (row["state"], row["attempts"]) == ("waiting", 0)
    assert (await client.post(path, data=fields)).status_code == 409
    assert (await client.post(f"/console/tasks/{world.tenant.id}/{uuid4()}/retries", data=fields)).status_code == 404
    assert await world.value("select count(*) from audit_entry where action = 'task.retried'") == 1


async def test_a_lane_that_lags_says_by_how_much(world: World) -> None:
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(
            "insert into task (id, kind, lane, dedupe, run_at) values ($1, 'tests.nobody', 'bulk', 'tests.nobody', now() - interval '2 hours')",
            uuid4(),
        )
    from app.console import lookout

    lookout.forget()
    text = (await (await operator_of(world)).get("/console/tasks")).text
    lag = re.search(r"Bulk work</td>.*?>([\d,]+) s</span>", text, re.DOTALL)
    assert lag
    assert 7200 <= int(lag[1].replace(",", "")) < 7200 + 600
    await world.rows("delete from task where kind = 'tests.nobody' returning 1")


async def test_a_schema_left_behind_is_listed(world: World) -> None:
    client = await operator_of(world)
    assert world.tenant.schema not in (await client.get("/console/migrations")).text
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("update tenant set revision = '0000' where id = $1", world.tenant.id)
    assert world.tenant.schema in (await client.get("/console/migrations")).text


async def test_the_chain_names_the_first_entry_that_was_touched(world: World) -> None:
    import asyncpg

    client = await operator_of(world)
    await suspend(world, client)
    owner = await asyncpg.connect(world.urls.owner_url)
    seq = await owner.fetchval("select max(seq) from public.audit_entry")
    before = await owner.fetchval("select reason from public.audit_entry where seq = $1", seq)
    try:
        await owner.execute("update public.audit_entry set reason = 'nothing' where seq = $1", seq)
        assert f"breaks at entry {seq}" in (await client.get("/console/audit?check=1")).text
    finally:
        await owner.execute("update public.audit_entry set reason = $2 where seq = $1", seq, before)
        await owner.close()
    assert "The chain is whole" in (await client.get("/console/audit?check=1")).text


async def test_a_home_that_does_not_answer_is_named_and_hides_nothing(world: World) -> None:
    import asyncpg

    from app.console import lookout

    client, owner = await operator_of(world), await asyncpg.connect(world.urls.owner_url)
    await owner.execute(f"alter table {world.tenant.schema}.task rename to task_away")
    lookout.forget()
    try:
        assert "1 home does not answer" in (await client.get("/console/tasks")).text
    finally:
        await owner.execute(f"alter table {world.tenant.schema}.task_away rename to task")
        await owner.close()
        lookout.forget()
