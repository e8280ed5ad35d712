"""What companies pay for their batches: booked once, against what they owe, taken back with a reason, and told to them by day."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from app.access.models import MemberRole
from app.fulfillment import reissuing
from app.fulfillment.reissuing import UnitOf
from app.issuing import paying, queries
from app.issuing.paying import NotYetPaid, OwesNothingInThis, Paid, PaidAlready
from app.kernel import clock
from app.kernel.errors import NotFound
from app.kernel.ids import new_id
from tenants.session import tenant_tx
from tests.app.issuing.issued import PRICE, issued, numbers, work
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
CLIENT = "Lantern Works"


async def delivered(world: World, count: int = 3) -> str:
    """A batch that is all sent and owed for; its number."""
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, count + 2)
    batch_no = await issued(world, sku.listing.id, numbers(count))
    await work(world)
    return batch_no


def paid(amount_minor: int = PRICE, reference: str = "BK-1", **changes: object) -> Paid:
    return replace(Paid(new_id(), CLIENT, amount_minor, "CNY", clock.business_day(), reference), **changes)


async def book(world: World, payment: Paid) -> None:
    async with tenant_tx(world.tenant) as tx:
        await paying.book(tx, payment, actor=STAFF)


async def owes(world: World) -> int:
    async with tenant_tx(world.tenant) as tx:
        (row,) = await queries.accounts_of(tx, CLIENT)
    assert row["owed_minor"] == row["charged_minor"] - row["paid_minor"]
    return int(row["owed_minor"])


async def balance(world: World, name: str) -> int:
    row = (await world.rows("select debits_minor - credits_minor as minor from ledger_account where name = $1", name))[0]
    return int(row["minor"])


async def test_a_payment_counts_once_against_what_is_owed(world: World) -> None:
    await delivered(world)
    assert await owes(world) == await balance(world, "receivables") == 3 * PRICE
    payment = paid(2 * PRICE)
    for _ in range(2):
        await book(world, payment)
    assert await owes(world) == await balance(world, "receivables") == PRICE
    assert await balance(world, "bank") == 2 * PRICE
    for _ in range(2):
        async with tenant_tx(world.tenant) as tx:
            await paying.take_back(tx, payment.id, client=CLIENT, reason="Of another company", actor=STAFF)
    assert await owes(world) == await balance(world, "receivables") == 3 * PRICE
    assert await balance(world, "bank") == 0
    await book(world, paid(2 * PRICE))
    assert await owes(world) == PRICE, "what was taken back can be booked anew"


async def _take_one_off(world: World) -> None:
    """A delivered batch is paid whole; then one of its units turns out to be no good and comes off the account."""
    await delivered(world)
    await book(world, paid(3 * PRICE))
    unit = UnitOf(
        *(await world.rows("select order_id, order_line_id, unit_no from delivery_unit order by order_id limit 1"))[0].values()
    )
    async with tenant_tx(world.tenant) as tx:
        await reissuing.give_back(tx, unit, reason="The key was no good", actor=STAFF)
    await work(world)


async def test_what_comes_off_after_it_was_paid_is_to_the_company_s_credit(world: World) -> None:
    await _take_one_off(world)
    assert await owes(world) == await balance(world, "receivables") == -PRICE
    owner = await staff(world)
    page = words((await owner.get(f"/issues/{await world.value('select batch_no from issue_batch')}/account")).text)
    assert "To its credit¥15.00" in page


async def test_where_the_account_may_not_cross_zero_nothing_comes_off(world: World) -> None:
    """*Red control* of the one before: with the account as it was, the ledger refuses what the company is owed."""
    await delivered(world)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update ledger_account set may_cross_zero = false where name = 'receivables'")
    with pytest.raises(asyncpg.CheckViolationError):
        await book(world, paid(4 * PRICE))
    assert await balance(world, "receivables") == 3 * PRICE


async def test_what_cannot_be_is_refused(world: World) -> None:
    await delivered(world)
    await book(world, paid())
    for wrong, refusal in (
        (paid(client="Nobody"), OwesNothingInThis),
        (paid(currency="USD", reference="BK-2"), OwesNothingInThis),
        (paid(received_on=clock.business_day() + timedelta(days=1), reference="BK-2"), NotYetPaid),
        (paid(reference="BK-1"), PaidAlready),
    ):
        with pytest.raises(refusal):
            await book(world, wrong)
    async with tenant_tx(world.tenant) as tx:
        with pytest.raises(NotFound):
            await paying.take_back(tx, new_id(), client=CLIENT, reason="x", actor=STAFF)
    assert await world.value("select count(*) from company_payment") == 1


async def test_twenty_at_once_with_one_reference_are_one(world: World) -> None:
    await delivered(world)
    done = await asyncio.gather(*(book(world, paid()) for _ in range(20)), return_exceptions=True)
    assert sum(one is None for one in done) == 1
    assert {type(one) for one in done if one} == {PaidAlready}
    assert await balance(world, "bank") == PRICE


async def test_the_account_s_page_books_takes_back_and_gives_a_statement(world: World) -> None:
    batch_no = await delivered(world)
    owner = await staff(world)
    here = f"/issues/{batch_no}/account"
    assert "Nothing is booked yet" in words((await owner.get(here)).text)
    wrong = await owner.post(
        f"{here}/payments", {"amount": "-1", "currency": "yuan", "received_on": "soon", "reference": "", "request_id": "x"}
    )
    assert wrong.status_code == 422
    assert wrong.text.count('aria-invalid="true"') >= 3, "every fault at once"
    form = {
        "amount": "30.00",
        "currency": "CNY",
        "received_on": str(clock.business_day()),
        "reference": "BK 2026-11",
        "request_id": str(new_id()),
    }
    for _ in range(2):
        assert (await owner.post(f"{here}/payments", form)).status_code == 303
    again = await owner.post(f"{here}/payments", form | {"request_id": str(new_id())})
    assert again.status_code == 409
    assert "is booked already" in again.text
    later = form | {"request_id": str(new_id()), "reference": "BK 3", "received_on": "2999-01-01"}
    assert (await owner.post(f"{here}/payments", later)).status_code == 422
    page = words((await owner.get(here)).text)
    for shown in ("Charged for batches¥45.00", "Paid¥30.00", "Owes¥15.00", "BK 2026-11"):
        assert shown in page, shown
    assert "¥15.00" in words((await owner.get("/issues")).text)
    lines = (await owner.get(f"{here}/statement.csv")).text.splitlines()
    assert [line.split(",")[1:] for line in lines[1:]] == [
        ["Batch", f"{batch_no} HT-2026-118", "CNY", "45.00", "45.00"],
        ["Payment", "BK 2026-11", "CNY", "-30.00", "15.00"],
    ]
    payment_id = await world.value("select id from company_payment")
    empty = await owner.post(f"{here}/payments/{payment_id}/take-back", {"reason": " "})
    assert empty.status_code == 422
    assert (await owner.post(f"{here}/payments/{payment_id}/take-back", {"reason": "Not ours"})).status_code == 303
    assert "Not ours" in words((await owner.get(here)).text)
    assert len((await owner.get(f"{here}/statement.csv")).text.splitlines()) == 2
    operator = await staff(world, MemberRole.OPERATOR)
    assert "Book it" not in (await operator.get(here)).text
    assert (await operator.post(f"{here}/payments", form)).status_code == 403
