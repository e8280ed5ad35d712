"""The merchant's pages of replenishment: asked once, answered, brought by batches, closed; for whom, and for whom not."""

from __future__ import annotations

import pytest

from app.access.models import MemberRole
from app.catalog.models import DeliveryKind
from app.catalog.service import SkuTerms
from app.kernel.tasks import Lane
from tests.app.replenishment.asked import asked, line_of, state_of, supplier
from tests.app.staff import staff
from tests.world import World

pytestmark = [pytest.mark.anyio]
HOME = "/suppliers/replenishments"
KEY = "0123456789abcdef"


async def test_asking_shows_every_fault_at_once_and_asks_once(world: World) -> None:
    first, second = (await world.product(SkuTerms("Month", 1990, warn_below=20), SkuTerms("Year", 9900))).skus
    await world.stock(first.id, 5)
    owner = await staff(world)
    assert "No supplier to ask yet" in (await owner.get(HOME)).text
    north = await supplier(world)
    assert "Nothing asked for yet" in (await owner.get(HOME)).text
    shown = await owner.get(f"{HOME}/new?sku={first.id}&supplier={north.supplier_id}")
    assert f'value="{first.id}" selected' in shown.text
    assert 'value="15"' in shown.text
    assert 'value="14.70"' in shown.text
    assert (await owner.get(f"{HOME}/new?low=1")).text.count(" selected") >= 2
    wrong = await owner.post(
        HOME,
        {"supplier": "", "wanted_on": "2020-01-01", "request_id": KEY, "row-0-sku": str(first.id), "row-0-units": "0", "row-0-cost": "-1",
         "row-1-sku": str(second.id), "row-1-units": "5", "row-1-cost": "1", "row-2-sku": str(second.id), "row-2-units": "5", "row-2-cost": "1"},
    )  # fmt: skip
    assert wrong.status_code == 422
    for sentence in (
        "Choose one of the options.",
        "Choose a day from today on",
        "At least 1.",
        "Type a cost such as",
        "chosen above already",
    ):
        assert sentence in wrong.text, sentence
    form = {
        "supplier": str(north.supplier_id),
        "request_id": KEY,
        "row-0-sku": str(first.id),
        "row-0-units": "15",
        "row-0-cost": "14",
    }
    more = await owner.post(HOME, form | {"do": "more"})
    assert more.status_code == 200
    assert 'name="row-5-sku"' in more.text
    assert "Choose at least one SKU" in (await owner.post(HOME, form | {"row-0-sku": ""})).text
    answers = [await owner.post(HOME, form) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    assert await world.value("select count(*) from replenishment") == 1
    assert await world.value("select count(*) from audit_entry where action = 'replenishment.asked'") == 1
    foreign = (await world.product(tenant=await world.new_tenant("Other"))).skus[0]
    assert "not there any more" in (await owner.post(HOME, form | {"request_id": KEY + "1", "row-0-sku": str(foreign.id)})).text


async def test_lists_are_filtered_by_state_and_supplier_in_the_address(world: World) -> None:
    sku = (await world.product()).skus[0]
    north, south = await supplier(world), await supplier(world, "Southbank")
    no, other = await asked(world, north, (sku.id, 10)), await asked(world, south, (sku.id, 20), confirmed=True)
    owner = await staff(world)
    listed = (await owner.get(HOME)).text
    assert no in listed
    assert other in listed
    assert other not in (await owner.get(f"{HOME}?state=asked")).text
    assert no not in (await owner.get(f"{HOME}?supplier={south.supplier_id}")).text
    empty = await owner.get(f"{HOME}?state=declined&supplier={south.supplier_id}")
    assert "Nothing matches" in empty.text
    assert "All in all there are 2." in empty.text
    assert "<html" not in (await owner.get(HOME, part=True)).text
    for odd in ("state=odd", "supplier=odd", "before=odd"):
        assert (await owner.get(f"{HOME}?{odd}")).status_code == 404
    for path in (f"/suppliers/{north.supplier_id}", "/suppliers", "/card-pools", f"/card-pools/{sku.id}", "/stock-report"):
        assert "/suppliers/replenishments" in (await owner.get(path)).text, path


async def test_what_arrives_is_counted_from_batches_at_the_agreed_cost(world: World) -> None:
    sku = (await world.product()).skus[0]
    north = await supplier(world)
    no = await asked(world, north, (sku.id, 10), confirmed=True)
    owner, line = await staff(world), await line_of(world, no)
    here = f"{HOME}/{no}"
    imports = f"{here}/lines/{line}/imports"
    assert "agreed cost of ¥14.70" in (await owner.get(imports)).text
    assert "There is no line in it." in (await owner.post(imports)).text
    answer = await owner.post(imports, {"keys": "\n".join(f"KEY-{n:04d}-AAAA" for n in range(4)) + "\nKEY-0000-AAAA"})
    assert answer.status_code == 303
    await world.work()
    batch = answer.headers["location"].removeprefix(owner.base)
    assert await state_of(world, no) == "confirmed"
    assert here in (await owner.get(batch)).text
    assert (await owner.post(f"{batch}/confirmation")).status_code == 303
    await world.work()
    assert await state_of(world, no) == "partly_received"
    assert "6 missing" in (await owner.get(here)).text
    known = await world.stock(sku.id, 7)
    assert known in (await owner.get(here)).text
    for _ in range(2):
        assert (await owner.post(f"{here}/lines/{line}/batches", {"batch": known})).status_code == 303
    assert await state_of(world, no) == "done"
    assert "1 too many" in (await owner.get(here)).text
    assert await world.value("select count(*) from replenishment_batch") == 2
    late = await world.stock(sku.id, 1)
    other = await asked(world, north, (sku.id, 10), confirmed=True)
    assert late in (await owner.get(f"{HOME}/{other}")).text
    await world.rows("update import_batch set created_at = now() - interval '2 days' where batch_no = $1 returning 1", late)
    assert late not in (await owner.get(f"{HOME}/{other}")).text
    assert (await owner.post(f"{here}/lines/{line}/batches", {"batch": late})).status_code == 409


async def test_other_goods_other_costs_and_other_lines_batches_are_not_counted(world: World) -> None:
    sku, year = (await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 9900))).skus
    north = await supplier(world)
    no, second = [await asked(world, north, (sku.id, 10), confirmed=True) for _ in range(2)]
    owner, line = await staff(world), await line_of(world, no)
    link = f"{HOME}/{no}/lines/{line}/batches"
    assert "of other goods" in (await owner.post(link, {"batch": await world.stock(year.id, 1)})).text
    dear = await world.stock(sku.id, 1)
    await world.rows("update import_batch set unit_cost = 15 where batch_no = $1 returning 1", dear)
    await world.rows(
        "update card_key set unit_cost = 15 where batch_id = (select id from import_batch where batch_no = $1) returning 1", dear
    )
    refused = await owner.post(link, {"batch": dear})
    assert refused.status_code == 422
    assert "came in at ¥15.00, agreed were ¥14.70" in refused.text
    taken = await world.stock(sku.id, 1)
    assert (await owner.post(link, {"batch": taken})).status_code == 303
    assert (
        await owner.post(f"{HOME}/{second}/lines/{await line_of(world, second)}/batches", {"batch": taken})
    ).status_code == 422
    assert (await owner.post(link, {"batch": "B261129-AAAAAAA"})).status_code == 404
    waiting = await owner.post(f"/card-pools/{sku.id}/imports", {"keys": "KEY-0001-ZZZZ", "unit_cost": "99"})
    batch_no = waiting.headers["location"].rpartition("/")[2]
    assert (await owner.post(link, {"batch": batch_no})).status_code == 303
    assert await world.value("select unit_cost::text from import_batch where batch_no = $1", batch_no) == "14.700000"


