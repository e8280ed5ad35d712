"""Tokens: one fetch for many callers, kept until shortly before their end, dropped when refused, never shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from app.kernel.http import Answer, Call, Client, Unanswered
from app.suppliers.connectors import bearer
from app.suppliers.connectors.bearer import Grant, forget, token_for
from app.suppliers.connectors.port import Unknown
from tests.app.suppliers.connectors.abroad.companies import Shop

pytestmark = pytest.mark.anyio
GRANT = Grant("https://auth.example/token", "cid", "s3cret", "https://api.example")
START = datetime(2026, 11, 20, 8, tzinfo=UTC)


class TokenGiver(Client):
    """Counts how often it is asked, and answers slowly."""

    def __init__(self, *bodies: object, status: int = 200) -> None:
        self.bodies, self.status, self.asked = list(bodies), status, 0

    async def send(self, call: Call, *, read_s: float = 0, total_s: float = 0) -> Answer:
        self.asked += 1
        await asyncio.sleep(0.01)
        body = self.bodies[min(self.asked, len(self.bodies)) - 1]
        if isinstance(body, Exception):
            raise body
        return Answer(self.status, body if isinstance(body, bytes) else json.dumps(body).encode(), {})


@pytest.fixture(autouse=True)
def without_tokens() -> Iterator[None]:
    bearer._kept.clear()
    yield
    bearer._kept.clear()


def token(text: str, life_s: object = 3600) -> dict[str, object]:
    return {"access_token": text, "token_type": "Bearer", "expires_in": life_s}


async def test_many_callers_share_one_fetch() -> None:
    giver = TokenGiver(token("t1"), token("t2"))
    assert set(await asyncio.gather(*(token_for(GRANT, giver) for _ in range(50)))) == {"t1"}
    assert await token_for(GRANT, giver) == "t1"
    assert giver.asked == 1


async def test_caller_who_leaves_does_not_take_the_fetch_with_him() -> None:
    giver = TokenGiver(token("t1"))
    impatient = asyncio.create_task(token_for(GRANT, giver))
    patient = asyncio.create_task(token_for(GRANT, giver))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == "t1"
    assert giver.asked == 1


async def test_token_is_fetched_again_shortly_before_it_ends() -> None:
    giver = TokenGiver(token("t1", 3600), token("t2", 3600))
    with time_machine.travel(START, tick=False) as clock:
        assert await token_for(GRANT, giver) == "t1"
        clock.move_to(START + timedelta(minutes=58, seconds=59))
        assert await token_for(GRANT, giver) == "t1"
        clock.move_to(START + timedelta(minutes=59))
        assert await token_for(GRANT, giver) == "t2"


async def test_corrected_secret_never_meets_the_old_token() -> None:
    giver = TokenGiver(token("t1"), token("t2"))
    assert await token_for(GRANT, giver) == "t1"
    assert await token_for(Grant(GRANT.token_url, GRANT.client_id, "new", GRANT.audience), giver) == "t2"


async def test_forgotten_token_is_fetched_again() -> None:
    giver = TokenGiver(token("t1"), token("t2"))
    await token_for(GRANT, giver)
    forget(GRANT)
    forget(GRANT)
    assert await token_for(GRANT, giver) == "t2"


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"access_token": ""},
        {"access_token": None},
        {"access_token": 5},
        {"access_token": "a\r\nX-Evil: 1"},
        {"access_token": "é"},
        {"access_token": "t" * 9000},
        token("t", -1),
        token("t", "soon"),
        b"<html>",
        b"",
        Unanswered("no answer"),
    ],
    ids=lambda body: repr(body)[:30],
)
async def test_answer_without_a_token_is_unknown_and_nothing_was_sent(body: object) -> None:
    giver = TokenGiver(body)
    for _ in range(2):
        found = await token_for(GRANT, giver)
        assert isinstance(found, Unknown)
        assert not found.is_sent
    assert giver.asked == 2


async def test_refused_credentials_are_unknown_and_nothing_was_sent() -> None:
    found = await token_for(GRANT, TokenGiver({"message": "no"}, status=401))
    assert isinstance(found, Unknown)
    assert not found.is_sent
    assert "s3cret" not in repr(found)


async def test_neither_secret_nor_token_is_shown() -> None:
    await token_for(GRANT, TokenGiver(token("t0ken")))
    assert "s3cret" not in repr(GRANT)
    assert "t0ken" not in repr(bearer._kept)


async def test_store_of_tokens_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bearer, "MAX_KEPT", 3)
    for number in range(10):
        await token_for(Grant(GRANT.token_url, f"c{number}", "s", ""), TokenGiver(token("t")))
    assert len(bearer._kept) == 3


async def test_purchases_at_once_ask_the_supplier_for_one_token(shop: Shop) -> None:
    if shop.house.protocol != "reloadly":
        pytest.skip("uses no tokens")
    purchases = [shop.house.purchase() for _ in range(20)]
    before = sum(row["step"] == "token" for row in shop.simulator.book()["asked"])
    await asyncio.gather(*(shop.connector.place(purchase) for purchase in purchases))
    assert sum(row["step"] == "token" for row in shop.simulator.book()["asked"]) == before + 1
    assert [shop.effects(purchase) for purchase in purchases] == [1] * 20


async def test_token_the_supplier_no_longer_takes_is_dropped_and_nothing_is_repeated(shop: Shop) -> None:
    if shop.house.protocol != "reloadly":
        pytest.skip("uses no tokens")
    purchase = shop.house.purchase()
    shop.simulator.script({"status": 401}, on="place", times=1)
    assert isinstance(await shop.connector.place(purchase), Unknown)
    assert shop.effects(purchase) == 1
    await shop.query(purchase)
    tokens = [row for row in shop.simulator.book()["asked"] if row["step"] == "token"]
    assert len(tokens) >= 2
