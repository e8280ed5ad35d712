"""Tango RaaS v2. Error codes, status words, the listing by externalRefID and the names around credentialList are this company's own choice."""

import base64
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from simulators.supplier.book import Card, Client, Purchase
from simulators.supplier.company import Refusal, Wanted
from simulators.supplier.protocol import Asked, Protocol, Reply, Task

ORDERS = "/raas/v2/orders"
CODES = {
    "out_of_stock": (409, "order.out_of_stock"),
    "no_balance": (409, "order.insufficient_funds"),
    "not_for_sale": (409, "order.utid_inactive"),
    "no_such_goods": (400, "order.utid_unknown"),
    "bad_account": (400, "order.recipient"),
    "price_changed": (409, "order.price"),
    "malformed": (400, "request.malformed"),
    "bad_signature": (401, "request.credentials"),
    "duplicate": (409, "order.external_ref_id"),
    "no_such_purchase": (404, "order.unknown"),
    "busy": (429, "request.rate"),
    "internal": (500, "server"),
}
UNDOCUMENTED = (400, "call.us")
STATES = {"processing": "PENDING", "succeeded": "COMPLETE", "failed": "FAILED"}


class Tango(Protocol):
    """A repeat gets the first order, even if it asks for other goods."""

    def new_credentials(self) -> dict[str, str]:
        return {
            "platform_name": "platform" + secrets.token_hex(4),
            "platform_key": secrets.token_hex(24),
            "customer_identifier": "customer1",
            "account_identifier": "account" + secrets.token_hex(4),
        }

    def read(self, asked: Asked) -> Task:
        client = self._caller(asked)
        if (asked.method, asked.path) == ("POST", ORDERS):
            return self._place(client, asked.json())
        if (asked.method, asked.path) == ("GET", ORDERS) and "startDate" in asked.query:
            return Task("statement", lambda: self._statement(client, asked.query), client)
        if (asked.method, asked.path) == ("GET", ORDERS):
            number = asked.query.get("externalRefID", "")
            return Task("query", lambda: self._listed(client, number), client, number)
        if asked.method == "GET" and asked.path.startswith(ORDERS + "/"):
            own_no = asked.path.removeprefix(ORDERS + "/")
            return Task("query", lambda: Reply.json(_order(self.company.find(client, own_no=own_no))), client)
        if asked.path == f"/raas/v2/accounts/{client.credentials['account_identifier']}":
            return Task("balance", lambda: self._balance(client), client)
        raise Refusal("malformed", "There is nothing here.")

    def _caller(self, asked: Asked) -> Client:
        kind, _, given = asked.headers.get("authorization", "").partition(" ")
        name, _, key = base64.b64decode(given.encode()).decode("utf-8", "replace").partition(":")
        client = self.company.client_where("platform_name", name)
        if kind != "Basic" or client is None or key != client.credentials["platform_key"]:
            raise Refusal("bad_signature", "The platform's name or key is wrong.")
        return client

    def _place(self, client: Client, document: dict[str, Any]) -> Task:
        number, utid = str(document.get("externalRefID", "")), str(document.get("utid", ""))
        if document.get("accountIdentifier") != client.credentials["account_identifier"] or not 0 < len(number) <= 100:
            raise Refusal("malformed", "The account or the externalRefID is wrong.")
        wanted = Wanted(number, utid, 1, None, int(Decimal(str(document.get("amount", 0))) * 100))
        return Task("place", lambda: Reply.json(_order(self.company.buy(client, wanted)), 201), client, number, utid)

    def _listed(self, client: Client, number: str) -> Reply:
        try:
            found = [_order(self.company.find(client, out_no=number))]
        except Refusal as refusal:
            if refusal.kind != "no_such_purchase":
                raise
            found = []
        return Reply.json({"orders": found})

    def _statement(self, client: Client, asked: Mapping[str, str]) -> Reply:
        size, page = int(asked.get("elementsPerBlock", "10")), int(asked.get("page", "0"))
        span = {"since": asked["startDate"], "until": asked["endDate"]}
        found = self.company.purchases_of(client, take=size, skip=page * size, **span)
        return Reply.json({"orders": [_order(purchase) for purchase in found]})

    def _balance(self, client: Client) -> Reply:
        return Reply.json({"currentBalance": float(self.company.balance_of(client)), "currencyCode": client.currency})

    def refused(self, refusal: Refusal) -> Reply:
        status, code = CODES.get(refusal.kind, UNDOCUMENTED)
        return Reply.json({"errors": [{"i18nKey": code, "message": refusal.says}]}, status)


def _order(purchase: Purchase) -> dict[str, Any]:
    value = (purchase.face_value_minor or 0) / 100
    return {
        "referenceOrderID": purchase.own_no,
        "externalRefID": purchase.out_no,
        "utid": purchase.sku,
        "createdAt": datetime.fromtimestamp(purchase.created_at, UTC).isoformat(timespec="seconds"),
        "status": STATES[purchase.state],
        "denomination": {"value": value, "currencyCode": purchase.currency},
        "amountCharged": {"value": float(purchase.cost), "total": float(purchase.cost), "currencyCode": purchase.currency},
        "reward": {
            "credentials": {"Code": "see credentialList"},
            "credentialList": [entry for card in purchase.cards for entry in _credentials(card)],
        }
        if purchase.state == "succeeded"
        else None,
    }


def _credentials(card: Card) -> list[dict[str, str]]:
    typed = (("Card number", "cardNumber", card.number), ("PIN", "pin", card.password))
    return [{"label": label, "credentialType": kind, "type": "text", "value": value} for label, kind, value in typed]
