"""A supplier's statement against what was really bought: each difference is found once, ends once, and is booked once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.inventory.files import UnreadableFile
from app.kernel import clock
from app.ledger import queries as ledger
from app.settlement import closing, deciding, importing, rules
from app.settlement.deciding import Decision
from app.settlement.importing import BadLine, ColumnsUnclear, Given, NoHeading
from app.settlement.models import DifferenceState
from app.settlement.rules import Line, Reading
from app.suppliers import adjusting
from app.suppliers.service import SupplierTerms
from tenants.session import tenant_session, tenant_tx
from tests.app.settlement.purchases import bought, csv, differences, take_in
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
TEN, NONE = Decimal(10), Decimal(0)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("settled"), "tango") as started:
        yield started


async def end(world: World, state: DifferenceState, note: str = "told by phone") -> None:
    """End every open difference so."""
    for row in await world.rows("select id from discrepancy where state in ('open', 'disputed')"):
        async with tenant_tx(world.tenant) as tx:
            await deciding.decide(tx, row["id"], Decision(state, note), actor=STAFF)


async def test_a_statement_that_agrees_leaves_no_difference_and_comes_again_for_nothing(
    world: World, company: SupplierSimulator
) -> None:
    made = await bought(world, company)
    [one, two, three], refs = made.numbers, made.refs
    body = csv(
        (one, "", "10", "成功"), ("", refs[1], "10.00", "Success"), (three, refs[2], "¥10", "成功"), ("X", "Y", "5", "失败")
    )
    first = await take_in(world, made.source.connection_id, body)
    assert await differences(world) == []
    assert await take_in(world, made.source.connection_id, body) == first
    longer = body + f"\n{two},,10,成功\n".encode()
    second = await take_in(world, made.source.connection_id, longer)
    assert await world.value("select (lines, repeated) from supplier_statement where id = $1", second) == (1, 4)
    kinds = [row[0] for row in await differences(world)]
    assert kinds == ["other_amount"], "the same unit charged under another line"


async def test_every_kind_of_difference_is_found_once(world: World, company: SupplierSimulator) -> None:
    made = await bought(world, company)
    one, two, three = made.numbers
    body = csv((one, "", "12.5", "成功"), (two, "", "10", "已退款"), ("OTHER-1", "R-1", "7", "成功"))
    await take_in(world, made.source.connection_id, body)
    expected = [
        ("other_amount", one, TEN, Decimal("12.5"), "open"),
        ("other_state", two, TEN, NONE, "open"),
        ("ours_only", three, TEN, NONE, "open"),
        ("theirs_only", "OTHER-1", NONE, Decimal(7), "open"),
    ]
    assert await differences(world) == expected
    await take_in(world, made.source.connection_id, csv((three, "", "10", "成功")))
    explained = {number: state for _, number, _, _, state in await differences(world)}
    assert explained == {one: "open", two: "open", three: "matched", "OTHER-1": "open"}


async def test_an_adjustment_is_booked_once_and_a_dispute_gets_its_result(world: World, company: SupplierSimulator) -> None:
    made = await bought(world, company, 2)
    one, two = made.numbers
    await take_in(world, made.source.connection_id, csv((one, "", "12.5", "成功"), (two, "", "10", "失败")))
    rows = {row["out_no"]: row["id"] for row in await world.rows("select id, out_no from discrepancy")}

    async def decide(number: str, state: DifferenceState) -> None:
        async with tenant_tx(world.tenant) as tx:
            await deciding.decide(tx, rows[number], Decision(state, "their mail of today"), actor=STAFF)

    await decide(two, DifferenceState.DISPUTED)
    await asyncio.gather(*(decide(one, DifferenceState.ADJUSTED) for _ in range(6)))
    async with tenant_tx(world.tenant) as tx:
        assert await ledger.balance_minor(tx, "supplier_payable", "CNY") == 250
    await decide(two, DifferenceState.ADJUSTED)
    async with tenant_tx(world.tenant) as tx:
        assert await ledger.balance_minor(tx, "supplier_payable", "CNY") == 250 - 1000
        assert len(await ledger.transfers_of(tx, list(rows.values()))) == 2
    with pytest.raises(deciding.Decided):
        await decide(two, DifferenceState.DISPUTED)
    events = await world.rows("select event from history where subject_kind = 'discrepancy' order by at")
    assert [row["event"] for row in events] == ["difference.disputed", "difference.adjusted", "difference.adjusted"]


async def test_a_test_order_is_no_difference(world: World, company: SupplierSimulator) -> None:
    made = await bought(world, company, 1)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(
            "insert into test_order (id, connection_id, offer_id, out_no, state, mode, supplier_sku, currency)"
            " values (gen_random_uuid(), $1, $2, 'TEST-1', 'succeeded', 'live', 'MONTH', 'CNY')",
            made.source.connection_id,
            made.source.offer_id,
        )
    await take_in(world, made.source.connection_id, csv((made.numbers[0], "", "10", "成功"), ("TEST-1", "", "10", "成功")))
    assert await differences(world) == []


async def test_two_imports_of_one_file_at_once_are_one_statement(world: World, company: SupplierSimulator) -> None:
    made = await bought(world, company, 1)
    body = csv((made.numbers[0], "", "11", "成功"))
    found = await asyncio.gather(*(take_in(world, made.source.connection_id, body) for _ in range(4)), return_exceptions=True)
    assert await world.value("select count(*) from supplier_statement") == 1
    assert {one for one in found if not isinstance(one, BaseException)} == {
        await world.value("select id from supplier_statement")
    }
    assert len(await differences(world)) == 1


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"", NoHeading),
        (b"a,b,c\n1,2,3\n", ColumnsUnclear),
        ("商户订单号,金额\nA1,twelve\n".encode(), BadLine),
        ("商户订单号,金额\nA1,NaN\n".encode(), BadLine),
        ("商户订单号,金额\n,5\n".encode(), BadLine),
        (b"%PDF-1.4", UnreadableFile),
        (b"PK\x03\x04 no workbook", UnreadableFile),
    ],
)
async def test_a_file_that_makes_no_sense_is_refused_whole(
    world: World, company: SupplierSimulator, body: bytes, refusal: type[Exception]
) -> None:
    made = await bought(world, company, 1)
    with pytest.raises(refusal):
        await take_in(world, made.source.connection_id, body)
    assert await world.value("select count(*) from supplier_statement_line") == 0
    assert await world.value("select count(*) from supplier_statement") == 0


async def test_the_columns_are_remembered_per_connection(world: World, company: SupplierSimulator) -> None:
    made = await bought(world, company, 1)
    body = csv((made.numbers[0], "R", "10", "good"), head="mine,yours,money,how")
    columns = {"out_no": "mine", "amount": "money", "state": "how"}
    await take_in(world, made.source.connection_id, body, columns=columns, success_words=("good",))
    assert await differences(world) == []
    async with tenant_tx(world.tenant) as tx:
        assert await importing.columns_of(tx, made.source.connection_id) == columns | {"success_words": "good"}


async def test_bills_close_on_the_contracted_day_and_corrections_go_to_the_next(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await bought(world, company)
    async with tenant_session(world.tenant) as session:
        supplier_id = await world.value("select supplier_id from supplier_connection")
        supplier = await adjusting.supplier_or_404(session, supplier_id)
        await adjusting.change_supplier(session, supplier, SupplierTerms(supplier.name, settlement_days=7), actor=STAFF)
    await world.work()
    assert await world.value("select count(*) from settlement_statement") == 0, "the period still runs"
    assert await world.value("select run_at > now() + interval '6 days' from task where kind = 'settlement.close'")
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(days=7, minutes=11))

    async def close() -> int:
        async with tenant_tx(world.tenant) as tx:
            return await closing.close_due(tx, supplier_id, [("money@mail.test", "en")])

    assert sum(await asyncio.gather(*(close() for _ in range(4)))) == 1
    [bill] = await world.rows("select * from settlement_statement")
    assert (bill["purchases"], bill["total_minor"], bill["currency"]) == (3, 3000, "CNY")
    assert await world.value("select sum(amount_minor)::int from settlement_line") == 3000
    assert await world.value("select template from alert") == "supplier_bill_closed"
    await take_in(world, made.source.connection_id, csv((made.numbers[0], "", "12", "成功")))
    await end(world, DifferenceState.ADJUSTED)
    assert await close() == 0
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(days=21, minutes=11))
    assert await close() == 2
    totals = [row["total_minor"] for row in await world.rows("select total_minor from settlement_statement order by last_day")]
    assert totals == [3000, 200, 0], "a closed bill does not change; one purchase was dearer"
    async with tenant_tx(world.tenant) as tx:
        await closing.mark_paid(tx, bill["id"], note="receipt 4711", actor=STAFF)
        with pytest.raises(closing.PaidAlready):
            await closing.mark_paid(tx, bill["id"], note="again", actor=STAFF)


async def test_a_hundred_thousand_lines_are_taken_in_by_sets(world: World, company: SupplierSimulator) -> None:
    made = await bought(world, company, 1)
    body = csv((made.numbers[0], "", "10", "成功"), *((f"N{n}", f"R{n}", "1.5", "失败") for n in range(100_000)))
    await take_in(world, made.source.connection_id, body)
    assert await world.value("select lines from supplier_statement") == 100_001
    assert await differences(world) == []


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (["A1", "R1", "1,234.5", "成功"], Line("A1", "R1", True, Decimal("1234.500000"))),
        (["'A1", "R1", "-5", "失败"], Line("A1", "R1", False, Decimal(-5))),
        (["A1"], rules.N_("The amount is not a number.")),
        (["", "", "5", ""], rules.N_("No number names the purchase.")),
    ],
)
async def test_one_row_is_one_line_or_a_sentence(cells: list[str], line: Any) -> None:
    reading = Reading({"out_no": 0, "supplier_ref": 1, "amount": 2, "state": 3}, frozenset({"成功"}))
    assert rules.read_row(cells, reading) == line


async def test_given_says_what_is_lacking_without_naming_what_is_there() -> None:
    found = rules.find_columns(["商户订单号", "状态"], {"amount": "money"})
    assert rules.lacking(found, {"amount": "money"}) == {"amount": "This column is not in the file's first row."}
    assert Given(b"", "", clock.business_day(), clock.business_day(), {}).currency == "CNY"