async def test_staff_write_answers_down_cancel_and_close(world: World) -> None:
    sku = (await world.product()).skus[0]
    box = f"orders-{world.tenant.slug}@northbank.example"
    north = await supplier(world, email=box)
    no, other = [await asked(world, north, (sku.id, 10)) for _ in range(2)]
    owner, line = await staff(world), await line_of(world, no)
    assert (await owner.post(f"{HOME}/{no}/closure")).status_code == 409
    answer = {f"units-{line}": "10", "promised_on": "2099-01-01"}
    assert "at most a year ahead" in (await owner.post(f"{HOME}/{no}/confirmation", answer)).text
    shown = await owner.get(f"{HOME}/{no}")
    assert "Did he answer elsewhere?" in shown.text
    day = shown.text.partition('name="promised_on"')[0].rpartition('value="')[2][:10]
    assert (await owner.post(f"{HOME}/{no}/confirmation", answer | {"promised_on": day})).status_code == 303
    await world.work(Lane.MESSAGES)
    assert await world.value("select count(*) from alert") == 0
    await owner.post(f"{HOME}/{no}/lines/{line}/batches", {"batch": await world.stock(sku.id, 3)})
    for _ in range(2):
        assert (await owner.post(f"{HOME}/{no}/closure")).status_code == 303
    assert await state_of(world, no) == "done"
    assert "7 missing" in (await owner.get(f"{HOME}/{no}")).text
    assert "Fill this in" in (await owner.post(f"{HOME}/{other}/cancellation", {"reason": "no"})).text
    for _ in range(2):
        assert (await owner.post(f"{HOME}/{other}/cancellation", {"reason": "We have plenty"})).status_code == 303
    await world.work(Lane.MESSAGES)
    mails = [mail["subject"] for mail in world.outbox.messages(box)]
    assert sum("no more" in subject for subject in mails) == 1
    assert "We have plenty" in (await owner.get(f"{HOME}/{other}")).text
    again = await owner.get(f"{HOME}/new?again={other}")
    assert f'value="{sku.id}" selected' in again.text


