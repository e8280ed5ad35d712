"""Codes we make: delivered with the order, used as often as they were sold for and no more, by the rules they were sold under."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import date, datetime, time
from typing import Any

import asyncpg
import pytest

from app.access.models import MemberRole
from app.catalog import minting as rules
from app.catalog import service as catalog
from app.catalog.minting import MintingRules
from app.catalog.models import DeliveryKind, Product
from app.fulfillment import minting
from app.fulfillment.minting import Revoked, UsedUp
from app.fulfillment.revealing import reveal
from app.inventory import service as inventory
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import DomainError
from app.ordering.placing import Placed
from tenants.session import tenant_session, tenant_tx
from tests.app.staff import staff
from tests.app.storefront.buyer import Buyer, words
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
BUYER = Actor(ActorKind.BUYER, None, "138****2046")


async def minted(world: World, kind: DeliveryKind = DeliveryKind.VOUCHER, *, quota: int = 1000, **terms: Any) -> Product:
    """A product on sale whose codes follow these rules."""
    product = await world.product(delivery_kind=kind, name="Noodle House", on_sale=False)
    async with tenant_session(world.tenant) as session:
        await catalog.set_minting(session, product.id, MintingRules(**terms), actor=STAFF)
        await catalog.publish(session, product.id, actor=STAFF)
    async with tenant_tx(world.tenant) as tx:
        await inventory.allow(tx, sku_id=product.skus[0].id, units=quota)
    return product


async def code_of(world: World, placed: Placed, unit_no: int = 1) -> str:
    line = await world.value("select id from order_line where order_id = $1", placed.id)
    async with tenant_tx(world.tenant) as tx:
        return (await reveal(tx, order_id=placed.id, order_line_id=line, unit_no=unit_no, actor=BUYER)).number


async def use(world: World, code: str, place: str = "West Lake") -> minting.Used:
    async with tenant_tx(world.tenant) as tx:
        return await minting.use(tx, typed=code, place=place, actor=STAFF)


async def used_at_once(world: World, code: str, times: int) -> Counter[str]:
    """Use a code many times in one instant; how many of each answer."""

    async def one(n: int) -> str:
        try:
            await use(world, code, f"Counter {n}")
        except DomainError as refusal:
            return type(refusal).__name__
        except asyncpg.PostgresError as error:
            return type(error).__name__
        return "used"

    return Counter(await asyncio.gather(*(one(n) for n in range(times))))


async def test_a_paid_voucher_is_made_and_delivered_and_its_code_is_sealed(world: World) -> None:
    product = await minted(world, quota=3)
    placed = await world.bought(product.skus[0].listing.id, 2)
    assert await world.value("select state from shop_order where id = $1", placed.id) == "delivered"
    code = await code_of(world, placed)
    assert re.fullmatch(r"([2-9A-HJ-NP-Z]{4}-){3}[2-9A-HJ-NP-Z]{4}", code)
    assert code != await code_of(world, placed, 2)
    assert not await world.value("select position($1::bytea in secret) > 0 from minted_good limit 1", code.encode())
    assert await world.value("select available from stock") == 1


async def test_a_second_scan_is_refused_with_the_firsts_time_and_place(world: World) -> None:
    product = await minted(world)
    code = await code_of(world, await world.bought(product.skus[0].listing.id))
    assert (await use(world, code.lower().replace("-", " "))).use_no == 1
    with pytest.raises(UsedUp) as refused:
        await use(world, code, "East Gate")
    assert refused.value.facts["place"] == "West Lake"
    assert refused.value.facts["who"] == STAFF.name
    assert await world.value("select count(*) from minted_use") == 1


@pytest.mark.case("A10")
async def test_a_hundred_uses_at_once_of_a_serial_good_for_ten_are_ten(world: World) -> None:
    product = await minted(world, DeliveryKind.SERIAL, most_uses=10)
    code = await code_of(world, await world.bought(product.skus[0].listing.id))
    assert await used_at_once(world, code, 100) == {"used": 10, "UsedUp": 90}
    assert await world.value("select uses from minted_good") == 10
    assert await world.value("select array_agg(use_no order by use_no)::text from minted_use") == "{1,2,3,4,5,6,7,8,9,10}"


@pytest.mark.case("A10")
async def test_red_without_its_lock_and_the_ledgers_guards_it_is_used_too_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guards: the row's lock, then the check of its count, then one row per use."""
    product = await minted(world, DeliveryKind.SERIAL, most_uses=10)
    code = await code_of(world, await world.bought(product.skus[0].listing.id))
    owner = await asyncpg.connect(world.urls.owner_url)
    try:
        await owner.execute(f"set search_path to {world.tenant.schema}")
        await owner.execute("alter table minted_good drop constraint ck_minted_good_no_use_too_many")
        await owner.execute("drop index uq_minted_use_live")
    finally:
        await owner.close()
    monkeypatch.setattr(minting, "_LOCK", minting._LOCK.replace("for update of m, u", ""))
    assert (await used_at_once(world, code, 100))["used"] > 10


