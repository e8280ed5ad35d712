"""The pages of settling: a statement from upload to an ended difference, a bill whose lines sum to its total; for whom, and for whom not."""

from __future__ import annotations

import csv as csvs
import io
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.access.models import MemberRole
from app.kernel import clock
from app.settlement import closing
from tenants.session import tenant_tx
from tests.app.fulfillment.noticing import PROTOCOL, teller
from tests.app.settlement.purchases import Bought, bought, csv
from tests.app.staff import Staff, staff
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import World

pytestmark = [pytest.mark.anyio]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("pages"), "tango") as started:
        yield started


async def upload(who: Staff, made: Bought, body: bytes, **changes: str) -> Any:
    today = str(clock.business_day())
    form = {"first_day": today, "last_day": today, "currency": "CNY"} | changes
    files = {"file": ("statement.csv", body, "text/csv")} if body else {}
    return await who.post(f"/suppliers/connections/{made.source.connection_id}/statements", form, files=files)


async def test_a_statement_from_upload_to_an_ended_difference(world: World, company: SupplierSimulator) -> None:
    made, owner = await bought(world, company, 2), await staff(world)
    assert "No statement yet" in (await owner.get("/suppliers/settlement")).text
    assert "Import and compare" in (await owner.get(f"/suppliers/connections/{made.source.connection_id}/statements")).text
    body = csv((made.numbers[0], "R1", "12.5", "成功"), (made.numbers[1], "R2", "10", "成功"))
    answer = await upload(owner, made, body)
    assert answer.status_code == 303, answer.text
    assert (await upload(owner, made, body)).headers["location"] == answer.headers["location"]
    await world.work()
    shown = await owner.get(answer.headers["location"].removeprefix(owner.base))
    assert "imported already: nothing was changed" in shown.text
    for word in ("¥22.50", made.numbers[0], "Found among our purchases"):
        assert word in shown.text, word
    part = await owner.get(answer.headers["location"].removeprefix(owner.base), part=True)
    assert "<html" not in part.text
    queue = await owner.get("/suppliers/differences")
    assert queue.text.count("Another amount") == 1
    difference = f"/suppliers/differences/{await world.value('select id from discrepancy')}"
    wrong = await owner.post(f"{difference}/decision", {"state": "gone", "note": ""})
    assert wrong.status_code == 422
    for sentence in ("Choose one of the options.", "Fill this in"):
        assert sentence in wrong.text
    for _ in range(2):
        decided = await owner.post(f"{difference}/decision", {"state": "adjusted", "note": "price list of May"})
        assert decided.status_code == 303
    shown = await owner.get(difference)
    for word in ("supplier_payable", "¥2.50", "price list of May"):
        assert word in shown.text, word
    assert (await owner.post(f"{difference}/decision", {"state": "disputed", "note": "too late"})).status_code == 409
    assert "None in this state" in (await owner.get("/suppliers/differences?state=disputed")).text
    assert "Nothing to decide" in (await owner.get("/suppliers/differences", part=True)).text
    assert (await owner.get("/suppliers/differences?state=odd")).status_code == 404


async def test_every_fault_of_the_form_at_once_and_the_files_own(world: World, company: SupplierSimulator) -> None:
    made, owner = await bought(world, company, 1), await staff(world)
    answer = await upload(owner, made, b"", first_day="x", currency="yuan")
    assert answer.status_code == 422
    for sentence in ("Choose the statement&#39;s file.", "Type a date such as", "This value cannot be used"):
        assert sentence in answer.text, sentence
    assert "not before the first" in (await upload(owner, made, b"a", last_day="2020-01-01")).text
    unclear = await upload(owner, made, b"mine,money\nA,1\n", amount="cost")
    assert unclear.status_code == 422
    for sentence in ("mine, money", "This column is not in the file", "Name the column of our number"):
        assert sentence in unclear.text, sentence
    bad = await upload(owner, made, csv(("A", "", "twelve", "")))
    assert "Line 2: The amount is not a number. Nothing was imported." in bad.text
    assert "neither text, CSV nor xlsx" in (await upload(owner, made, b"%PDF-1.7")).text
    assert await world.value("select count(*) from supplier_statement") == 0


async def test_a_bill_shows_what_its_lines_sum_to(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bought(world, company, 3)
    owner = await staff(world)
    supplier_id = await world.value("update supplier set settlement_days = 7 returning id")
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(days=8))
    async with tenant_tx(world.tenant) as tx:
        await closing.close_due(tx, supplier_id, [])
    monkeypatch.setattr(clock, "now", real)
    bill = f"/suppliers/bills/{await world.value('select id from settlement_statement')}"
    assert "¥30.00" in (await owner.get("/suppliers/settlement")).text
    assert "¥30.00" in (await owner.get(bill)).text
    lines = list(csvs.DictReader(io.StringIO((await owner.get(f"{bill}/lines.csv")).text.removeprefix("\ufeff"))))
    assert sum(Decimal(line["Amount"]) for line in lines) == Decimal(30)
    assert (await owner.post(f"{bill}/payment", {"note": ""})).status_code == 422
    assert (await owner.post(f"{bill}/payment", {"note": "TT-4711"})).status_code == 303
    assert (await owner.post(f"{bill}/payment", {"note": "TT-4711"})).status_code == 409
    assert "TT-4711" in (await owner.get(bill)).text


async def test_who_may_and_whose_it_is(world: World, company: SupplierSimulator) -> None:
    made, owner = await bought(world, company, 1), await staff(world)
    answer = await upload(owner, made, csv((made.numbers[0], "", "11", "成功")))
    await world.work()
    address = answer.headers["location"].removeprefix(owner.base)
    difference = f"/suppliers/differences/{await world.value('select id from discrepancy')}"
    reader = await staff(world, MemberRole.READ_ONLY)
    assert (await reader.get(address)).status_code == 200
    assert "How it ends" not in (await reader.get(difference)).text
    assert (await reader.post(f"{difference}/decision", {"state": "matched", "note": "mine"})).status_code == 403
    assert (await upload(reader, made, b"x")).status_code == 403
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    for path in (address, difference):
        assert (await stranger.get(path)).status_code == 404
    assert (await upload(stranger, made, csv())).status_code == 404


async def test_a_supplier_without_statements_says_so(world: World, tmp_path: Path) -> None:
    owner = await staff(world)
    with supplier_simulator(tmp_path, PROTOCOL) as platform:
        silent = await teller(world, platform)
        answer = await owner.post(f"/suppliers/connections/{silent.connection_id}/statements/fetch")
    assert answer.status_code == 409
    assert "tells no statements" in answer.text
