"""The calls a recipe may describe beside placing and asking: catalog, goods, a check of the account, the balance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from app.kernel.http import Answer, Call, Client
from app.suppliers.connectors import open_connector
from app.suppliers.connectors.port import (
    AccountFits,
    AccountRefused,
    Asked,
    Balance,
    CatalogItem,
    CatalogPage,
    Connector,
    NoSuchGoods,
    Purchase,
    Rejected,
    Unknown,
)

pytestmark = pytest.mark.anyio
ASK = {"path": "/ask", "answer": {"code_at": "/code", "codes": {"0": "accepted"}}}
ITEM = {
    "supplier_sku": "/id",
    "name": "/name",
    "unit_cost": "/cost",
    "stock": "/left",
    "face_value": "/value",
    "on_sale": "/up",
    "on_sale_values": ["true", "1"],
    "kind": "/kind",
    "kinds": {"zc": "direct_top_up"},
}
CALLS: Mapping[str, Any] = {
    "place": ASK,
    "query": ASK,
    "catalog": {
        "method": "GET",
        "path": "/goods",
        "query": {"page": "{page.number}", "size": "{page.size}"},
        "answer": {"code_at": "/code", "codes": {"0": "ok"}, "items": "/list", "item": ITEM},
    },
    "goods": {
        "path": "/one",
        "body": {"id": "{goods.supplier_sku|number}"},
        "answer": {"code_at": "/code", "codes": {"0": "ok", "404": "not_found"}, "items": "/goods", "item": ITEM},
    },
    "pre_check": {
        "path": "/check",
        "body": {"to": "{account.phone}"},
        "answer": {
            "code_at": "/code",
            "codes": {"0": "ok", "7": "rejected:bad_account"},
            "says_at": "/why",
            "account_name": "/who",
        },
    },
    "balance": {"path": "/me", "answer": {"code_at": "/code", "codes": {"0": "ok"}, "amount": "/money"}},
}
GOODS = {"id": 1, "name": "月卡", "cost": 9.85, "left": 3, "value": "15.00", "up": True, "kind": "km"}


class Supplier:
    """Answers by the path, and keeps what it was asked."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.calls: list[Call] = []

    async def send(self, call: Call, **_limits: float) -> Answer:
        self.calls.append(call)
        path = call.url.removeprefix("https://supplier.example").partition("&size")[0]
        return Answer(200, json.dumps(self.answers[path]).encode(), {})


def opened(supplier: Supplier, **changes: Any) -> Connector:
    recipe = {"title": "Test", "base_url": "https://supplier.example", "page_size": 2, "calls": CALLS} | changes
    return open_connector("declarative", {"recipe": json.dumps(recipe)}, cast(Client, supplier))


async def test_catalog_goes_page_by_page_and_counts_what_makes_no_sense() -> None:
    top_up = {**GOODS, "id": "2", "kind": "zc", "up": 0, "left": None, "value": None}
    supplier = Supplier(
        {"/goods?page=1": {"code": 0, "list": [GOODS, top_up]}, "/goods?page=2": {"code": 0, "list": [{**GOODS, "cost": -1}]}}
    )
    connector = opened(supplier)
    first = await connector.catalog(None, None)
    assert isinstance(first, CatalogPage)
    assert first.items == (
        CatalogItem("1", "月卡", "card_key", Decimal("9.85"), "CNY", True, 3, 1500),
        CatalogItem("2", "月卡", "direct_top_up", Decimal("9.85"), "CNY", False, None, None),
    )
    assert await connector.catalog(first.next_cursor, None) == CatalogPage((), None, 1)
    assert [call.method for call in supplier.calls] == ["GET", "GET"]
    assert supplier.calls[0].body == b""


async def test_a_list_of_everything_is_cut_into_pages() -> None:
    calls = {**CALLS, "catalog": {**CALLS["catalog"], "query": {}}}
    supplier = Supplier({"/goods": {"code": 0, "list": [{**GOODS, "id": number} for number in range(1100)]}})
    connector, cursor, sizes, seen = opened(supplier, calls=calls), None, [], set()
    while not sizes or cursor:
        page = await connector.catalog(cursor, None)
        assert isinstance(page, CatalogPage)
        sizes.append(len(page.items))
        seen |= {item.supplier_sku for item in page.items}
        cursor = page.next_cursor
    assert sizes == [500, 500, 100]
    assert len(seen) == 1100


@pytest.mark.parametrize("answer", [{"code": 1}, {"code": 0}, {"code": 0, "list": "no"}, {}])
async def test_catalog_that_is_none_is_unknown(answer: Any) -> None:
    assert isinstance(await opened(Supplier({"/goods?page=1": answer})).catalog(None, None), Unknown)


async def test_goods_of_this_moment() -> None:
    def one(answer: Any) -> Connector:
        return opened(Supplier({"/one": answer}))

    found = await one({"code": 0, "goods": GOODS}).goods("1")
    assert isinstance(found, CatalogItem)
    assert found.stock == 3
    assert await one({"code": 404}).goods("1") == NoSuchGoods()
    for answer in (
        {"code": 0, "goods": {**GOODS, "id": 2}},
        {"code": 0, "goods": [GOODS, GOODS]},
        {"code": 9},
        {"code": 0, "goods": {**GOODS, "cost": "NaN"}},
    ):
        assert isinstance(await one(answer).goods("1"), Unknown)


async def test_value_that_has_not_the_form_asked_for_is_not_sent() -> None:
    supplier = Supplier({})
    found = await opened(supplier).goods("A-1")
    assert isinstance(found, Unknown)
    assert not found.is_sent
    number = {"path": "/buy", "body": {"id": "{purchase.supplier_sku|number}"}, "answer": ASK["answer"]}
    connector = opened(supplier, calls={"place": number, "query": ASK})
    assert isinstance(await connector.place(Purchase("Q1", "A-1", {}, None, "CNY", None, "")), Rejected)
    assert supplier.calls == []


async def test_account_is_checked() -> None:
    async def checked(answer: Any) -> object:
        return await opened(Supplier({"/check": answer})).pre_check("1", {"phone": "13800138000"})

    assert await checked({"code": 0, "who": "*三"}) == AccountFits("*三")
    refused = await checked({"code": 7, "why": "空号"})
    assert isinstance(refused, AccountRefused)
    assert "空号" in refused.says
    assert isinstance(await checked({"code": 8}), Unknown)


async def test_balance() -> None:
    assert await opened(Supplier({"/me": {"code": 0, "money": "120.50"}})).balance() == Balance(Decimal("120.50"), "CNY")
    for money in (None, -1, "NaN", "1,000", [], True):
        assert isinstance(await opened(Supplier({"/me": {"code": 0, "money": money}})).balance(), Unknown)


async def test_what_the_recipe_does_not_describe_is_not_sent() -> None:
    supplier = Supplier({})
    connector = opened(supplier, calls={"place": ASK, "query": ASK})
    answers = [
        await connector.catalog(None, None),
        await connector.goods("1"),
        await connector.pre_check("1", {}),
        await connector.balance(),
        await connector.statement(datetime.now(UTC).date(), None),
    ]
    assert all(isinstance(answer, Unknown) and not answer.is_sent for answer in answers)
    assert supplier.calls == []


async def test_status_of_no_listed_code_is_unknown_when_asking() -> None:
    found = await opened(Supplier({"/ask": {"code": "00"}})).query(Asked("Q1", None, datetime.now(UTC)))
    assert isinstance(found, Unknown)
