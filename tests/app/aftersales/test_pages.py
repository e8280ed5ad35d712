"""A buyer's report from his order's page to its end, and the team's queue: seen, decided once, and only by those who may."""

import io
import re
from uuid import UUID, uuid4

import pytest
from PIL import Image

from app.access.models import MemberRole
from app.kernel import audit
from app.kernel.vault import keyring
from app.ordering.placing import Placed
from tenants.session import tenant_tx
from tests.app.aftersales.cases import policy, reported, sold, state, units
from tests.app.staff import Staff, staff
from tests.app.storefront.buyer import Buyer, words
from tests.world import World

pytestmark = [pytest.mark.anyio]


async def page_of(world: World, placed: Placed) -> str:
    async with tenant_tx(world.tenant) as tx:
        signature = (await keyring(tx)).link_signature("order", placed.id)
    return f"/orders/{placed.order_no}/{signature}"


async def help_of(world: World, placed: Placed, unit_no: int = 1) -> str:
    unit = (await units(world, placed))[unit_no - 1]
    return f"{await page_of(world, placed)}/help/{unit.order_line_id}/{unit_no}"


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "white").save(out, "PNG")
    return out.getvalue()


async def desk(world: World, placed: Placed, role: MemberRole = MemberRole.OWNER) -> tuple[Staff, str, UUID]:
    """Somebody of the team at a reported case: the browser, its path, and its id."""
    case_id = await reported(world, placed)
    case_no = await world.value("select case_no from after_sale_case where id = $1", case_id)
    return await staff(world, role), f"/after-sales/{case_no}", case_id


async def test_a_buyer_tries_the_steps_then_reports_and_reads_how_it_stands(world: World) -> None:
    await policy(world, auto_most_minor=5000)
    placed = await sold(world)
    buyer, order_path, help_path = Buyer(world.client()), await page_of(world, placed), await help_of(world, placed)
    assert help_path in (await buyer.get(order_path)).text
    tried = words((await buyer.get(help_path)).text)
    assert "Copy the key with the button beside it" in tried
    answer = await buyer.post(help_path, f"{help_path}/answer", helped="no")
    assert answer.headers["location"].endswith("?step=report")
    assert await world.rows("select has_helped from guide_answer") == [{"has_helped": False}]
    nothing = await buyer.post(help_path, f"{help_path}/report", complaint="nonsense")
    assert nothing.status_code == 422
    token = re.search(r'name="csrf-token" content="([^"]+)"', (await buyer.get(help_path)).text)
    assert token
    sent = {"_csrf": token[1], "complaint": "invalid", "words": "It says KEY-1 is unknown"}
    bad = await buyer.client.post(f"{help_path}/report", data=sent, files={"picture": ("a.png", b"<svg/>", "image/png")})
    assert (bad.status_code, "f-picture-error" in bad.text) == (422, True)
    for _ in range(2):
        done = await buyer.client.post(f"{help_path}/report", data=sent, files={"picture": ("a.png", picture(), "image/png")})
        assert done.status_code == 303
    assert await world.value("select count(*) from after_sale_case") == 1
    assert "Your replacement is being fetched" in words((await buyer.get(order_path)).text)
    await world.work()
    shown = words((await buyer.get(order_path)).text)
    assert "It was replaced" in shown
    assert "It says KEY-1 is unknown" in shown
    sealed = await world.value("select body from after_sale_message")
    assert b"KEY-1" not in sealed
    assert b"WEBP" not in await world.value("select body from after_sale_picture")


