"""The audit trail: found by what, who, which and when; its chain checked; its file harmless."""

import csv
import io
import re

import pytest

from app.access.models import MemberRole
from app.kernel import audit
from app.kernel.actor import Actor, ActorKind
from app.kernel.ids import new_id
from tenants.session import tenant_tx
from tests.staff import desk, words_of
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
SUBJECT = new_id()


async def written(world: World, number: int = 3) -> None:
    async with tenant_tx(world.tenant) as tx:
        for i in range(number):
            await audit.record(
                tx,
                STAFF,
                "order.refunded",
                subject=("order", SUBJECT),
                reason=f"reason {i}",
                facts={"order_no": f"N261121-000000{i}", "units": i},
            )
        await audit.record(
            tx,
            Actor(ActorKind.OPERATOR, new_id(), "Li"),
            "tenant.viewed",
            subject=("tenant", None),
            facts={"price": {"before": 1, "after": 2}},
        )


def seqs(html: str) -> list[int]:
    return [int(number) for number in re.findall(r'<td class="end dim" data-at="x">(\d+)</td>', html)]


async def test_it_shows_entries_newest_first_with_before_and_after(world: World) -> None:
    await written(world)
    page = await (await desk(world)).get("/audit")
    assert seqs(page.text) == [5, 4, 3, 2, 1]
    text = words_of(page.text)
    assert "1 → 2" in text
    assert "Why : reason 2" in text or "Why: reason 2" in text
    assert "Connected a gateway" in text


async def test_it_is_searched_by_action_actor_object_and_day(world: World) -> None:
    await written(world)
    staff = await desk(world)
    for query, found in {
        "action=order": [4, 3, 2], "action=order.refunded": [4, 3, 2], "actor=li": [5], "actor=ZHOU": [4, 3, 2, 1], f"object={SUBJECT}": [4, 3, 2],
        "object=tenant": [5], "object=0000001": [3], "from=2100-01-01": [], "to=2020-01-01": [], "from=2020-01-01": [5, 4, 3, 2, 1], "before=3": [2, 1],
        "action=%25": [], "actor=%25": [], "actor=_": [],
    }.items():  # fmt: skip
        assert seqs((await staff.get(f"/audit?{query}")).text) == found, query
    assert "None of 5 entries fits this search." in words_of((await staff.get("/audit?actor=nobody")).text)


async def test_pages_follow_the_sequence(world: World) -> None:
    await written(world, 60)
    staff = await desk(world)
    first = await staff.get("/audit?action=order")
    older = re.search(r'href="([^"]*before=\d+[^"]*)"', first.text)
    assert older is not None
    second = await staff.client.get(older[1].replace("&amp;", "&"))
    assert seqs(first.text) + seqs(second.text) == list(range(61, 1, -1))


@pytest.mark.case("H02")
@pytest.mark.parametrize(
    "query",
    [
        "x=1",
        "sort=hash",
        "before=-1",
        "before=x",
        "from=yesterday",
        "from=2026-02-30",
        "action=a&action=b",
        "actor=%00",
        f"actor={'x' * 81}",
        "object=%E2%80%AE",
    ],
)
async def test_any_other_search_is_refused(world: World, query: str) -> None:
    answer = await (await desk(world)).get(f"/audit?{query}")
    assert answer.status_code == 400
    assert "cannot be searched by" in words_of(answer.text)


async def test_the_chain_is_checked_and_the_first_bad_entry_named(world: World) -> None:
    await written(world)
    staff = await desk(world)
    assert "The chain holds" in words_of(await staff.look(await staff.post("/audit/checks")))
    import asyncpg

    owner = await asyncpg.connect(world.urls.owner_url)
    try:
        await owner.execute(f"update {world.tenant.schema}.audit_entry set reason = 'other' where seq = 3")
    finally:
        await owner.close()
    world.may_break.add("INV-13")
    assert "Entry 3 does not fit the chain" in words_of(await staff.look(await staff.post("/audit/checks")))


@pytest.mark.case("H16")
async def test_the_file_holds_what_was_found_and_runs_nothing(world: World) -> None:
    async with tenant_tx(world.tenant) as tx:
        await audit.record(
            tx, STAFF, "order.refunded", subject=("order", SUBJECT), reason='=HYPERLINK("http://x")', facts={"amount_minor": -5}
        )
    staff = await desk(world)
    answer = await staff.post("/audit/exports?action=order")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 1
    assert rows[0]["reason"].startswith("'=")
    last = (await world.rows("select action, facts from audit_entry order by seq desc limit 1"))[0]
    assert last["action"] == "audit.exported"
    assert (await staff.post("/audit/exports?action=order&x=1")).status_code == 400


async def test_roles_and_strangers(world: World) -> None:
    for role in MemberRole:
        may = role in (MemberRole.OWNER, MemberRole.FINANCE_CHECKER)
        staff = await desk(world, role)
        assert (await staff.get("/audit")).status_code == (200 if may else 403)
        assert (await staff.post("/audit/exports")).status_code == (200 if may else 403)
        assert (await staff.post("/audit/checks")).status_code == (303 if may else 403)
    stranger = await desk(world, tenant=await world.new_tenant())
    assert (await stranger.client.get(f"/m/{world.tenant.slug}/audit")).status_code == 404


async def test_no_secret_is_ever_in_it(world: World) -> None:
    """A key through import, sale, reveal and refund; contact and gateway secrets too: none of it is in the trail."""
    product = await world.product()
    await world.stock(product.skus[0].id, ["CANARY-7M2P-CANARY-1", "CANARY-7M2P-CANARY-2"])
    order_no = (await world.bought(product.skus[0].listing.id)).order_no
    staff = await desk(world)
    unit = (await world.rows("select order_line_id, unit_no from delivery_unit"))[0]
    await staff.post(
        f"/orders/{order_no}/reveals", {"line": str(unit["order_line_id"]), "unit": str(unit["unit_no"]), "reason": "asked"}
    )
    await staff.post(f"/orders/{order_no}/refunds", {"stated_minor": "1990", "reason": "asked"})
    await world.work()
    texts = [(await staff.get("/audit")).text, (await staff.post("/audit/exports")).text]
    for text in texts:
        assert "order.refunded" in text
        assert "CANARY-7M2P" not in text
        assert "13800132046" not in text
