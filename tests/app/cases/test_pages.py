"""The list of cases and the page of one: what waits for a person is seen, decided once, and only by those who may."""

from uuid import UUID, uuid4

import pytest

from app.access.models import MemberRole
from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from app.kernel import audit
from tenants.session import tenant_tx
from tests.app.staff import staff
from tests.world import World

pytestmark = [pytest.mark.anyio]
NOTE = {"note": "Talked to the gateway"}


async def opened(world: World, kind: CaseKind = CaseKind.MISMATCH) -> UUID:
    """A case about a payment of an order."""
    product = await world.product()
    await world.stock(product.skus[0].id, 3)
    placed = await world.order(product.skus[0].listing.id)
    facts = {"payment_no": "P261122-7QK2MD4", "amount_minor": 1990, "currency": "CNY", "said_minor": 1, "said_currency": "CNY"}
    async with tenant_tx(world.tenant) as tx:
        await cases.open_case(tx, Trouble(kind, "payment", uuid4(), placed.id, facts))
    return await world.value("select id from staff_case order by created_at desc limit 1")


async def test_open_cases_are_listed_with_what_is_known_and_the_dashboard_leads_there(world: World) -> None:
    case_id = await opened(world)
    owner = await staff(world)
    shown = (await owner.get("/cases")).text
    assert "word does not match a payment" in shown
    assert "the gateway says ¥0.01" in shown
    assert f"/cases/{case_id}" in shown
    assert await world.value("select order_no from shop_order") in shown
    assert "1 case waits for somebody" in (await owner.get("")).text
    order_no = await world.value("select order_no from shop_order")
    assert f"/cases/{case_id}" in (await owner.get(f"/orders/{order_no}")).text


async def test_the_list_is_narrowed_by_kind_and_state_and_refuses_other_words(world: World) -> None:
    await opened(world)
    owner = await staff(world)
    assert "word does not match" in (await owner.get("/cases?kind=mismatch")).text
    assert "No case is open" in (await owner.get("/cases?kind=work_failed")).text
    assert "No case was closed yet" in (await owner.get("/cases?state=closed")).text
    for wrong in ("?kind=nonsense", "?state=torn", "?page=0", "?page=x", "?page=99999999999999999999"):
        assert (await owner.get("/cases" + wrong)).status_code == 400


async def test_closing_needs_a_note_and_happens_once(world: World) -> None:
    case_id = await opened(world)
    support = await staff(world, MemberRole.SUPPORT)
    assert (await support.post(f"/cases/{case_id}/closure", {"note": "x"})).status_code == 422
    assert await world.value("select state from staff_case") == "open"
    for note in ("Talked to the gateway", "A second thought"):
        assert (await support.post(f"/cases/{case_id}/closure", {"note": note})).status_code == 303
    assert await world.rows("select state, note from staff_case") == [{"state": "closed", "note": NOTE["note"]}]
    assert NOTE["note"] in (await support.get("/cases?state=closed")).text
    assert NOTE["note"] in (await support.get(f"/cases/{case_id}")).text
    async with tenant_tx(world.tenant) as tx:
        assert len(await audit.search(tx, action="case.closed")) == 1


async def test_who_only_looks_decides_nothing(world: World) -> None:
    case_id = await opened(world, CaseKind.WRONG_AMOUNT)
    reader = await staff(world, MemberRole.READ_ONLY)
    page = await reader.get(f"/cases/{case_id}")
    assert page.status_code == 200
    assert "/closure" not in page.text
    assert (await reader.post(f"/cases/{case_id}/closure", NOTE)).status_code == 403
    support = await staff(world, MemberRole.SUPPORT)
    assert (await support.post(f"/cases/{case_id}/refund", NOTE)).status_code == 403
    assert await world.value("select state from staff_case") == "open"


async def test_another_merchants_case_is_not_there(world: World) -> None:
    case_id = await opened(world)
    other = await world.new_tenant("Other")
    stranger = await staff(world, tenant=other)
    random_answer = await stranger.get(f"/cases/{uuid4()}")
    for path in (f"/cases/{case_id}", f"/cases/{case_id}/closure", f"/cases/{case_id}/refund"):
        answer = await stranger.get(path) if path.endswith(str(case_id)) else await stranger.post(path, NOTE)
        assert (answer.status_code, random_answer.status_code) == (404, 404)
    assert await world.value("select state from staff_case") == "open"


async def test_one_trouble_is_one_open_case_and_a_later_one_another(world: World) -> None:
    trouble = Trouble(CaseKind.WORK_FAILED, "order", uuid4(), None)
    for _ in range(3):
        async with tenant_tx(world.tenant) as tx:
            await cases.open_case(tx, trouble)
    async with tenant_tx(world.tenant) as tx:
        await cases.settle(tx, CaseKind.WORK_FAILED, trouble.subject_id, note="asked again")
        await cases.open_case(tx, trouble)
    assert await world.rows("select state from staff_case order by created_at") == [{"state": "closed"}, {"state": "open"}]
