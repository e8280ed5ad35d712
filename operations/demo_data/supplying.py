"""Who sells to the demo's merchant: two simulated companies of different protocols, tested, switched on, read and routed by the verbs that pages call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.catalog import queries as catalog_queries
from app.catalog import service as catalog
from app.kernel import http
from app.ordering.rules import Offered
from app.storefront.shelf import forget_shelf, shelf_of
from app.suppliers import exchange, offering, service, syncing, testing
from app.suppliers import importing as offer_importing
from app.suppliers.exchange import RateTerms
from app.suppliers.importing import ImportRules
from app.suppliers.models import ConnectionMode, OwnStock, RoutePolicy
from app.suppliers.offering import Shown, Wanted
from app.suppliers.queries import connection_or_404
from app.suppliers.service import ConnectionTerms, RouteTerms, SupplierTerms
from app.suppliers.testing import TestTerms
from operations.demo_data import ABROAD, MAINLAND, trade
from operations.demo_data.people import Opened
from operations.demo_data.stocking import Shelved
from tenants.session import tenant_session, tenant_tx

_MOST_QUESTIONS = 20
_PHONE = [{"name": "phone", "label": "手机号"}]
_USD = RateTerms("USD", Decimal("7.12"), good_days=30, safety_bp=100)


@dataclass(frozen=True, slots=True)
class _Company:
    """A simulated company: what was agreed, how it is reached, what it sells, and what of that is bought as a test."""

    protocol: str
    terms: SupplierTerms
    name: str
    path: str
    settings: Mapping[str, str]
    balance: int
    currency: str
    warn_below: int
    goods: Sequence[Mapping[str, Any]]
    tested: str


_COMPANIES = (
    _Company(
        MAINLAND,
        SupplierTerms("青汇卡券", "对接群：青汇-南枝", 7, 3, "七天一结；卡密三天内可退换；话费到账失败原路退回。"),
        "青汇卡券 主账号",
        "",
        {
            "states": "2=processing,3=success,4=failed",
            "refusals": "1001=not_for_sale, 1002=not_for_sale, 1003=out_of_stock, 1004=no_balance, 1005=bad_account, 1006=price_changed",
        },
        20_000,
        "CNY",
        2_000,
        (
            {"sku": "10050", "name": "话费 50 元", "kind": "top_up", "cost": "49.3", "face_value_minor": 5_000, "account_fields": _PHONE},
            {"sku": "10100", "name": "话费 100 元", "kind": "top_up", "cost": "98.6", "face_value_minor": 10_000, "account_fields": _PHONE},
            {"sku": "20001", "name": "浅海音乐会员 月卡", "cost": "6.95", "face_value_minor": 1_500, "stock": 400},
            {"sku": "20101", "name": "流波云课堂 月卡", "cost": "16.8", "face_value_minor": 2_500, "stock": 260},
            {"sku": "20102", "name": "晴川听歌 年卡", "cost": "88.5", "face_value_minor": 13_800, "stock": 90},
            {"sku": "20103", "name": "微澜修图 季卡", "cost": "21.4", "face_value_minor": 3_600, "stock": 150},
            {"sku": "20190", "name": "旧版点卡 30 元", "cost": "28.8", "face_value_minor": 3_000, "stock": 0, "is_on_sale": False},
        ),
        "20101",
    ),
    _Company(
        ABROAD,
        SupplierTerms("远航充值", "support@yuanhang.example", 0, 7, "预付美元；到账失败当日退回余额。"),
        "远航充值 美元账户",
        "/api/V1",
        {
            "refusals": "AccountNumberInvalid=bad_account, ProductOutOfStock=out_of_stock, InsufficientBalance=no_balance, ProductUnavailable=not_for_sale",
        },
        1_500,
        "USD",
        200,
        (
            {"sku": "CN50", "name": "China airtime CNY 50", "kind": "top_up", "cost": "6.92", "region": "CN"},
            {"sku": "CN100", "name": "China airtime CNY 100", "kind": "top_up", "cost": "13.82", "region": "CN"},
            {
                "sku": "WORLD", "name": "World airtime USD 5 to 100", "kind": "top_up", "cost": "1", "region": "",
                "least_minor": 500, "most_minor": 10_000,
            },
        ),
        "CN50:6.92",
    ),
)  # fmt: skip
_IMPORTED = ("20101", "20102", "20103")
_TEST_ACCOUNT = {"phone": "13800138000"}


@dataclass(frozen=True, slots=True)
class Supplied:
    """What stands: connections by protocol, offers by their supplier's SKU, and the listings that suppliers deliver, by product and SKU."""

    desks: Mapping[str, str]
    connections: Mapping[str, UUID]
    offers: Mapping[str, UUID]
    listings: Mapping[tuple[str, str], Offered]