async def test_who_may_and_whose_it_is(world: World) -> None:
    sku = (await world.product()).skus[0]
    north = await supplier(world, email="orders@northbank.example")
    no = await asked(world, north, (sku.id, 10))
    reader = await staff(world, MemberRole.READ_ONLY)
    page = await reader.get(f"{HOME}/{no}")
    assert page.status_code == 200
    assert "/supply/" not in page.text
    his = (await reader.get(f"/suppliers/{north.supplier_id}")).text
    assert "/supply/" not in his
    assert "orders@northbank.example" not in his
    assert "/supply/" in (await (await staff(world)).get(f"/suppliers/{north.supplier_id}")).text
    for path in (f"{HOME}/{no}/cancellation", f"{HOME}/{no}/messages", f"/suppliers/{north.supplier_id}/desk", HOME):
        assert (await reader.post(path, {"reason": "mine now", "text": "x"})).status_code == 403
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    link = await world.value("select token_hash from supplier_desk")
    for path in (f"{HOME}/{no}", f"{HOME}/new?again={no}"):
        assert (await stranger.get(path)).status_code == 404
    for path in (
        f"{HOME}/{no}/cancellation",
        f"/suppliers/{north.supplier_id}/desk",
        f"/suppliers/{north.supplier_id}/desk/revocation",
    ):
        assert (await stranger.post(path, {"reason": "mine now"})).status_code == 404
    assert await world.value("select token_hash from supplier_desk") == link
    assert await world.value("select count(*) from supplier where email_masked = 'ord***@northbank.example'") == 1


async def test_the_page_of_a_sku_says_whom_it_asks(world: World) -> None:
    sku = (await world.product()).skus[0]
    ticket = (
        await world.product(SkuTerms("Ticket", 100), name="Ticket", delivery_kind=DeliveryKind.VOUCHER, on_sale=False)
    ).skus[0]
    north = await supplier(world)
    owner, here = await staff(world), f"/card-pools/{sku.id}/restock"
    assert "Nobody: only the warning goes out" in (await owner.get(here)).text
    wrong = await owner.post(here, {"supplier": str(north.supplier_id), "units": "none", "cost": ""})
    assert wrong.status_code == 422
    for sentence in ("Type a whole number", "Type a cost such as"):
        assert sentence in wrong.text, sentence
    for _ in range(2):
        assert (await owner.post(here, {"supplier": str(north.supplier_id), "units": "30", "cost": "12.5"})).status_code == 303
    assert 'value="12.50"' in (await owner.get(here)).text
    assert (await owner.post(here, {"supplier": str(sku.id), "units": "30", "cost": "12.5"})).status_code == 422
    assert (await owner.post(here, {"supplier": ""})).status_code == 303
    assert await world.value("select count(*) from restock_rule") == 0
    assert (await owner.get(f"/card-pools/{ticket.id}/restock")).status_code == 404
