"""What a gateway tells of a payment may come in any order and any number of times: the end is the same."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from app.ordering.placing import Placed
from app.payments import capturing
from app.payments import service as payments
from app.payments.gateways.port import Captured, PaymentEvent, PaymentNotice
from tenants.session import tenant_tx
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database, pytest.mark.case("C02")]
T = TypeVar("T")
_WAIT_S = 60
EXAMPLES, STEPS = 15, 8
PAID_AT = datetime(2026, 11, 21, 6, 31, tzinfo=UTC)
WORDS = ("paid", "paid, told anew", "paid once more", "closed", "answered paid", "misstated")


class PaymentMerge(RuleBasedStateMachine):
    """Collects words of the gateway; at the end two equal orders hear them, one in order and once, the other shuffled and repeated."""

    world: World
    loop: asyncio.AbstractEventLoop
    listing_id: UUID
    words = Bundle("words")

    def run_in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_WAIT_S)

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.shuffle = random.Random(seed)
        self.heard: list[str] = []

    @rule(target=words, word=st.sampled_from(WORDS))
    def hear(self, word: str) -> str:
        self.heard.append(word)
        return word

    @rule(word=words)
    def hear_again(self, word: str) -> None:
        self.heard.append(word)

    def teardown(self) -> None:
        if getattr(self, "heard", None):
            self.run_in_loop(self._compare())

    async def _compare(self) -> None:
        once = list(dict.fromkeys(self.heard))
        mixed = self.heard + self.shuffle.choices(self.heard, k=3)
        self.shuffle.shuffle(mixed)
        assert await self._tell(once) == await self._tell(mixed), (once, mixed)

    async def _tell(self, words: list[str]) -> dict[str, Any]:
        """Tell a fresh order's payment all of it; where everything then stands."""
        placed = await self.world.order(self.listing_id, contact=f"138{self.shuffle.randrange(10**8):08d}")
        await payments.open_payment(self.world.tenant, placed.id)
        payment = (
            await self.world.rows(
                "select id, payment_no, gateway_ref, connection_id, amount_minor from payment where order_id = $1", placed.id
            )
        )[0]
        for word in words:
            await self._say(payment, word)
        return await self._stands(placed)

    async def _say(self, payment: dict[str, Any], word: str) -> None:
        number = payment["payment_no"]
        told = PaymentNotice(
            PaymentEvent.SUCCEEDED, "m", f"{number} {word}", number, payment["gateway_ref"], f"{number} txn", payment["amount_minor"],
            "CNY", PAID_AT,
        )  # fmt: skip
        async with tenant_tx(self.world.tenant) as tx:
            if word == "answered paid":
                found = Captured(f"{number} txn", payment["gateway_ref"], payment["amount_minor"], "CNY", PAID_AT)
                await capturing.take_answer(tx, payment["id"], found)
                return
            if word == "paid once more":
                told = replace(told, gateway_txn=f"{number} second txn")
            elif word == "closed":
                told = replace(told, event=PaymentEvent.CLOSED, gateway_txn=None)
            elif word == "misstated":
                told = replace(told, amount_minor=1)
            await capturing.take_notices(tx, [(payment["connection_id"], told)])

    async def _stands(self, placed: Placed) -> dict[str, Any]:
        rows = self.world.rows
        return {
            "order": await self.world.value("select state from shop_order where id = $1", placed.id),
            "payment": await rows("select state from payment where order_id = $1", placed.id),
            "captures": Counter(
                row["purpose"] for row in await rows("select purpose from capture where order_id = $1", placed.id)
            ),
            "refunds": await rows("select reason, state, amount_minor from refund where order_id = $1", placed.id),
            "units": await rows("select state from delivery_unit where order_id = $1", placed.id),
            "cases": await rows("select kind, state from staff_case where order_id = $1", placed.id),
        }


async def test_any_order_of_words_ends_the_same(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 200)
    PaymentMerge.world, PaymentMerge.loop = world, asyncio.get_running_loop()
    PaymentMerge.listing_id = product.skus[0].listing.id
    chosen = settings(
        database=None,
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    await asyncio.to_thread(run_state_machine_as_test, PaymentMerge, settings=chosen)