async def connect(opened: Opened, shelved: Sequence[Shelved], addresses: Mapping[str, str]) -> Supplied:
    """Connect the simulated companies at these addresses, and put on sale what they deliver. Raises: CallFailed when one of them is away."""
    connections = {one.protocol: await _connect(opened, one, addresses[one.protocol]) for one in _COMPANIES}
    async with tenant_session(opened.tenant) as session:
        await exchange.set_rate(session, _USD, actor=opened.owner)
    offers = {sku: found for one in _COMPANIES for sku, found in (await _offers(opened, connections[one.protocol])).items()}
    for one in _COMPANIES:
        await _switch_on(opened, connections[one.protocol], offers[one.tested])
    await _import(opened, connections[MAINLAND], [offers[sku] for sku in _IMPORTED])
    await _route(opened, shelved, offers)
    await trade.work(opened.tenant)
    forget_shelf(opened.tenant)
    shelf = await shelf_of(opened.tenant)
    desks = {protocol: f"{address}/desk" for protocol, address in addresses.items()}
    listings = {(offered.product_name, offered.sku_name): offered for offered in shelf.offers.values()}
    return Supplied(desks, connections, offers, listings)


async def tell(desk: str, method: str, path: str, document: object) -> dict[str, Any]:
    """Have a simulated company's desk do something. Raises: CallFailed when it is away."""
    body = json.dumps(document, ensure_ascii=False).encode()
    answer = await http.shared().send(http.Call(method, desk + path, {"Content-Type": "application/json"}, body))
    found: dict[str, Any] = json.loads(answer.body)
    return found


async def _connect(opened: Opened, company: _Company, address: str) -> UUID:
    """Open an account there, put its goods on its shelf, and connect; its catalog and balance are read at once."""
    desk, asked = f"{address}/desk", {"name": opened.tenant.slug, "balance": str(company.balance), "currency": company.currency}
    account = await tell(desk, "POST", "/clients", asked)
    await tell(desk, "POST", "/goods", [{"currency": company.currency, **one} for one in company.goods])
    settings = {"base_url": address + company.path, **account["credentials"], **company.settings}
    terms = ConnectionTerms(
        company.protocol, company.name, settings, ConnectionMode.TEST, Decimal(20), 8, warn_below=Decimal(company.warn_below)
    )
    async with tenant_session(opened.tenant) as session:
        supplier = await service.add_supplier(session, company.terms, actor=opened.owner)
        connection = await service.connect(session, supplier.id, terms, actor=opened.owner)
    await syncing.sync(opened.tenant, connection.id)
    return connection.id


async def _offers(opened: Opened, connection_id: UUID) -> dict[str, UUID]:
    async with tenant_tx(opened.tenant) as tx:
        page = await offering.offers(tx, Wanted(connection_id))
    return {row["supplier_sku"]: row["id"] for row in page.rows}


async def _switch_on(opened: Opened, connection_id: UUID, offer_id: UUID) -> None:
    """Buy one unit as a test, ask until it is there, and let the connection serve orders."""
    async with tenant_session(opened.tenant) as session:
        test_id = await testing.start(session, connection_id, TestTerms(offer_id, _TEST_ACCOUNT), actor=opened.owner)
    for _ in range(_MOST_QUESTIONS):
        await testing.go_on(opened.tenant, test_id)
        async with tenant_session(opened.tenant) as session:
            connection = await connection_or_404(session, connection_id)
            if connection.tested_at is not None:
                await service.switch(session, connection, is_on=True, actor=opened.owner)
                return
    raise http.CallFailed("a test order did not arrive")


async def _import(opened: Opened, connection_id: UUID, offer_ids: list[UUID]) -> None:
    """Make products of a supplier's cards, with a mark-up on what they cost."""
    async with tenant_session(opened.tenant) as session:
        category = await catalog.category_named(session, "阅读学习")
        rules = ImportRules(1_500, "标准", ending_minor=90, floor_bp=300, category_id=category.id, is_put_on_sale=True)
        wanted = Wanted(connection_id, shown=Shown.FRESH)
        import_id = await offer_importing.start(session, wanted, offer_ids, rules, actor=opened.owner)
    await offer_importing.go_on(opened.tenant, import_id)


async def _route(opened: Opened, shelved: Sequence[Shelved], offers: Mapping[str, UUID]) -> None:
    """Both companies deliver airtime; one backs own stock, as its category says; the range of values has one source."""
    both_50, both_100 = (offers["10050"], offers["CN50:6.92"]), (offers["10100"], offers["CN100:13.82"])
    routes = {
        ("话费直充", "50 元"): RouteTerms([(offer_id, 1) for offer_id in both_50], RoutePolicy.CHEAPEST),
        ("话费直充", "100 元"): RouteTerms(list(zip(both_100, (7, 3), strict=True)), RoutePolicy.WEIGHTED),
        ("海外话费", "任意金额"): RouteTerms([(offers["WORLD"], 1)], RoutePolicy.FIXED_ORDER),
        ("浅海音乐会员", "月卡"): RouteTerms([(offers["20001"], 1)], None),
    }
    async with tenant_session(opened.tenant) as session:
        category = await catalog.category_named(session, "影音会员")
        await service.supply_category(
            session, category.id, policy=RoutePolicy.CHEAPEST, own_stock=OwnStock.FIRST, actor=opened.owner
        )
        for product in {one.product_id for one in shelved}:
            found = await catalog_queries.product_or_404(session, product)
            named = [(sku.id, routes[found.name, sku.name]) for sku in found.skus if (found.name, sku.name) in routes]
            for sku_id, terms in named:
                await service.route(session, sku_id, terms, actor=opened.owner)
            if named:
                await catalog.publish(session, product, actor=opened.owner)
