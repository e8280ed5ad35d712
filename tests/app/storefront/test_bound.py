"""Goods bound to their buyer: only what he proved by a one-time code is credited, however the order is placed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

import pytest

from app.access.models import MemberRole
from app.catalog import service as catalog
from app.catalog.accounts import AccountField, FieldKind
from app.storefront.shelf import forget_shelf
from tenants.session import tenant_session
from tests.app.fulfillment.supply import settle
from tests.app.fulfillment.top_up import TopUp, top_up
from tests.app.staff import staff
from tests.app.storefront.buyer import Buyer, fields, words
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio]
OTHERS = "+85251234568"


@pytest.fixture
def mine() -> str:
    """A number of this test's own: all tests share one outbox."""
    return f"+8529123{secrets.randbelow(10**4):04d}"


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("airtime"), "dingconnect") as started:
        started.conduct(state="up", latency_ms=0, decide_ms=0)
        yield started


async def bound(world: World, company: SupplierSimulator) -> TopUp:
    sold = await top_up(world, company)
    async with tenant_session(world.tenant) as session:
        await catalog.bind_account(session, sold.product.id, is_bound=True, actor=STAFF)
    forget_shelf(world.tenant)
    return sold


async def prove(world: World, buyer: Buyer, sold: TopUp, contact: str) -> str:
    """Prove a contact on the way to a product; where it leads."""
    path = f"/products/{sold.product.id}/proof"
    asked = await buyer.send(path, "/orders/codes", contact=contact)
    await world.work()
    code = re.search(r"\b(\d{6})\b", world.outbox.wait_for(contact)[-1]["text"])
    assert code
    sent = await buyer.client.post("/orders/proofs", data={**fields(asked.text, "/orders/proofs"), "code": code[1]})
    assert sent.status_code == 303, sent.text
    return sent.headers["location"]


async def test_only_the_number_its_buyer_proved_is_credited(world: World, company: SupplierSimulator, mine: str) -> None:
    sold, buyer = await bound(world, company), Buyer(world.client())
    page = (await buyer.get(f"/products/{sold.product.id}")).text
    assert "For yourself alone" in words(page)
    refused = await buyer.buy(sold.product.id, **{"account-phone": mine})
    assert refused.status_code == 422
    assert 'id="f-account-phone-error"' in refused.text
    assert await prove(world, buyer, sold, mine) == f"/products/{sold.product.id}"
    others = await buyer.buy(sold.product.id, **{"account-phone": OTHERS})
    assert others.status_code == 422
    assert "Only" in words(others.text) or "only" in words(others.text)
    assert await world.value("select count(*) from shop_order") == 0
    shown = await buyer.buy(sold.product.id, **{"account-phone": mine})
    assert shown.status_code == 200
    swapped = {**fields(shown.text, "/checkout"), "account-phone": OTHERS}
    assert (await buyer.client.post("/checkout", data=swapped)).status_code == 422
    placed = await buyer.client.post("/checkout", data=fields(shown.text, "/checkout"))
    assert placed.status_code == 303
    order = (await world.rows("select id from shop_order"))[0]
    from types import SimpleNamespace

    await world.pay(SimpleNamespace(id=order["id"]))  # type: ignore[arg-type]
    await world.ask_gateway(SimpleNamespace(id=order["id"]))  # type: ignore[arg-type]
    before = sold.effects()
    await world.work()
    await settle(world)
    assert sold.effects() == before + 1


async def test_a_proof_that_ended_between_the_two_steps_is_no_proof_and_the_cart_asks_too(
    world: World, company: SupplierSimulator, mine: str
) -> None:
    sold, buyer = await bound(world, company), Buyer(world.client())
    await prove(world, buyer, sold, mine)
    shown = await buyer.buy(sold.product.id, **{"account-phone": mine})
    await world.rows("update buyer_session set expires_at = now() - interval '1 minute' returning 1")
    assert (await buyer.client.post("/checkout", data=fields(shown.text, "/checkout"))).status_code == 422
    listing = str(sold.listing_id)
    token = fields((await buyer.get(f"/products/{sold.product.id}")).text, "/checkout")["_csrf"]
    assert (await buyer.client.post("/cart/lines", data={"_csrf": token, "listing": listing, "quantity": "1"})).status_code == 303
    name = f"account-{sold.listing_id.hex}-phone"
    refused = await buyer.send("/cart", "/cart/checkout", contact="13800132046", **{name: mine})
    assert refused.status_code == 422
    assert f'id="f-{name}-error"' in refused.text
    assert await world.value("select count(*) from shop_order") == 0


async def test_red_without_the_rule_anybodys_number_is_credited(world: World, company: SupplierSimulator) -> None:
    sold, buyer = await bound(world, company), Buyer(world.client())
    async with tenant_session(world.tenant) as session:
        await catalog.bind_account(session, sold.product.id, is_bound=False, actor=STAFF)
    forget_shelf(world.tenant)
    assert (await buyer.buy(sold.product.id, **{"account-phone": OTHERS})).status_code == 200
    assert (await buyer.get(f"/products/{sold.product.id}/proof")).status_code == 404


async def test_the_merchant_binds_what_can_be_proved(world: World, company: SupplierSimulator) -> None:
    sold, owner = await top_up(world, company), await staff(world)
    path = f"/products/{sold.product.id}/account"
    assert "Only the buyer's own" in words((await owner.get(path)).text)
    assert [(await owner.post(f"{path}/binding", {"is_bound": "yes"})).status_code for _ in range(2)] == [303, 303]
    assert await world.value("select binds_account from product where id = $1", sold.product.id)
    assert await world.value("select count(*) from audit_entry where action = 'product.account_bound'") == 1
    assert (await (await staff(world, MemberRole.READ_ONLY)).post(f"{path}/binding", {})).status_code == 403
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await stranger.post(f"{path}/binding", {})).status_code == 404
    game = await top_up(world, company, fields=(AccountField("qq", "QQ", FieldKind.QQ),))
    assert (await owner.post(f"/products/{game.product.id}/account/binding", {"is_bound": "yes"})).status_code == 422
