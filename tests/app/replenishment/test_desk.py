"""The supplier's desk: what he receives, what he can answer, and what his link does not open."""

from __future__ import annotations

import pytest

from app.kernel import clock
from app.kernel.tasks import Lane
from app.replenishment import desks, receiving, talking
from app.settings import settings
from tenants.session import tenant_tx
from tests.app.replenishment.asked import asked, desk, line_of, state_of, supplier
from tests.app.staff import staff
from tests.attacks.merchant import fingerprint
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio]


async def test_a_supplier_is_mailed_reads_and_confirms_fewer_for_a_day(world: World) -> None:
    sku = (await world.product()).skus[0]
    box = f"orders-{world.tenant.slug}@northbank.example"
    north = await supplier(world, email=box)
    no = await asked(world, north, (sku.id, 100), note="Before the feast, please.")
    await world.work(Lane.MESSAGES)
    mail = world.outbox.wait_for(box)[-1]
    assert f"replenishment {no}" in mail["subject"]
    assert "Skylark Video Month × 100" in mail["text"]
    his = await desk(world, north)
    assert f"{settings().app_url}{his.base}/{no}" in mail["text"]
    assert "Skylark Video Month" in (await his.get()).text
    shown = await his.get(f"/{no}")
    for word in ("Before the feast, please.", "Waits for an answer", "¥14.70"):
        assert word in shown.text, word
    line = await line_of(world, no)
    wrong = await his.post(f"/{no}/confirmation", {f"units-{line}": "101", "promised_on": "2020-01-01"})
    assert wrong.status_code == 422
    for sentence in ("At most 100: that is what is wanted.", "Choose a day from today on"):
        assert sentence in wrong.text, sentence
    none = await his.post(f"/{no}/confirmation", {f"units-{line}": "0", "promised_on": str(clock.business_day())})
    assert "Confirm at least one unit, or decline it." in none.text
    answer = {f"units-{line}": "80", "promised_on": str(clock.business_day())}
    for _ in range(2):
        assert (await his.post(f"/{no}/confirmation", answer)).status_code == 303
    assert (await his.post(f"/{no}/confirmation", answer | {f"units-{line}": "70"})).status_code == 409
    assert (await his.post(f"/{no}/refusal", {"reason": "Changed my mind"})).status_code == 409
    assert await world.value("select confirmed from replenishment_line") == 80
    assert "Confirmed" in (await his.get(f"/{no}")).text
    await world.work(Lane.MESSAGES)
    assert await world.value("select count(*) from alert where template = 'replenishment_answered'") == 1
    shown = await (await staff(world)).get(f"/suppliers/replenishments/{no}")
    assert "Confirmed by the supplier" in shown.text
    assert (await his.post(f"/{no}/sending")).status_code == 303
    assert (await his.post(f"/{no}/sending")).status_code == 303
    assert await state_of(world, no) == "sent"


async def test_a_supplier_declines_with_a_reason(world: World) -> None:
    sku = (await world.product()).skus[0]
    north = await supplier(world)
    no = await asked(world, north, (sku.id, 10))
    his = await desk(world, north)
    assert "Fill this in" in (await his.post(f"/{no}/refusal", {"reason": ""})).text
    for _ in range(2):
        assert (await his.post(f"/{no}/refusal", {"reason": "The maker has stopped it"})).status_code == 303
    assert "The maker has stopped it" in (await his.get(f"/{no}")).text
    assert "The maker has stopped it" in (await (await staff(world)).get(f"/suppliers/replenishments/{no}")).text
    assert "Nothing is asked of you now" in (await his.get()).text
    assert (await his.post(f"/{no}/sending")).status_code == 409


async def test_keys_given_on_the_desk_are_sold_only_after_staff_said_yes_and_never_shown_there(world: World) -> None:
    sku = (await world.product()).skus[0]
    north = await supplier(world)
    no = await asked(world, north, (sku.id, 3))
    line, his = await line_of(world, no), await desk(world, north)
    files = f"/{no}/lines/{line}/files"
    given = {"file": ("keys.txt", b"KEY-0001-AAAA\nKEY-0002-AAAA\nKEY-0003-AAAA\n")}
    early = await his.post(files, files=given)
    assert early.status_code == 409
    assert "the supplier confirms it first" in early.text
    await his.post(f"/{no}/confirmation", {f"units-{line}": "3", "promised_on": str(clock.business_day())})
    assert "They are never shown here." in (await his.get(files)).text
    empty = await his.post(files, {"expires_on": "soon"})
    assert empty.status_code == 422
    for sentence in ("There is no line in it.", "Type a date such as"):
        assert sentence in empty.text, sentence
    assert (await his.post(files, files=given)).status_code == 303
    await world.work()
    assert await world.value("select count(*) from card_key") == 0
    batch_no = await world.value("select batch_no from import_batch where state = 'ready' and unit_cost = 14.7")
    assert await world.value("select count(*) from alert where template = 'replenishment_file'") == 1
    shown = await his.get(f"/{no}")
    assert "waits for the shop" in shown.text
    owner = await staff(world)
    assert batch_no in (await owner.get(f"/suppliers/replenishments/{no}")).text
    assert (await owner.post(f"/imports/{batch_no}/confirmation")).status_code == 303
    await world.work()
    assert await state_of(world, no) == "done"
    shown = await his.get(f"/{no}")
    assert "3 keys taken" in shown.text
    for text in (shown.text, (await his.get()).text, (await his.get(files)).text):
        assert "AAAA" not in text
    assert (await his.post(files, files=given)).status_code == 409


