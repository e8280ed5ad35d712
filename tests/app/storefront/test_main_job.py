"""A stranger opens the shop, buys, pays and reads his key, without scripts."""

from __future__ import annotations

import asyncio

import pytest

from tests.app.storefront.buyer import Buyer, words
from tests.world import World

pytestmark = [pytest.mark.anyio]


async def test_from_the_home_page_to_the_key(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, ["AAAA-BBBB-CCCC-0001 secret-pin"])
    buyer = Buyer(world.client())
    home = await buyer.get("/")
    assert home.status_code == 200
    assert f"/products/{product.id}" in home.text
    placed = await buyer.buy(product.id)
    assert placed.status_code == 303, words(placed.text)
    order_path = placed.headers["location"]
    waiting = await buyer.get(order_path)
    assert "Waiting for your payment" in waiting.text
    paying = await buyer.send(order_path, f"{order_path}/payment")
    assert paying.status_code == 303
    assert paying.headers["location"].startswith(world.gateway.url)
    payment_no = await world.value("select payment_no from payment")
    await asyncio.to_thread(world.gateway.pay, payment_no)
    asked = await buyer.send(order_path, f"{order_path}/question")
    assert asked.headers["location"] == order_path
    await world.work()
    delivered = await buyer.get(order_path)
    assert "Your key is here" in delivered.text
    assert "AAAA-BBBB" not in delivered.text
    action = next(part for part in delivered.text.split('"') if "/reveals/" in part)
    shown = await buyer.send(order_path, action)
    assert "AAAA-BBBB-CCCC-0001" in shown.text
    assert "secret-pin" in shown.text
    assert shown.headers["cache-control"] == "no-store"
