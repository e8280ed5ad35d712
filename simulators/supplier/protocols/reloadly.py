"""Both of Reloadly's interfaces over one company. The token endpoint, error codes, addresses of looking up and the webhook's body are this company's own choice."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from simulators.supplier.book import Client, Purchase
from simulators.supplier.company import Refusal, Wanted
from simulators.supplier.protocol import Asked, Message, Protocol, Reply, Task

CODES = {
    "out_of_stock": (400, "OUT_OF_STOCK"),
    "no_balance": (400, "INSUFFICIENT_BALANCE"),
    "not_for_sale": (400, "PRODUCT_NOT_AVAILABLE"),
    "no_such_goods": (404, "PRODUCT_NOT_FOUND"),
    "bad_account": (400, "INVALID_RECIPIENT"),
    "price_changed": (400, "PRICE_CHANGED"),
    "malformed": (400, "INVALID_REQUEST"),
    "bad_signature": (401, "INVALID_TOKEN"),
    "duplicate": (400, "CUSTOM_IDENTIFIER_ALREADY_USED"),
    "no_such_purchase": (404, "TRANSACTION_NOT_FOUND"),
    "busy": (429, "TOO_MANY_REQUESTS"),
    "internal": (500, "INTERNAL"),
}
UNDOCUMENTED = (400, "PLEASE_CALL_US")
STATES = {"processing": "PROCESSING", "succeeded": "SUCCESSFUL", "failed": "REFUNDED"}
TOKEN_LIFE_S = 86_400


class Reloadly(Protocol):
    repeats = "refuse"

    def new_credentials(self) -> dict[str, str]:
        return {
            "client_id": "rl_" + secrets.token_hex(8),
            "client_secret": secrets.token_hex(24),
            "webhook_secrets": secrets.token_hex(16),
        }

    def read(self, asked: Asked) -> Task:
        if (asked.method, asked.path) == ("POST", "/oauth/token"):
            return Task("token", lambda: self._token(asked.json()))
        client = self._caller(asked)
        parts = asked.path.strip("/").split("/")
        match (asked.method, *parts):
            case ("POST", "orders"):
                return self._place(client, asked.json(), sku="productId", value="unitPrice")
            case ("POST", "topups-async"):
                return self._place(client, asked.json(), sku="operatorId", value="amount")
            case ("GET", "orders", "transactions", own_no, "cards"):
                return Task("query", lambda: Reply.json(self._cards(client, own_no)), client)
            case ("GET", "reports", "transactions", own_no):
                return Task("query", lambda: Reply.json(_order(self.company.find(client, own_no=own_no))), client)
            case ("GET", "topups", own_no, "status"):
                return Task("query", lambda: Reply.json(_status(self.company.find(client, own_no=own_no))), client)
            case ("GET", "reports", "transactions") | ("GET", "topups", "reports", "transactions") if "startDate" in asked.query:
                return Task("statement", lambda: self._statement(client, asked.query, is_top_up=parts[0] == "topups"), client)
            case ("GET", "reports", "transactions") | ("GET", "topups", "reports", "transactions"):
                number = asked.query.get("customIdentifier", "")
                return Task("query", lambda: self._listed(client, number), client, number)
            case ("GET", "accounts", "balance"):
                return Task("balance", lambda: self._balance(client), client)
        raise Refusal("malformed", "There is nothing here.")

    def _token(self, asked: dict[str, Any]) -> Reply:
        client = self.company.client_where("client_id", str(asked.get("client_id", "")))
        if client is None or asked.get("client_secret") != client.credentials["client_secret"]:
            raise Refusal("bad_signature", "The client id or secret is wrong.")
        return Reply.json({"access_token": _token_of(client), "token_type": "Bearer", "expires_in": TOKEN_LIFE_S})

    def _caller(self, asked: Asked) -> Client:
        """Raises: Refusal bad_signature."""
        kind, _, token = asked.headers.get("authorization", "").partition(" ")
        client = self.company.client_where("client_id", token.partition(".")[0])
        if kind != "Bearer" or client is None or not hmac.compare_digest(token, _token_of(client)):
            raise Refusal("bad_signature", "The token is wrong.")
        if not asked.headers.get("accept", "").startswith("application/com.reloadly."):
            raise Refusal("malformed", "The Accept header names no version.")
        return client

    def _place(self, client: Client, document: dict[str, Any], *, sku: str, value: str) -> Task:
        number, goods = str(document.get("customIdentifier", "")), str(document.get(sku, ""))
        phone = document.get("recipientPhone") or {}
        account = {"phone": f"{phone.get('countryCode')} {phone.get('number')}"} if phone else {}
        wanted = Wanted(number, goods, int(document.get("quantity", 1)), account, int(Decimal(str(document.get(value, 0))) * 100))
        if not number:
            raise Refusal("malformed", "customIdentifier is missing.")

        def placed() -> Reply:
            purchase = self.company.buy(client, wanted)
            return Reply.json({"transactionId": purchase.own_no} if sku == "operatorId" else _order(purchase))

        return Task("place", placed, client, number, goods)

    def _listed(self, client: Client, number: str) -> Reply:
        try:
            found = [_order(self.company.find(client, out_no=number))]
        except Refusal as refusal:
            if refusal.kind != "no_such_purchase":
                raise
            found = []
        return Reply.json({"content": found, "totalElements": len(found)})

    def _statement(self, client: Client, asked: Mapping[str, str], *, is_top_up: bool) -> Reply:
        size, page = int(asked.get("size", "200")), int(asked.get("page", "1"))
        span = {"since": asked["startDate"], "until": asked["endDate"]}
        found = self.company.purchases_of(client, take=size, skip=(page - 1) * size, **span)
        return Reply.json({"content": [_top_up(one) if is_top_up else _order(one) for one in found]})

    def _cards(self, client: Client, own_no: str) -> list[dict[str, str]]:
        cards = self.company.find(client, own_no=own_no).cards
        return [{"cardNumber": card.number, "pinCode": card.password} for card in cards]

    def _balance(self, client: Client) -> Reply:
        return Reply.json({"balance": float(self.company.balance_of(client)), "currencyCode": client.currency})

    def refused(self, refusal: Refusal) -> Reply:
        status, code = CODES.get(refusal.kind, UNDOCUMENTED)
        return Reply.json({"message": refusal.says, "errorCode": code}, status)

    def notice(self, client: Client, purchase: Purchase) -> Message | None:
        if not client.notice_url:
            return None
        body = Reply.json({"type": "transaction.status", "data": _order(purchase)}).body
        timestamp, secret = str(int(time.time())), client.credentials["webhook_secrets"]
        signature = hmac.new(secret.encode(), body + f":{timestamp}".encode(), hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Reloadly-Signature": signature,
            "X-Reloadly-Request-Timestamp": timestamp,
        }
        return Message(client.notice_url, body, headers)


def _token_of(client: Client) -> str:
    client_id, secret = client.credentials["client_id"], client.credentials["client_secret"]
    return f"{client_id}.{hashlib.sha256(secret.encode()).hexdigest()}"


def _order(purchase: Purchase) -> dict[str, Any]:
    return {
        "transactionId": purchase.own_no,
        "status": STATES[purchase.state],
        "amount": float(purchase.cost),
        "fee": 0,
        "discount": 0,
        "currencyCode": purchase.currency,
        "customIdentifier": purchase.out_no,
        "transactionCreatedTime": _written(purchase.created_at),
        "product": {
            "productId": purchase.sku,
            "quantity": purchase.quantity,
            "unitPrice": (purchase.face_value_minor or 0) / 100,
        },
    }


def _top_up(purchase: Purchase) -> dict[str, Any]:
    return {
        "transactionId": purchase.own_no,
        "status": STATES[purchase.state],
        "customIdentifier": purchase.out_no,
        "requestedAmount": float(purchase.cost),
        "requestedAmountCurrencyCode": purchase.currency,
        "transactionCreatedTime": _written(purchase.created_at),
    }


def _written(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _status(purchase: Purchase) -> dict[str, Any]:
    failed = purchase.state == "failed"
    return {
        "code": "OPERATOR_FAILED" if failed else None,
        "message": purchase.reason or None,
        "status": STATES[purchase.state],
        "transaction": {
            "transactionId": purchase.own_no,
            "customIdentifier": purchase.out_no,
            "requestedAmount": float(purchase.cost),
        },
    }