async def test_files_that_wait_are_bounded(world: World) -> None:
    sku = (await world.product()).skus[0]
    north = await supplier(world)
    no = await asked(world, north, (sku.id, 9), confirmed=True)
    his, line = await desk(world, north), await line_of(world, no)
    for n in range(receiving.MOST_WAITING):
        assert (await his.post(f"/{no}/lines/{line}/files", {"keys": f"KEY-{n:04d}-AAAA"})).status_code == 303
    full = await his.post(f"/{no}/lines/{line}/files", {"keys": "KEY-9999-AAAA"})
    assert full.status_code == 409
    assert "wait for the shop to look at them" in full.text


async def test_a_link_opens_that_shops_and_that_suppliers_things_alone(world: World) -> None:
    sku = (await world.product()).skus[0]
    north, south = await supplier(world), await supplier(world, "Southbank")
    no, others = await asked(world, north, (sku.id, 10)), await asked(world, south, (sku.id, 20))
    elsewhere = await world.new_tenant("Elsewhere")
    their_sku = (await world.product(tenant=elsewhere)).skus[0]
    their = await supplier(world, tenant=elsewhere)
    theirs = await asked(world, their, (their_sku.id, 30), tenant=elsewhere)
    his, line = await desk(world, north), await line_of(world, no)
    listed = (await his.get()).text
    assert no in listed
    assert others not in listed
    before = await fingerprint(world.tenant, elsewhere)
    for foreign, its_line in ((others, await line_of(world, others)), (theirs, await line_of(world, theirs, tenant=elsewhere))):
        assert (await his.get(f"/{foreign}")).status_code == 404
        answer = {f"units-{its_line}": "1", "promised_on": str(clock.business_day()), "reason": "Not mine", "text": "Hello"}
        for act in ("confirmation", "refusal", "sending", "messages", f"lines/{its_line}/files", f"lines/{line}/files"):
            assert (await his.post(f"/{foreign}/{act}", answer)).status_code == 404, act
        assert (await his.get(f"/{no}/lines/{its_line}/files")).status_code == 404
    token = his.base.rpartition("/")[2]
    assert (await his.browser.get(f"/supply/{elsewhere.slug}/{token}")).status_code == 404
    assert await fingerprint(world.tenant, elsewhere) == before


async def test_wrong_renewed_and_revoked_links_say_what_to_do_and_are_kept_out_of_search(world: World) -> None:
    north = await supplier(world)
    first = await desk(world, north)
    answer = await first.get()
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    assert 'name="robots" content="noindex, nofollow"' in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"
    async with tenant_tx(world.tenant) as tx:
        assert first.base.rpartition("/")[2].encode() not in await tx.fetchval("select token_hash from supplier_desk")
    owner = await staff(world)
    assert (await owner.post(f"/suppliers/{north.supplier_id}/desk")).status_code == 303
    second = await desk(world, north)
    assert second.base != first.base
    gone = await first.get()
    assert gone.status_code == 404
    assert gone.headers["x-robots-tag"] == "noindex, nofollow"
    assert "Ask the shop that gave it to you for a new one." in gone.text
    assert (await second.get()).status_code == 200
    assert (await owner.post(f"/suppliers/{north.supplier_id}/desk/revocation")).status_code == 303
    assert (await second.get()).status_code == 404
    assert (await second.post("/H261129-ABCDEFG/sending")).status_code == 404


async def test_guesses_at_links_are_counted(world: World) -> None:
    north = await supplier(world)
    his = await desk(world, north)
    guesser = world.client("app")
    statuses = [(await guesser.get(f"/supply/{world.tenant.slug}/{'x' * 21}{n % 10}")).status_code for n in range(32)]
    assert statuses[0] == 404
    assert statuses[-1] == 429
    assert (await his.get()).status_code == 200
    async with tenant_tx(world.tenant) as tx:
        await desks.revoke(tx, north.supplier_id, actor=STAFF)


async def test_both_sides_write_and_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sku = (await world.product()).skus[0]
    box = f"orders-{world.tenant.slug}@northbank.example"
    north = await supplier(world, email=box)
    no = await asked(world, north, (sku.id, 10))
    owner, his = await staff(world), await desk(world, north)
    here = f"/suppliers/replenishments/{no}"
    assert "Fill this in" in (await his.post(f"/{no}/messages", {"text": " "})).text
    assert "Too long" in (await owner.post(f"{here}/messages", {"text": "x" * 1001})).text
    for _ in range(2):
        assert (await his.post(f"/{no}/messages", {"text": "Is <b>Friday</b> well?"})).status_code == 303
    assert (await owner.post(f"{here}/messages", {"text": "Friday is well."})).status_code == 303
    await world.work(Lane.MESSAGES)
    assert await world.value("select count(*) from alert where template = 'replenishment_message'") == 1
    assert any("has written to you" in mail["subject"] for mail in world.outbox.messages(box))
    for shown in (await owner.get(here), await his.get(f"/{no}")):
        assert shown.text.index("Is &lt;b&gt;Friday&lt;/b&gt; well?") < shown.text.index("Friday is well.")
    monkeypatch.setattr(talking, "MOST_MESSAGES", 2)
    full = await his.post(f"/{no}/messages", {"text": "One more"})
    assert full.status_code == 409
    assert "Go on by mail or on the phone." in full.text
