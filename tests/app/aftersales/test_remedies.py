"""A case ends with something else or with the money, never both: own keys, alone and twenty at once."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from app.aftersales import claiming, deadlines, queries, reporting, service
from app.aftersales.models import RemedyKind
from app.aftersales.queries import CaseFilter
from app.aftersales.remedying import remedy
from app.fulfillment import reissuing
from app.kernel.errors import DomainError
from app.ordering import service as ordering
from tenants.session import tenant_tx
from tests.app.aftersales.cases import policy, reported, sold, state, units
from tests.app.fulfillment.supply import refund
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def decide(world: World, case_id: UUID, kind: RemedyKind) -> str:
    try:
        async with tenant_tx(world.tenant) as tx:
            is_new = await remedy(tx, case_id, kind, reason="The buyer is right", actor=STAFF)
    except DomainError as refusal:
        return type(refusal).__name__
    return "done" if is_new else "repeated"


async def test_a_bad_key_is_replaced_by_another_and_the_old_one_is_void(world: World) -> None:
    placed = await sold(world)
    old = await world.value("select card_key_id from delivery_unit")
    case_id = await reported(world, placed)
    assert await state(world, case_id) == "awaiting_staff"
    assert await decide(world, case_id, RemedyKind.REPLACE) == "done"
    assert await decide(world, case_id, RemedyKind.REPLACE) == "repeated"
    assert await decide(world, case_id, RemedyKind.REFUND) == "DecidedOtherwise"
    await world.work()
    assert await state(world, case_id) == "replaced"
    unit = (await world.rows("select state, card_key_id, unit_cost, lost_cost, revealed_at from delivery_unit"))[0]
    assert (unit["state"], unit["revealed_at"]) == ("delivered", None)
    assert unit["card_key_id"] != old
    assert (unit["unit_cost"], unit["lost_cost"]) == (unit["unit_cost"], unit["unit_cost"])
    assert await world.value("select state from card_key where id = $1", old) == "voided"
    assert await world.value("select state from shop_order") == "delivered"
    assert await world.value("select count(*) from transfer where kind = 'sale'") == 1
    assert await world.rows("select available, delivered, voided, reserved, short from stock") == [
        {"available": 3, "delivered": 1, "voided": 1, "reserved": 0, "short": 0}
    ]
    claim = (await world.rows("select state, amount, is_late, batch_id is not null as of_batch from supplier_claim"))[0]
    assert (claim["state"], str(claim["amount"]), claim["is_late"], claim["of_batch"]) == ("open", "14.700000", False, True)


async def test_what_nobody_can_replace_is_refunded_once(world: World) -> None:
    placed = await sold(world, keys=1)
    case_id = await reported(world, placed)
    assert await decide(world, case_id, RemedyKind.REPLACE) == "done"
    await world.work()
    await refund(world)
    await world.work()
    assert await state(world, case_id) == "refunded"
    assert await world.value("select state from shop_order") == "refunded"
    assert await world.rows("select reason, amount_minor, state from refund") == [
        {"reason": "after_sale", "amount_minor": 1990, "state": "succeeded"}
    ]
    assert await world.rows("select kind from transfer where kind like 'refund%'") == [{"kind": "refund_delivered"}]


async def test_one_unit_of_two_is_refunded_and_the_other_stays(world: World) -> None:
    placed = await sold(world, quantity=2)
    case_id = await reported(world, placed, unit_no=2)
    assert await decide(world, case_id, RemedyKind.REFUND) == "done"
    await world.work()
    await refund(world)
    await world.work()
    assert await state(world, case_id) == "refunded"
    assert await world.value("select state from shop_order") == "partly_delivered"
    assert await world.value("select sum(amount_minor)::int from refund where state = 'succeeded'") == 1990
    other = await reported(world, placed)
    assert await decide(world, other, RemedyKind.REPLACE) == "done"
    await world.work()
    assert (await state(world, other), await world.value("select state from shop_order")) == ("replaced", "partly_delivered")


async def test_twenty_who_replace_and_refund_at_once_have_one_effect(world: World) -> None:
    placed = await sold(world, keys=30)
    case_id = await reported(world, placed)
    kinds = [RemedyKind.REPLACE, RemedyKind.REFUND] * 10
    answers = await asyncio.gather(*(decide(world, case_id, kind) for kind in kinds))
    assert answers.count("done") == 1
    assert answers.count("repeated") == 9
    assert answers.count("DecidedOtherwise") == 10
    await world.work()
    await refund(world)
    await world.work()
    assert await world.value("select count(*) from after_sale_remedy") == 1
    replaced = await world.value("select count(*) from card_key where state = 'voided'")
    refunds = await world.value("select count(*) from refund")
    assert replaced == 1
    delivered = await world.value("select count(*) from delivery_unit where state = 'delivered'")
    assert (delivered, refunds) in ((1, 0), (0, 1))


async def test_red_without_lock_and_key_a_case_gets_two_remedies(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guards out: the case is not locked, and its remedy's key is gone. Two people at once then decide twice."""
    placed = await sold(world, keys=30)
    case_id = await reported(world, placed)
    owner = await asyncpg.connect(world.urls.owner_url)
    try:
        await owner.execute(f"set search_path to {world.tenant.schema}")
        await owner.execute("alter table after_sale_remedy drop constraint pk_after_sale_remedy")
        await owner.execute("drop index uq_after_sale_remedy_running")
    finally:
        await owner.close()
    both = asyncio.Barrier(2)
    case = (await world.rows("select * from after_sale_case"))[0]

    async def unlocked(_tx: object, _case_id: UUID) -> dict[str, object]:
        return case

    async def nothing(*_args: object, **_more: object) -> None:
        await both.wait()

    monkeypatch.setattr(service, "lock_case", unlocked)
    monkeypatch.setattr(reissuing, "take_back", nothing)
    monkeypatch.setattr(reissuing, "give_back", nothing)
    monkeypatch.setattr(ordering, "lock_order", lambda *_: asyncio.sleep(0))
    monkeypatch.setattr(claiming, "open_claim", lambda *_: asyncio.sleep(0))
    world.may_break.add("INV-21")
    answers = await asyncio.gather(*(decide(world, case_id, kind) for kind in RemedyKind))
    assert answers == ["done", "done"]
    assert await world.value("select count(*) from after_sale_remedy") == 2


