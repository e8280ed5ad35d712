"""A person's hand on an unknown purchase: refused without the supplier's fresh word, or two people's; effects counted at the companies' books."""

from __future__ import annotations

import asyncio
import html
from uuid import UUID, uuid4

import pytest

from app.access.models import MemberRole
from app.fulfillment import overriding
from app.ordering.placing import Placed
from tenants.session import tenant_tx
from tests.app.fulfillment.supply import Source, attempt_states, make_due, order_state, refund, routed, settle, source
from tests.app.staff import Staff, staff
from tests.simulators import SupplierSimulator
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
_LATER = "update attempt set sent_at = sent_at - interval '20 minutes' where state = 'unknown'"


class Lost:
    """A paid order whose one purchase was dropped on its way: unknown to us, and never heard of at the company."""

    def __init__(self, world: World, sources: list[Source], placed: Placed, attempt_id: UUID) -> None:
        self.world, self.sources, self.placed, self.attempt_id = world, sources, placed, attempt_id
        self.before = self.effects()

    def effects(self) -> list[int]:
        return [one.totals()["effects"] for one in self.sources]

    def bought(self) -> list[int]:
        return [now - before for now, before in zip(self.effects(), self.before, strict=True)]

    @property
    def path(self) -> str:
        return f"/orders/{self.placed.order_no}/attempts/{self.attempt_id}"

    async def ask(self) -> None:
        """The supplier answers once, long after it was sent."""
        async with tenant_tx(self.world.tenant) as tx:
            await tx.execute(_LATER)
        await make_due(self.world)
        await settle(self.world)

    async def states(self) -> tuple[str, list[str]]:
        return await order_state(self.world, self.placed.id), await attempt_states(self.world, self.placed.id)