@pytest.mark.case("A10")
async def test_without_the_lock_the_table_itself_still_refuses(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    product = await minted(world, DeliveryKind.SERIAL, most_uses=10)
    code = await code_of(world, await world.bought(product.skus[0].listing.id))
    monkeypatch.setattr(minting, "_LOCK", minting._LOCK.replace("for update of m, u", ""))
    assert (await used_at_once(world, code, 100))["used"] <= 10


async def test_a_code_taken_back_is_good_for_nothing(world: World) -> None:
    product = await minted(world)
    placed = await world.bought(product.skus[0].listing.id)
    code = await code_of(world, placed)
    line = await world.value("select id from order_line")
    owner = await staff(world)
    sent = {"line": str(line), "unit": "1", "reason": "Bought by mistake"}
    path = f"/orders/{placed.order_no}/revocations"
    assert (await (await staff(world, MemberRole.READ_ONLY)).post(path, sent)).status_code == 403
    assert [(await owner.post(path, sent)).status_code for _ in range(2)] == [303, 303]
    with pytest.raises(Revoked):
        await use(world, code)
    assert "Taken back" in words((await owner.get(f"/orders/{placed.order_no}")).text)


@pytest.mark.parametrize(
    ("terms", "fault"),
    [
        ({}, None),
        ({"shops": ("West",)}, None),
        ({"shops": ("East",)}, rules.NOT_HERE),
        ({"valid_from": date(2027, 3, 2)}, rules.NOT_YET),
        ({"valid_until": date(2027, 2, 28)}, rules.OVER),
        ({"weekdays": (2, 3)}, rules.NOT_TODAY),
        ({"opens": time(12)}, rules.NOT_NOW),
        ({"closes": time(11, 30)}, rules.NOT_NOW),
        ({"opens": time(11, 30), "closes": time(11, 31)}, None),
    ],
)
def test_rules_say_where_and_when(terms: dict[str, Any], fault: str | None) -> None:
    own = MintingRules(**terms)
    at = datetime.fromisoformat("2027-03-01T11:30:00+08:00")
    found = rules.obstacle(own, at=at, place="West", ends_on=own.ends_on(date(2027, 1, 1)))
    assert (found[0] if found else None) == fault
    assert rules.rules_of(rules.stored(own)) == own


def test_days_from_delivery_and_the_last_day_whichever_comes_first() -> None:
    assert MintingRules(valid_days=30).ends_on(date(2027, 1, 1)) == date(2027, 1, 30)
    assert MintingRules(valid_days=30, valid_until=date(2027, 1, 5)).ends_on(date(2027, 1, 1)) == date(2027, 1, 5)


async def test_the_counter_uses_a_code_and_says_what_became_of_the_next(world: World) -> None:
    product = await minted(world)
    code = await code_of(world, await world.bought(product.skus[0].listing.id))
    counter = await staff(world, MemberRole.SUPPORT)
    assert "Redeem a code" in words((await counter.get("/redeem")).text)
    done = await counter.post("/redeem", {"code": code, "place": "West Lake"})
    assert "Redeemed: Noodle House Month" in words(done.text)
    again = await counter.post("/redeem", {"code": code, "place": "East Gate"}, part=True)
    assert again.status_code == 409
    assert "<html" not in again.text
    assert "at West Lake" in words(again.text)
    wrong = await counter.post("/redeem", {"code": "", "place": ""})
    assert wrong.status_code == 422
    assert all(f'id="f-{name}-error"' in wrong.text for name in ("code", "place"))
    assert (await counter.post("/redeem", {"code": "NOT-A-CODE", "place": "West Lake"})).status_code == 404
    assert code not in (await counter.get("/redeem")).text


async def test_who_may_only_look_redeems_nothing_and_another_tenants_code_is_unknown(world: World) -> None:
    product = await minted(world)
    code = await code_of(world, await world.bought(product.skus[0].listing.id))
    viewer = await staff(world, MemberRole.READ_ONLY)
    assert (await viewer.get("/redeem")).status_code == 403
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await stranger.post("/redeem", {"code": code, "place": "West Lake"})).status_code == 404
    assert await world.value("select uses from minted_good") == 0


async def test_the_buyer_sees_code_scan_rules_and_uses(world: World) -> None:
    product = await minted(world, DeliveryKind.SERIAL, most_uses=3, shops=("West Lake",))
    placed = await world.bought(product.skus[0].listing.id)
    buyer = Buyer(world.client())
    from app.storefront.checkout import path_of

    path = await path_of(world.tenant, placed)
    before = (await buyer.get(path)).text
    assert "3 of 3 uses left" in words(before)
    assert "Good in: West Lake" in words(before)
    line = await world.value("select id from order_line")
    shown = (await buyer.send(path, f"{path}/reveals/{line}/1")).text
    assert 'class="qr"' in shown
    code = await code_of(world, placed)
    await use(world, code)
    after = words((await buyer.get(path)).text)
    assert "2 of 3 uses left" in after
    assert "at West Lake" in after
    assert code not in after


async def test_rules_are_written_on_their_page(world: World) -> None:
    product = await world.product(delivery_kind=DeliveryKind.SERIAL, on_sale=False)
    path, owner = f"/products/{product.id}/rules", await staff(world)
    sent = {"shops": "West\nEast", "valid_from": "2027-01-01", "valid_until": "2027-06-30", "weekdays": ["1", "2"]}
    sent |= {"opens": "09:00", "closes": "21:00", "most_uses": "5", f"quota-{product.skus[0].id}": "20"}
    assert (await owner.post(path, sent)).status_code == 303
    kept = (await owner.get(path)).text
    assert 'value="2027-06-30"' in kept
    assert await world.value("select available from stock") == 20
    wrong = await owner.post(path, sent | {"valid_until": "2026-01-01", "closes": "08:00", "weekdays": []})
    assert wrong.status_code == 422
    assert all(f'id="f-{name}-error"' in wrong.text for name in ("valid_until", "closes", "weekdays"))
    assert (await (await staff(world, MemberRole.READ_ONLY)).post(path, sent)).status_code == 403
    assert (await (await staff(world, tenant=await world.new_tenant("Other"))).get(path)).status_code == 404
    assert (await owner.get(f"/products/{(await world.product()).id}/rules")).status_code == 404