async def test_the_steps_that_helped_are_counted(world: World) -> None:
    placed = await sold(world)
    buyer, help_path = Buyer(world.client()), await help_of(world, placed)
    await buyer.post(help_path, f"{help_path}/answer", helped="yes")
    owner = await staff(world)
    assert "100%" in words((await owner.get("/after-sales")).text)
    product_id = await world.value("select id from product")
    own = {"steps": "Turn it off\nand on again", "settles_itself": "yes"}
    assert (await owner.post(f"/products/{product_id}/help", own)).status_code == 303
    assert "and on again" in (await buyer.get(help_path)).text
    assert "100% were helped" in words((await owner.get(f"/products/{product_id}/help")).text)
    assert (await owner.post(f"/products/{product_id}/help", {"steps": "x\n" * 13})).status_code == 422
    reader = await staff(world, MemberRole.READ_ONLY)
    assert (await reader.post(f"/products/{product_id}/help", own)).status_code == 403


async def test_the_queue_lists_what_waits_and_filters_by_its_address(world: World) -> None:
    placed = await sold(world)
    owner, path, _ = await desk(world, placed)
    case_no = path.rpartition("/")[2]
    for query in ("", "?view=open", f"?q={case_no}", f"?q={placed.order_no}", "?complaint=invalid"):
        assert case_no in (await owner.get(f"/after-sales{query}")).text, query
    assert case_no not in (await owner.get("/after-sales?view=replaced")).text
    assert "Clear filters" in (await owner.get("/after-sales?complaint=other")).text
    for wrong in ("?view=nonsense", "?complaint=x", "?page=0", "?batch=1", "?other=1"):
        assert (await owner.get(f"/after-sales{wrong}")).status_code == 400
    assert "case waits for the team" in words((await owner.get("")).text)
    assert f"/after-sales/{case_no}" in (await owner.get(f"/orders/{placed.order_no}")).text


async def test_a_case_is_replaced_from_its_page_once(world: World) -> None:
    placed = await sold(world)
    support, path, case_id = await desk(world, placed, MemberRole.SUPPORT)
    page = (await support.get(path)).text
    assert "Refund" not in words(page).replace("Refunding", "")
    form = (await support.get(f"{path}/replacement", part=True)).text
    assert "<html" not in form
    assert "claim over ¥14.70" in words(form)
    assert (await support.post(f"{path}/replacement", {"reason": ""})).status_code == 422
    assert (await support.post(f"{path}/refund", {"reason": "x"})).status_code == 403
    for _ in range(2):
        assert (await support.post(f"{path}/replacement", {"reason": "invalid at the site"})).status_code == 303
    await world.work()
    assert await state(world, case_id) == "replaced"
    after = words((await support.get(path)).text)
    assert "This case is over" in after
    assert "The replacement cost ¥14.70" in after
    async with tenant_tx(world.tenant) as tx:
        assert len(await audit.search(tx, action="after_sale.replace")) == 1


async def test_a_no_has_a_reason_and_the_buyer_objects_once(world: World) -> None:
    placed = await sold(world)
    owner, path, case_id = await desk(world, placed)
    buyer, order_path = Buyer(world.client()), await page_of(world, placed)
    assert (await owner.post(f"{path}/rejection", {"text": " "})).status_code == 422
    assert (await owner.post(f"{path}/rejection", {"reply": "We looked.", "text": "It was used on Monday."})).status_code == 303
    assert "It was used on Monday." in words((await buyer.get(order_path)).text)
    objection = f"{order_path}/reports/{case_id}/objection"
    assert (await buyer.post(order_path, objection, words="Not by me")).status_code == 303
    assert await state(world, case_id) == "awaiting_staff"
    assert "Not by me" in (await owner.get(path)).text
    assert (await owner.post(f"{path}/rejection", {"text": "Still no"})).status_code == 303
    assert (await buyer.post(order_path, objection, words="But")).status_code == 409
    assert "Ask for another look" not in (await buyer.get(order_path)).text


