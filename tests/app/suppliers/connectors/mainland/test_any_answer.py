"""Whatever a supplier answers, a connector returns one of the port's values: it raises nothing, and delivers only what is listed and ours."""

from __future__ import annotations

import asyncio
import copy
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.kernel.http import Answer, Call, Client
from app.suppliers.connectors import open_connector
from app.suppliers.connectors.fulu.signing import sign
from app.suppliers.connectors.port import (
    AccountFits,
    AccountRefused,
    Asked,
    Balance,
    CatalogItem,
    CatalogPage,
    Connector,
    Delivered,
    Forged,
    NoSuchGoods,
    Purchase,
    RawNotice,
    Unknown,
)
from tests.app.suppliers.connectors.mainland.companies import completed

NOW = datetime(2026, 11, 21, 4, 5, 6, tzinfo=UTC)
OURS = "Q26112100000001"
SECRET = "0123456789abcdef0123456789abcdef"
ORDER = {
    "fulu": {
        "order_id": "F1",
        "customer_order_no": OURS,
        "order_state": "success",
        "order_price": 9.5,
        "buy_num": 1,
        "cards": None,
    },
    "kasushou": {"ordersn": "K1", "external_orderno": OURS, "status": 3, "total_price": "9.5", "quantity": 1, "cards": []},
    "family_962699": {"customerOrderNo": OURS, "orderNo": "Z1", "status": 2, "price": "9.5", "cards": []},
}
"""A right answer of each that delivers, to be spoilt in one place."""

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([OURS, "2", "3", "success", -1])
)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4), max_leaves=8
)


class Fixed:
    """A client whose every answer is the same."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.answer = Answer(status, body, {})

    async def send(self, _call: Call, **_limits: float) -> Answer:
        return self.answer


def opened(name: str, body: bytes, status: int = 200) -> Connector:
    client = cast(Client, Fixed(body, status))
    match name:
        case "fulu":
            return open_connector("fulu", {"app_key": "k", "app_secret": SECRET}, client)
        case "kasushou":
            config = {
                "base_url": "https://x.example",
                "user_id": "1",
                "api_key": "k",
                "states": "2=processing,3=success,4=failed",
            }
            return open_connector("kasushou", config, client)
        case _:
            config = {"recipe": json.dumps(completed(name)), "credentials": "app_id = 1\napp_key = k"}
            return open_connector("declarative", config, client)


def enveloped(name: str, order: Any) -> bytes:
    if name == "fulu":
        text = json.dumps(order)
        return json.dumps({"code": 0, "message": "", "result": text, "sign": sign(text, SECRET)}).encode()
    return json.dumps({"code": 200, "data": [order] if name == "kasushou" else order}).encode()


async def everything(connector: Connector) -> list[object]:
    return [
        await connector.place(Purchase(OURS, "1", {}, None, "CNY", None, "")),
        await connector.query(Asked(OURS, None, NOW)),
        await connector.catalog(None, None),
        await connector.goods("1"),
        await connector.pre_check("1", {"account": "1"}),
        await connector.balance(),
    ]


@pytest.mark.case("B07")
@pytest.mark.parametrize("name", sorted(ORDER))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    answer=anything
    | st.builds(lambda inner: {"code": 200, "data": inner}, anything)
    | st.builds(lambda inner: {"code": 0, "result": json.dumps(inner)}, anything)
)
def test_any_json_is_one_of_the_ports_values(name: str, answer: Any) -> None:
    body = json.dumps(answer).encode()
    placed, found, *others = asyncio.run(everything(opened(name, body)))
    assert not isinstance(placed, Delivered)
    assert not isinstance(found, Delivered) or OURS in body.decode()
    for other in others:
        assert isinstance(other, CatalogPage | CatalogItem | NoSuchGoods | AccountFits | AccountRefused | Balance | Unknown)


@pytest.mark.case("B07")
@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=200), status=st.sampled_from([200, 204, 301, 404, 500]))
def test_any_bytes_are_unknown(body: bytes, status: int) -> None:
    for name in ORDER:
        placed, found, *_ = asyncio.run(everything(opened(name, body, status)))
        assert isinstance(placed, Unknown)
        assert isinstance(found, Unknown)


@pytest.mark.parametrize("name", sorted(ORDER))
def test_the_right_answer_delivers(name: str) -> None:
    found = asyncio.run(opened(name, enveloped(name, ORDER[name])).query(Asked(OURS, None, NOW)))
    assert isinstance(found, Delivered)
    assert found.unit_cost == Decimal("9.5")


@pytest.mark.case("B07", "B10")
@pytest.mark.parametrize("name", sorted(ORDER))
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_right_answer_spoilt_in_one_place_never_delivers_a_secret_or_a_cost_that_is_none(
    name: str, data: st.DataObject
) -> None:
    order = copy.deepcopy(ORDER[name])
    key = data.draw(st.sampled_from(sorted(order)))
    value = data.draw(anything)
    order[key] = value
    found = asyncio.run(opened(name, enveloped(name, order)).query(Asked(OURS, None, NOW)))
    if isinstance(found, Delivered):
        assert len(found.issued) <= 1
        assert found.unit_cost is None or (found.unit_cost.is_finite() and found.unit_cost >= 0)
        assert key not in ("customer_order_no", "external_orderno", "customerOrderNo") or value == OURS


@settings(max_examples=80, deadline=None)
@given(body=st.binary(max_size=100) | st.builds(lambda value: json.dumps(value).encode(), anything), query=st.text(max_size=40))
def test_any_notice_is_forged(body: bytes, query: str) -> None:
    for name in ORDER:
        assert isinstance(opened(name, b"").verify_notice(RawNotice({"sign": "x"}, query, body), NOW), Forged)