async def lost(world: World, companies: list[SupplierSimulator]) -> Lost:
    sources = [await source(world, company) for company in companies]
    product = await routed(world, *sources)
    companies[0].script({"before": "drop"}, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    attempt_id = await world.value("select id from attempt where order_id = $1", placed.id)
    found = Lost(world, sources, placed, attempt_id)
    assert await found.states() == ("paid", ["unknown"])
    return found


async def audited(world: World) -> list[str]:
    rows = await world.rows("select action from audit_entry where action like 'attempt.%' order by seq")
    return [row["action"] for row in rows]


@pytest.mark.case("B17")
async def test_without_a_fresh_answer_nothing_is_bought_again_and_nothing_is_given_up(
    world: World, companies: list[SupplierSimulator]
) -> None:
    one, owner = await lost(world, companies), await staff(world)
    for verb in ("resending", "failure"):
        refused = await owner.post(f"{one.path}/{verb}")
        assert refused.status_code == 409
        assert "Ask the supplier first" in html.unescape(refused.text)
    companies[0].script({"not_found": True}, on="query", times=1)
    await make_due(world)
    await settle(world)
    refused = await owner.post(f"{one.path}/failure")
    assert refused.status_code == 409, "its answer came within its grace"
    assert "only later" in html.unescape(refused.text)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(_LATER)
        await tx.execute("update attempt set answered_at = now() - interval '6 minutes' where id = $1", one.attempt_id)
    assert (await owner.post(f"{one.path}/resending")).status_code == 409, "its answer is old"
    assert await audited(world) == []
    assert one.bought() == [0, 0]


@pytest.mark.case("B17")
@pytest.mark.parametrize(("verb", "bought"), [("resending", [1, 0]), ("failure", [0, 1])])
async def test_on_the_suppliers_fresh_word_it_is_bought_once(
    world: World, companies: list[SupplierSimulator], verb: str, bought: list[int]
) -> None:
    """Bought again under the same number where it was lost, or given up there and bought elsewhere; asked for twice, it is done once."""
    one, owner = await lost(world, companies), await staff(world)
    await one.ask()
    page = await owner.get(f"{one.path}/decision")
    assert "Buy it again" in page.text
    assert "aria-disabled" not in page.text.split('id="main"')[-1]
    answers = await asyncio.gather(*(owner.post(f"{one.path}/{verb}") for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [303, 409, 409]
    await settle(world)
    assert await order_state(world, one.placed.id) == "delivered"
    assert one.bought() == bought
    assert await audited(world) == [{"resending": "attempt.sent_again", "failure": "attempt.marked_failed"}[verb]]


@pytest.mark.case("B17")
async def test_red_without_the_look_at_the_answer_a_purchase_that_took_place_is_bought_elsewhere(
    world: World, companies: list[SupplierSimulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overriding, "_obstacle", lambda row, traits: None)
    sources = [await source(world, company) for company in companies]
    product = await routed(world, *sources)
    before = [one.totals()["effects"] for one in sources]
    companies[0].script({"drop": True}, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    attempt_id = await world.value("select id from attempt where order_id = $1", placed.id)
    owner = await staff(world)
    assert (await owner.post(f"/orders/{placed.order_no}/attempts/{attempt_id}/failure")).status_code == 303
    await settle(world)
    assert [one.totals()["effects"] - was for one, was in zip(sources, before, strict=True)] == [1, 1]


@pytest.mark.case("B17")
async def test_two_people_may_give_it_up_and_what_comes_late_is_kept_with_a_case(
    world: World, companies: list[SupplierSimulator]
) -> None:
    sources = [await source(world, company) for company in companies]
    product = await routed(world, *sources)
    before = [one.totals()["effects"] for one in sources]
    companies[0].script({"drop": True}, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    attempt_id = await world.value("select id from attempt where order_id = $1", placed.id)
    one = Lost(world, sources, placed, attempt_id)
    maker, reviewer, owner = [
        await staff(world, role) for role in (MemberRole.OPERATOR, MemberRole.FINANCE_CHECKER, MemberRole.OWNER)
    ]
    reason = {"reason": "Their desk says no such order"}
    assert (await maker.post(f"{one.path}/overrides", {"reason": "no"})).status_code == 422
    assert (await reviewer.post(f"{one.path}/overrides/approval")).status_code == 409, "nothing is proposed"
    assert (await maker.post(f"{one.path}/overrides", reason)).status_code == 303
    assert (await owner.post(f"{one.path}/overrides", reason)).status_code == 409, "it is proposed once"
    refused = await maker.post(f"{one.path}/overrides/approval")
    assert refused.status_code == 409
    assert "Another person has to" in html.unescape(refused.text)
    assert await one.states() == ("paid", ["unknown"])
    assert "Their desk says no such order" in (await reviewer.get(f"{one.path}/decision")).text
    assert (await reviewer.post(f"{one.path}/overrides/approval")).status_code == 303
    await settle(world)
    assert await one.states() == ("delivered", ["failed", "succeeded"])
    assert await audited(world) == ["attempt.override_proposed", "attempt.override_approved"]
    people = await world.rows("select actor_id, reason from audit_entry where action like 'attempt.override%'")
    assert len({row["actor_id"] for row in people}) == 2
    assert {row["reason"] for row in people} == {"Their desk says no such order"}
    assert "Ask whether it was sold after all" in (await owner.get(f"/orders/{placed.order_no}")).text
    assert (await owner.post(f"{one.path}/question")).status_code == 303
    await settle(world)
    assert (await one.states())[1] == ["succeeded_late", "succeeded"]
    assert await world.value("select count(*) from staff_case where kind = 'supplier_late' and state = 'open'") == 1
    assert [now - was for now, was in zip(one.effects(), before, strict=True)] == [1, 1], "the loss is told, the buyer has one"
    assert await world.value("select count(*) from staff_case where kind = 'spare_goods' and state = 'open'") == 1
    assert await world.value("select count(*) from card_key where state = 'free'") == 1, "it is own stock now"


@pytest.mark.case("B17")
async def test_a_declined_word_changes_nothing_and_its_page_is_for_the_right_people(
    world: World, companies: list[SupplierSimulator]
) -> None:
    one = await lost(world, companies)
    maker, reviewer = await staff(world, MemberRole.FINANCE_MAKER), await staff(world, MemberRole.OPERATOR)
    reader, stranger = await staff(world, MemberRole.READ_ONLY), await staff(world, tenant=await world.new_tenant("Other"))
    assert (await maker.post(f"{one.path}/overrides", {"reason": "I rang them up"})).status_code == 303
    assert (await maker.post(f"{one.path}/overrides/approval")).status_code == 403
    await _only_for_members(one, reader, stranger)
    assert (await reviewer.post(f"{one.path}/overrides/refusal")).status_code == 303
    assert (await reviewer.post(f"{one.path}/overrides/refusal")).status_code == 409
    assert await one.states() == ("paid", ["unknown"])
    assert (await maker.get(f"/orders/{one.placed.order_no}/attempts/{uuid4()}/decision")).status_code == 404
    await one.ask()
    await one.ask()
    await refund(world)
    assert await order_state(world, one.placed.id) == "delivered"
    assert "Nothing is to be decided" in (await maker.get(f"{one.path}/decision")).text
    assert (await reviewer.post(f"{one.path}/overrides/approval")).status_code == 409


async def _only_for_members(one: Lost, reader: Staff, stranger: Staff) -> None:
    for verb in ("resending", "failure", "overrides", "overrides/approval", "overrides/refusal"):
        assert (await reader.post(f"{one.path}/{verb}", {"reason": "I am sure"})).status_code == 403
        assert (await stranger.post(f"{one.path}/{verb}", {"reason": "I am sure"})).status_code == 404
    assert (await reader.get(f"{one.path}/decision")).status_code == 200
    assert (await stranger.get(f"{one.path}/decision")).status_code == 404