async def test_a_question_waits_for_the_buyer_and_his_answer_for_the_team(world: World) -> None:
    placed = await sold(world)
    owner, path, case_id = await desk(world, placed)
    buyer, order_path = Buyer(world.client()), await page_of(world, placed)
    assert (await owner.post(f"{path}/questions", {"text": "Which site?"})).status_code == 303
    assert await state(world, case_id) == "awaiting_buyer"
    assert "Which site?" in words((await buyer.get(order_path)).text)
    assert (
        await buyer.post(order_path, f"{order_path}/reports/{case_id}/messages", words="The one you named")
    ).status_code == 303
    assert await state(world, case_id) == "awaiting_staff"
    assert (await owner.post(f"{path}/notes", {"note": "looks honest"})).status_code == 303
    assert "looks honest" in (await owner.get(path)).text
    assert "looks honest" not in (await buyer.get(order_path)).text
    assert (await buyer.post(order_path, f"{order_path}/reports/{case_id}/withdrawal")).status_code == 303
    assert await state(world, case_id) == "withdrawn"


async def test_strangers_find_nothing_and_readers_change_nothing(world: World) -> None:
    placed = await sold(world)
    _, path, case_id = await desk(world, placed)
    other = await staff(world, tenant=await world.new_tenant("Other"))
    reader = await staff(world, MemberRole.READ_ONLY)
    assert (await reader.get(path)).status_code == 200
    for deed in ("replacement", "refund", "rejection", "questions", "checks", "notes", "messages"):
        assert (await other.post(f"{path}/{deed}", {"reason": "x", "text": "x", "note": "x"})).status_code == 404
        assert (await reader.post(f"{path}/{deed}", {"reason": "x", "text": "x", "note": "x"})).status_code == 403
    assert await state(world, case_id) == "awaiting_staff"
    buyer = Buyer(world.client())
    second = await sold(world, contact="13900139000")
    elsewhere = await page_of(world, second)
    for what in ("messages", "objection", "withdrawal"):
        assert (await buyer.post(elsewhere, f"{elsewhere}/reports/{case_id}/{what}", words="mine")).status_code == 404
    strange = f"{elsewhere}/help/{uuid4()}/1"
    assert (await buyer.get(strange)).status_code == 404


async def test_rules_are_kept_and_wrong_ones_are_told_all_at_once(world: World) -> None:
    owner = await staff(world)
    wrong = await owner.post("/after-sales/settings", {"auto_most": "x", "staff_hours": "0", "prefers": "both"})
    assert wrong.status_code == 422
    for field in ("auto_most", "staff_hours", "prefers"):
        assert f"f-{field}-error" in wrong.text
    right = {
        "auto_most": "30",
        "prefers": "refund",
        "auto_per_buyer": "3",
        "auto_per_day": "9",
        "report_days": "14",
        "staff_hours": "8",
    }
    right |= {"buyer_hours": "48", "rate_percent": "3", "rate_least": "4", "replies": "Sorry\nThank you"}
    assert (await owner.post("/after-sales/settings", right)).status_code == 303
    assert await world.rows("select auto_most_minor, prefers, rate_bp, replies::text as replies from after_sale_policy") == [
        {"auto_most_minor": 3000, "prefers": "refund", "rate_bp": 300, "replies": '["Sorry", "Thank you"]'}
    ]


async def test_an_accepted_claim_is_booked_once(world: World) -> None:
    placed = await sold(world)
    owner, path, _ = await desk(world, placed)
    await owner.post(f"{path}/replacement", {"reason": "invalid"})
    claim_id = await world.value("select id from supplier_claim")
    assert "Seller of batch" in (await owner.get("/after-sales/claims")).text
    decision = f"/after-sales/claims/{claim_id}/decision"
    assert (await owner.post(decision, {"decision": "accepted", "note": ""})).status_code == 422
    for decided in ("accepted", "rejected", "accepted"):
        assert (await owner.post(decision, {"decision": decided, "note": "credit note 7"})).status_code == 303
    assert await world.rows("select state, note from supplier_claim") == [{"state": "accepted", "note": "credit note 7"}]
    assert await world.rows("select amount_minor from transfer where kind = 'supplier_credit'") == [{"amount_minor": 1470}]
    assert "credit note 7" in (await owner.get("/after-sales/claims?state=accepted")).text
    await world.work()
