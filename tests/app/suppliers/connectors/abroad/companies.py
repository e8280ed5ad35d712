"""Five companies abroad and one warehouse, as the simulator plays them: how each is connected, what is bought there, and what is special."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from app.kernel.http import Client
from app.suppliers.connectors import open_connector
from app.suppliers.connectors.port import Accepted, Asked, Connector, Found, Outcome, Purchase
from tests.simulators import SupplierSimulator

numbers = (f"Q{number:08d}" for number in count(1))


@dataclass(frozen=True)
class House:
    """One connector beside the protocol that the simulator speaks for it."""

    connector: str
    protocol: str
    goods: Mapping[str, Any]
    supplier_sku: str
    codes: Mapping[str, str]
    """The simulator's code of a refusal, by the port's reason."""
    path: str = ""
    face_value_minor: int | None = None
    account: Mapping[str, str] = field(default_factory=dict)
    assumed: Mapping[str, str] = field(default_factory=dict)
    """Lines a merchant would have corrected to fit this company."""
    answers_at_once: bool = True
    """The answer to a purchase decides it, where the company decides at once."""
    fails_by_default: bool = True
    """The state in which a purchase failed is a verified one."""

    @property
    def hands_out(self) -> bool:
        return self.goods["kind"] == "card"

    def config(self, simulator: SupplierSimulator, credentials: Mapping[str, str], **changes: str) -> dict[str, str]:
        lines = dict(self.assumed) | dict(part.split("=", 1) for part in changes.pop("assumed", "").splitlines())
        token_url = {"token_url": simulator.url + "/oauth/token"} if self.protocol == "reloadly" else {}
        return {
            "base_url": simulator.url + self.path,
            **token_url,
            **credentials,
            "assumed": "\n".join(f"{name} = {value}" for name, value in lines.items()),
            "refusals": ", ".join(f"{code}={reason}" for reason, code in self.codes.items()),
            **changes,
        }

    def purchase(self, **changes: Any) -> Purchase:
        purchase = Purchase(
            out_no=next(numbers),
            supplier_sku=self.supplier_sku,
            account=self.account,
            face_value_minor=self.face_value_minor,
            currency="USD",
            most_cost=Decimal(100),
            notice_url="",
        )
        return replace(purchase, **changes)


HOUSES = (
    House(
        "reloadly_gift_cards",
        "reloadly",
        {"sku": "120", "kind": "card", "cost": "23.5", "currency": "USD"},
        "120:25.00",
        {"out_of_stock": "OUT_OF_STOCK", "no_balance": "INSUFFICIENT_BALANCE", "bad_account": "INVALID_RECIPIENT"},
        assumed={"not_found.codes": "TRANSACTION_NOT_FOUND"},
    ),
    House(
        "reloadly_airtime",
        "reloadly",
        {"sku": "341", "kind": "top_up", "cost": "0.95", "currency": "USD", "least_minor": 100, "most_minor": 10_000},
        "341",
        {"out_of_stock": "OUT_OF_STOCK", "no_balance": "INSUFFICIENT_BALANCE", "bad_account": "INVALID_RECIPIENT"},
        face_value_minor=500,
        account={"phone": "+447400123456"},
        assumed={"not_found.codes": "TRANSACTION_NOT_FOUND"},
        answers_at_once=False,
    ),
    House(
        "tango",
        "tango",
        {"sku": "U100", "kind": "card", "cost": "25", "currency": "USD"},
        "U100:25",
        {"out_of_stock": "order.out_of_stock", "no_balance": "order.insufficient_funds", "bad_account": "order.recipient"},
        assumed={"not_found.codes": "order.unknown"},
        fails_by_default=False,
    ),
    House(
        "tremendous",
        "tremendous",
        {"sku": "P100", "kind": "card", "cost": "25", "currency": "USD"},
        "P100:25",
        {"out_of_stock": "product_unavailable", "no_balance": "insufficient_funds", "bad_account": "recipient_invalid"},
        path="/api/v2",
        assumed={"not_found.codes": "not_found"},
    ),
    House(
        "dingconnect",
        "dingconnect",
        {"sku": "GB5", "kind": "top_up", "cost": "5.00", "currency": "USD", "region": "GB"},
        "GB5:5.00",
        {"out_of_stock": "ProductOutOfStock", "no_balance": "InsufficientBalance", "bad_account": "AccountNumberInvalid"},
        path="/api/V1",
        account={"phone": "+447400123456"},
        fails_by_default=False,
    ),
    House(
        "agiso_acpr",
        "agiso_acpr",
        {"sku": "7788", "kind": "card", "cost": "9.9", "region": "820"},
        "7788",
        {"out_of_stock": "1001", "no_balance": "1002", "bad_account": "1005"},
        path="/acpr",
        assumed={"query.path": "/CardPwd/GetHandPick", "not_found.codes": "1008", "no_such_goods.codes": "1004"},
    ),
)


@dataclass
class Shop:
    """A connection of ours at a house that is open."""

    house: House
    simulator: SupplierSimulator
    credentials: Mapping[str, str]
    client: Client
    connector: Connector

    def reopened(self, **changes: str) -> Connector:
        """The same account with other settings."""
        return open_connector(self.house.connector, self.house.config(self.simulator, self.credentials, **changes), self.client)

    async def query(self, purchase: Purchase, *, ref: str | None = None) -> Found:
        return await self.connector.query(Asked(purchase.out_no, ref, datetime.now(UTC)))

    async def settle(self, purchase: Purchase, outcome: Outcome) -> Found:
        """What the purchase comes to, asked about where it was only accepted."""
        if isinstance(outcome, Accepted):
            return await self.query(purchase, ref=outcome.supplier_ref)
        return outcome

    def effects(self, purchase: Purchase) -> int:
        return self.simulator.effects(purchase.out_no)