async def test_small_values_are_settled_by_themselves_but_not_without_end(world: World) -> None:
    await policy(world, auto_most_minor=2000, auto_per_buyer=2)
    placed = await sold(world, keys=30, quantity=6)
    found = await asyncio.gather(*(reported(world, placed, unit_no=n) for n in range(1, 7)))
    await world.work()
    states = sorted([await state(world, case_id) for case_id in found])
    assert states == ["awaiting_staff"] * 4 + ["replaced"] * 2
    assert await world.value("select count(*) from after_sale_remedy where is_automatic") == 2


async def test_twenty_reports_of_one_unit_are_one_case(world: World) -> None:
    placed = await sold(world)
    found = await asyncio.gather(*(reported(world, placed) for _ in range(20)))
    assert len(set(found)) == 1
    assert await world.value("select count(*) from after_sale_case") == 1


async def test_what_was_not_seen_or_is_too_old_is_not_reported(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 2)
    placed = await world.bought(product.skus[0].listing.id)
    with pytest.raises(reporting.NotSeenYet):
        await reported(world, placed)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update delivery_unit set delivered_at = now() - interval '31 days'")
    with pytest.raises(reporting.TooLate):
        await reported(world, placed)
    assert len(await units(world, placed)) == 1


async def test_an_overdue_case_is_told_once_and_stands_first(world: World) -> None:
    placed = await sold(world, quantity=2)
    await reported(world, placed)
    late = await reported(world, placed, unit_no=2)
    for _ in range(2):
        async with tenant_tx(world.tenant) as tx:
            await tx.execute("update after_sale_case set due_at = now() - interval '1 minute' where id = $1", late)
            await deadlines.watch(tx, late, [("lin@mail.test", "en")])
    assert await world.value("select count(*) from alert where template = 'after_sale_overdue'") == 1
    async with tenant_tx(world.tenant) as tx:
        assert (await queries.counts(tx))["overdue"] == 1
        assert (await queries.cases(tx, CaseFilter()))[0]["is_overdue"]
