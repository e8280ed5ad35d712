"""Six companies of the mainland, as the simulator plays them: how each is connected, and what is bought there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from app.kernel.http import Client
from app.suppliers.connectors import open_connector
from app.suppliers.connectors.declarative.presets import preset
from app.suppliers.connectors.port import Asked, Connector, Found, Outcome, Purchase
from tests.simulators import SupplierSimulator

numbers = (f"C{number:07d}" for number in count(1))
CARD, TOP_UP = "8801", "8802"
STATES = {"1": "accepted", "2": "delivered", "3": "rejected:refused"}

Config = Callable[[SupplierSimulator, Mapping[str, str]], dict[str, str]]


@dataclass(frozen=True)
class Company:
    """One connector beside the protocol the simulator speaks for it."""

    name: str
    connector: str
    config: Config
    refusal_codes: Mapping[str, str]
    """The simulator's codes by its word; a connection lists them as definite."""
    account: Mapping[str, str]
    has_notices: bool = True
    has_catalog: bool = True
    has_balance: bool = True
    field_that_is_none: str = "nickname"


def _fulu(simulator: SupplierSimulator, credentials: Mapping[str, str]) -> dict[str, str]:
    return {"gateway_url": simulator.url + "/api/getway", **credentials, "assumed": "not_found_codes = 4001"}


def _kasushou(simulator: SupplierSimulator, credentials: Mapping[str, str]) -> dict[str, str]:
    codes = "1001=not_for_sale, 1002=not_for_sale, 1003=out_of_stock, 1004=no_balance, 1005=bad_account, 1006=price_changed"
    return {"base_url": simulator.url, **credentials, "states": "2=processing,3=success,4=failed", "refusals": codes}


def _by_recipe(name: str) -> Config:
    def config(simulator: SupplierSimulator, credentials: Mapping[str, str]) -> dict[str, str]:
        return {
            "recipe": json.dumps(completed(name)),
            "credentials": "\n".join(
                f"{key} = {value}" for key, value in credentials.items() if not key.startswith("platform_private")
            ),
            "base_url": simulator.url,
        }

    return config


def completed(name: str) -> dict[str, Any]:
    """A preset with what a merchant fills in from his document: here, what this simulator answers."""
    recipe: dict[str, Any] = json.loads(preset(name))
    query = recipe["calls"]["query"]["answer"]
    if "statuses" in query:
        query["statuses"] = STATES
    query["codes"]["420" if name == "family_haixin" else "5404"] = "not_found"
    refusals = {
        "5002": "rejected:not_for_sale",
        "5004": "rejected:out_of_stock",
        "5005": "rejected:no_balance",
        "5006": "rejected:bad_account",
    }
    for call in ("place", "place_top_up"):
        if call in recipe["calls"]:
            recipe["calls"][call]["answer"]["codes"] |= refusals
    return recipe


_FAMILY_CODES = {"out_of_stock": "5004", "no_balance": "5005", "bad_account": "5006"}
COMPANIES = (
    Company(
        "fulu",
        "fulu",
        _fulu,
        {"out_of_stock": "3001", "no_balance": "3002", "bad_account": "3005"},
        {"charge_account": "13800138000"},
    ),
    Company(
        "kasushou",
        "kasushou",
        _kasushou,
        {"out_of_stock": "1003", "no_balance": "1004", "bad_account": "1005"},
        {"account": "13800138000"},
        has_notices=False,
        field_that_is_none="quantity",
    ),
    Company(
        "family_962699", "declarative", _by_recipe("family_962699"), _FAMILY_CODES, {"account": "13800138000"}, has_catalog=False
    ),
    Company(
        "family_exchange",
        "declarative",
        _by_recipe("family_exchange"),
        _FAMILY_CODES,
        {"account": "13800138000"},
        has_catalog=False,
        has_balance=False,
    ),
    Company(
        "family_haixin",
        "declarative",
        _by_recipe("family_haixin"),
        _FAMILY_CODES,
        {"account": "13800138000"},
        has_notices=False,
        has_catalog=False,
        has_balance=False,
    ),
)


@dataclass
class Shop:
    """A connection of ours at a company that is open."""

    company: Company
    simulator: SupplierSimulator
    credentials: Mapping[str, str]
    client: Client
    connector: Connector

    def reopened(self, **changes: str) -> Connector:
        """The same account with other settings."""
        config = self.company.config(self.simulator, self.credentials) | changes
        return open_connector(self.company.connector, config, self.client)

    def with_credentials(self, credentials: Mapping[str, str]) -> Connector:
        return open_connector(self.company.connector, self.company.config(self.simulator, credentials), self.client)

    def card(self, **changes: Any) -> Purchase:
        purchase = Purchase(
            out_no=next(numbers),
            supplier_sku=CARD,
            account={},
            face_value_minor=None,
            currency="CNY",
            most_cost=Decimal(100),
            notice_url="",
        )
        return replace(purchase, **changes)

    def top_up(self, **changes: Any) -> Purchase:
        return self.card(supplier_sku=TOP_UP, account=self.company.account, **changes)

    async def query(self, purchase: Purchase, *, ref: str | None = None, sent_ago: timedelta = timedelta(hours=1)) -> Found:
        return await self.connector.query(Asked(purchase.out_no, ref, datetime.now(UTC) - sent_ago))

    async def bought(self, purchase: Purchase) -> tuple[Outcome, Found]:
        return await self.connector.place(purchase), await self.query(purchase)

    def effects(self, purchase: Purchase) -> int:
        return self.simulator.effects(purchase.out_no)
