"""Each connector against its recorded vectors: the bytes it sends, its signatures, and what it makes of an answer."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest
import time_machine

from app.suppliers.connectors import bearer, open_connector
from tests.app.suppliers.connectors.abroad import recorded

pytestmark = pytest.mark.anyio
VECTORS = list(recorded.vectors())


@pytest.fixture(autouse=True)
def without_tokens() -> Iterator[None]:
    bearer._kept.clear()
    yield
    bearer._kept.clear()


@pytest.mark.parametrize("vector", [vector for _, vector in VECTORS], ids=[name for name, _ in VECTORS])
async def test_vector(vector: Mapping[str, Any]) -> None:
    player = recorded.Player(copy.deepcopy(vector.get("exchanges", [])))
    connector = open_connector(vector["connector"], vector["config"] | vector.get("settings", {}), player)
    with time_machine.travel(datetime.fromisoformat(vector.get("now", "2026-11-20T08:00:00+00:00")), tick=False):
        match vector["verb"]:
            case "place":
                outcome: object = await connector.place(recorded.purchase_of(vector["purchase"]))
            case "query":
                outcome = await connector.query(recorded.asked_of(vector["asked"]))
            case "catalog":
                outcome = await connector.catalog(None, None)
            case "goods":
                outcome = await connector.goods(vector["supplier_sku"])
            case "pre_check":
                outcome = await connector.pre_check(vector["supplier_sku"], vector["account"])
            case "balance":
                outcome = await connector.balance()
            case _:
                now = datetime.fromisoformat(vector["now"])
                outcome = connector.verify_notice(recorded.notice_of(vector["notice"]), now)
    assert recorded.told(outcome) == vector["outcome"]
    assert player.exchanges == []


def test_every_vector_says_where_its_facts_stand() -> None:
    assert VECTORS
    for name, vector in VECTORS:
        assert len(vector["source"]) > 20, name
