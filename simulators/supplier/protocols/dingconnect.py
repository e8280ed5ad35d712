"""DingConnect. The words of ProcessingState, codes, envelopes and the fields of products are this company's own choice, and so is what a repeat does:
it buys again, which no caller may rely on not to happen."""

import secrets
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from simulators.supplier.book import Client, Goods, Purchase
from simulators.supplier.company import Refusal, Wanted
from simulators.supplier.protocol import Asked, Protocol, Reply, Task

BASE = "/api/V1/"
CODES = {
    "out_of_stock": "ProductOutOfStock",
    "no_balance": "InsufficientBalance",
    "not_for_sale": "ProductUnavailable",
    "no_such_goods": "ProductUnknown",
    "bad_account": "AccountNumberInvalid",
    "price_changed": "PriceChanged",
    "malformed": "RequestInvalid",
    "bad_signature": "AuthenticationFailed",
    "duplicate": "DistributorRefUsed",
    "no_such_purchase": "TransferUnknown",
    "busy": "RateLimited",
    "internal": "ServerError",
}
STATES = {"processing": "Submitted", "succeeded": "Complete", "failed": "Failed"}
UNKNOWN_ENDING = "00000"
"""Numbers that end so are in no look-up."""


class DingConnect(Protocol):
    repeats = "again"

    def new_credentials(self) -> dict[str, str]:
        return {"api_key": secrets.token_hex(16)}

    def read(self, asked: Asked) -> Task:
        client = self.company.client_where("api_key", asked.headers.get("api_key", ""))
        if client is None or not asked.path.startswith(BASE):
            raise Refusal("bad_signature", "The key is wrong.")
        match (asked.method, asked.path.removeprefix(BASE)):
            case ("POST", "SendTransfer"):
                return self._send(client, asked.json())
            case ("POST", "ListTransferRecords"):
                document = asked.json()
                number = str(document.get("DistributorRef", ""))
                if not number:
                    return Task(
                        "statement", lambda: self._statement(client, int(document["Take"]), int(document["Skip"])), client
                    )
                return Task("query", lambda: self._listed(client, number), client, number)
            case ("GET", "GetProducts"):
                return Task("catalog", self._products, client)
            case ("GET", "GetBalance"):
                return Task("balance", lambda: self._balance(client), client)
            case ("GET", "GetAccountLookup"):
                number = asked.query.get("accountNumber", "")
                return Task("pre_check", lambda: self._looked_up(number), client)
        raise Refusal("malformed", "There is nothing here.")

    def _send(self, client: Client, document: dict[str, Any]) -> Task:
        number, sku = str(document.get("DistributorRef", "")), str(document.get("SkuCode", ""))
        value = Decimal(str(document.get("SendValue", 0)))
        if not number or value != value.quantize(Decimal("0.01")) or document.get("ValidateOnly") is not False:
            raise Refusal("malformed", "The reference, the value or ValidateOnly is wrong.")
        wanted = Wanted(number, sku, 1, {"phone": str(document.get("AccountNumber", ""))}, int(value * 100))

        def sent() -> Reply:
            return _answer({"TransferRecord": _record(self.company.buy(client, wanted))})

        return Task("place", sent, client, number, sku)

    def _listed(self, client: Client, number: str) -> Reply:
        """Every transfer under a number, the first as the script wants it told."""
        try:
            first = self.company.find(client, out_no=number)
        except Refusal as refusal:
            if refusal.kind != "no_such_purchase":
                raise
            return _answer({"Items": []})
        others = self.company.book.all(OTHERS, client.id, number, first.id)
        found = [first, *(self.company.book.purchase_of(row) for row in others)]
        return _answer({"Items": [{"TransferRecord": _record(purchase)} for purchase in found]})

    def _statement(self, client: Client, take: int, skip: int) -> Reply:
        """Every transfer of the account, the newest first."""
        found = self.company.purchases_of(client, take=min(take, 100), skip=skip)
        return _answer({"Items": [{"TransferRecord": _record(purchase)} for purchase in found]})

    def _products(self) -> Reply:
        return _answer({"Items": [_product(goods) for goods in self.company.catalog("", 10_000)]})

    def _balance(self, client: Client) -> Reply:
        return _answer({"Balance": float(self.company.balance_of(client)), "CurrencyIso": client.currency})

    def _looked_up(self, number: str) -> Reply:
        if self.company.action.refuse:
            raise Refusal(self.company.action.refuse, "Refused.")
        return _answer({"Items": [] if number.endswith(UNKNOWN_ENDING) else [{"ProviderCode": "P1"}]})

    def refused(self, refusal: Refusal) -> Reply:
        code = {"Code": CODES.get(refusal.kind, "CallUs"), "Context": refusal.says}
        status = 500 if refusal.kind == "internal" else 200
        return Reply.json({"ResultCode": 5, "ErrorCodes": [code]}, status)


def _answer(document: dict[str, Any]) -> Reply:
    return Reply.json({"ResultCode": 1, "ErrorCodes": [], **document})


def _record(purchase: Purchase) -> dict[str, Any]:
    return {
        "TransferId": {"TransferRef": purchase.own_no, "DistributorRef": purchase.out_no},
        "SkuCode": purchase.sku,
        "Price": {"SendValue": float(purchase.cost), "SendCurrencyIso": purchase.currency},
        "AccountNumber": purchase.account.get("phone", ""),
        "ProcessingState": STATES[purchase.state],
        "StartedUtc": datetime.fromtimestamp(purchase.created_at, UTC).isoformat(timespec="seconds"),
    }


def _product(goods: Goods) -> dict[str, Any]:
    """What has one value costs that value."""
    ends = (goods.least_minor, goods.most_minor)
    least, most = (float(goods.cost) if end is None else end / 100 for end in ends)
    return {
        "SkuCode": goods.sku,
        "DefaultDisplayText": goods.name,
        "RegionCode": goods.region,
        "Minimum": {"SendValue": least, "SendCurrencyIso": goods.currency},
        "Maximum": {"SendValue": most, "SendCurrencyIso": goods.currency},
    }


OTHERS = "select * from purchase where client_id = ? and out_no = ? and id <> ? order by id"
