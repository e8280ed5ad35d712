"""The supplier simulator itself: its book is what other tests believe, so it must not lie."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from simulators.supplier.protocols.kasushou import sign
from tests.simulators import SupplierSimulator, supplier_simulator


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("supplier"), "kasushou") as started:
        yield started


@pytest.fixture(autouse=True)
def fresh(simulator: SupplierSimulator) -> Iterator[None]:
    simulator.goods({"sku": "A", "cost": "2.5", "stock": 3})
    yield
    simulator.clear_script()
    simulator.conduct(state="up", latency_ms=0, decide_ms=0, most_at_once=0, most_per_second=0, repeats="protocol")


def ask(simulator: SupplierSimulator, client: dict[str, str], path: str, **content: Any) -> Any:
    timestamp = str(int(time.time() * 1000))
    headers = {"UserId": client["user_id"], "Timestamp": timestamp, "Sign": sign(timestamp, content, client["api_key"])}
    answer = httpx2.post(f"{simulator.url}/api/v1/{path}", json=content, headers=headers, trust_env=False, timeout=10)
    return answer.json()


def buy(simulator: SupplierSimulator, client: dict[str, str], number: str, **changes: Any) -> Any:
    return ask(simulator, client, "order/buy", **{"id": "A", "quantity": 1, "external_orderno": number} | changes)


def balance(simulator: SupplierSimulator, client: dict[str, str]) -> float:
    return float(ask(simulator, client, "user/info")["data"]["money"])


def test_money_and_stock_are_taken_once_and_come_back_with_a_failure(simulator: SupplierSimulator) -> None:
    client = simulator.client(balance="10")
    assert [buy(simulator, client, "N1")["code"] for _ in range(2)] == [200, 200]
    assert (balance(simulator, client), simulator.effects("N1")) == (7.5, 1)
    simulator.script({"decision": "failure"}, on="place", out_no="N2")
    buy(simulator, client, "N2")
    assert (balance(simulator, client), simulator.effects("N2")) == (7.5, 0)
    assert [buy(simulator, client, f"N{n}")["code"] for n in (3, 4, 5)] == [200, 200, 1003]
    simulator.change_goods("A", stock=None, cost="3")
    assert [buy(simulator, client, f"N{n}")["code"] for n in (6, 7)] == [1004, 1004]


@pytest.mark.parametrize(("repeats", "code", "effects"), [("same", 200, 1), ("refuse", 1007, 1), ("again", 200, 2)])
def test_repeats_are_what_the_conduct_says(simulator: SupplierSimulator, repeats: str, code: int, effects: int) -> None:
    client = simulator.client()
    simulator.conduct(repeats=repeats)
    assert [buy(simulator, client, f"R-{repeats}")["code"] for _ in range(2)] == [200, code]
    assert simulator.effects(f"R-{repeats}") == effects
    placed = [call for call in simulator.book(f"R-{repeats}")["asked"] if call["step"] == "place"]
    assert len(placed) == 2


def test_cards_are_handed_out_once_in_their_order(simulator: SupplierSimulator) -> None:
    client = simulator.client()
    simulator.cards("A", {"number": "C1"}, {"number": "C2"})
    for number in ("K1", "K2", "K3"):
        buy(simulator, client, number)
    given = [simulator.book(number)["cards"][0]["number"] for number in ("K1", "K2", "K3")]
    assert given[:2] == ["C1", "C2"]
    assert len(set(given)) == 3


def test_clients_do_not_see_each_other_and_strangers_are_refused(simulator: SupplierSimulator) -> None:
    mine, other = simulator.client(), simulator.client()
    buy(simulator, mine, "S1")
    assert ask(simulator, other, "order/info", external_orderno="S1")["data"] == []
    assert buy(simulator, {**mine, "api_key": "x"}, "S2")["code"] == 401
    assert simulator.book("S2")["purchases"] == []


def test_conduct_of_the_company(simulator: SupplierSimulator) -> None:
    client = simulator.client()
    simulator.conduct(state="down")
    with pytest.raises(httpx2.TransportError):
        buy(simulator, client, "D1")
    simulator.conduct(state="unavailable")
    assert httpx2.post(simulator.url + "/api/v1/order/buy", trust_env=False).status_code == 503
    simulator.conduct(state="up", most_per_second=1)
    assert 429 in {buy(simulator, client, f"D{n}")["code"] for n in range(2, 6)}
    simulator.conduct(most_per_second=0, latency_ms=150)
    started = time.monotonic()
    buy(simulator, client, "D9")
    assert time.monotonic() - started >= 0.15
    assert simulator.http.patch("/conduct", json={"state": "asleep"}).status_code == 400


def test_the_book_outlives_its_process(tmp_path: Path) -> None:
    with supplier_simulator(tmp_path, "kasushou") as first:
        first.goods({"sku": "A"})
        client = first.client()
        first.script({"decide_ms": 200}, on="place")
        buy(first, client, "L1")
        first.process.kill()
    time.sleep(0.3)
    with supplier_simulator(tmp_path, "kasushou") as second:
        [order] = ask(second, client, "order/info", external_orderno="L1")["data"]
        assert order["status"] == 3
        assert second.effects("L1") == 1


def test_signature_is_over_sorted_keys() -> None:
    assert sign("1", {"b": 1, "a": "云/"}, "k") == sign("1", {"a": "云/", "b": 1}, "k")
