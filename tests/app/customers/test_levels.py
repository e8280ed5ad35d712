"""Levels of buyers: made, given by contact, taken away; and the price a level's buyer sees."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from app.access.models import MemberRole
from app.customers import sessions
from app.kernel import clock
from app.kernel.contact import parse_contact
from app.kernel.csrf import BUYER_COOKIE
from app.kernel.ids import new_id
from app.kernel.vault import keyring
from app.pricing.rules import Audience, Effect
from app.pricing.service import RuleTerms
from tenants.session import tenant_tx
from tests.app.pricing.test_sales import ruled
from tests.app.staff import staff
from tests.app.storefront.buyer import Buyer, words
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
_CUSTOMER = "insert into customer (id, contact_kind, contact, contact_masked, contact_fingerprint, seen_at) values ($1, 'phone', $2, '138****2046', $3, $4)"


async def logged_in(world: World, contact: str = "13800132046") -> str:
    """A buyer who proved his contact; his session's token."""
    async with tenant_tx(world.tenant) as tx:
        ring, customer_id = await keyring(tx), new_id()
        parsed = parse_contact(contact)
        assert parsed
        sealed = ring.seal("customer", "contact", customer_id, parsed.value)
        await tx.execute(_CUSTOMER, customer_id, sealed, ring.fingerprint("contact", parsed.value), clock.now())
        return await sessions.open_session(tx, customer_id, lives=sessions.SHORT)


async def test_a_level_is_made_given_used_and_taken_away(world: World) -> None:
    owner, product = await staff(world), await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 10)
    assert "No level yet" in (await owner.get("/buyer-levels")).text
    assert (await owner.post("/buyer-levels", {"name": "Gold"})).status_code == 303
    assert (await owner.post("/buyer-levels", {"name": "Gold"})).status_code == 422
    level = await world.value("select id from buyer_level")
    assert isinstance(level, UUID)
    token = await logged_in(world)
    for _ in range(2):
        assert (await owner.post("/buyer-levels/buyers", {"contact": "138 0013 2046", "level": str(level)})).status_code == 303
    assert "138****2046" in (await owner.get("/buyer-levels")).text
    await ruled(world, product, RuleTerms(Effect.UNIT_PRICE, 1500, sku.id, audience=Audience.LEVEL, level_id=level))
    assert "level Gold" in words((await owner.get(f"/products/{product.id}/prices")).text)
    page = f"/products/{product.id}"
    guest, buyer = Buyer(world.client()), Buyer(world.client())
    buyer.client.cookies.set(BUYER_COOKIE, token)
    assert "¥15.00" not in words((await guest.get(page)).text)
    assert "¥15.00" in words((await buyer.get(page)).text)
    assert (await buyer.buy(product.id)).status_code == 303
    assert await world.value("select unit_price_minor from order_line") == 1500
    assert (await owner.post(f"/buyer-levels/{level}/removal")).status_code == 409
    assert (await owner.post("/buyer-levels/buyers", {"contact": "13800132046", "level": ""})).status_code == 303
    assert "¥15.00" not in words((await buyer.get(page)).text)
    assert (await owner.post(f"/buyer-levels/{level}/removal")).status_code == 409, "a rule still names it"
    assert (await owner.post("/buyer-levels", {"name": "Silver"})).status_code == 303
    silver = await world.value("select id from buyer_level where name = 'Silver'")
    assert (await owner.post(f"/buyer-levels/{silver}/removal")).status_code == 303
    assert (await owner.post(f"/buyer-levels/{silver}/removal")).status_code == 404


async def test_what_is_wrong_is_said_and_who_may_only_look_changes_nothing(world: World) -> None:
    owner, viewer = await staff(world), await staff(world, MemberRole.READ_ONLY)
    for path, typed, field in [
        ("/buyer-levels", {"name": ""}, "name"),
        ("/buyer-levels/buyers", {"contact": "nobody"}, "contact"),
        ("/buyer-levels/buyers", {"contact": "13900139000"}, "contact"),
        ("/buyer-levels/buyers", {"contact": "13900139000", "level": str(uuid4())}, "level"),
    ]:
        answer = await owner.post(path, typed)
        assert answer.status_code == 422, typed
        assert f'id="f-{field}-error"' in answer.text, typed
        assert (await viewer.post(path, typed)).status_code == 403
    assert "Make the level" not in (await viewer.get("/buyer-levels")).text
    other = await staff(world, tenant=await world.new_tenant("Bluebird"))
    other.base = f"/m/{world.tenant.slug}"
    assert (await other.get("/buyer-levels")).status_code == 404
