"""Tremendous. Addresses, error codes, the order's envelope and the webhook's signature are this company's own choice."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from simulators.supplier.book import Client, Purchase
from simulators.supplier.company import BY_NUMBER, Refusal, Wanted
from simulators.supplier.protocol import Asked, Message, Protocol, Reply, Task

BASE = "/api/v2"
ORDERS = BASE + "/orders"
CODES = {
    "out_of_stock": (422, "product_unavailable"),
    "no_balance": (422, "insufficient_funds"),
    "not_for_sale": (422, "product_disabled"),
    "no_such_goods": (422, "product_unknown"),
    "bad_account": (422, "recipient_invalid"),
    "price_changed": (422, "price_changed"),
    "malformed": (400, "malformed"),
    "bad_signature": (401, "unauthorized"),
    "duplicate": (409, "external_id_used"),
    "no_such_purchase": (404, "not_found"),
    "busy": (429, "rate_limited"),
    "internal": (500, "internal"),
}
UNDOCUMENTED = (400, "call_us")
STATES = {"processing": "PENDING APPROVAL", "succeeded": "EXECUTED", "failed": "FAILED"}


class Tremendous(Protocol):
    """A repeat answers 201 with the first order and creates nothing."""

    def new_credentials(self) -> dict[str, str]:
        return {"api_key": "TEST_" + secrets.token_hex(16), "webhook_secret": secrets.token_hex(16)}

    def read(self, asked: Asked) -> Task:
        kind, _, key = asked.headers.get("authorization", "").partition(" ")
        client = self.company.client_where("api_key", key)
        if kind != "Bearer" or client is None:
            raise Refusal("bad_signature", "The key is wrong.")
        match (asked.method, asked.path):
            case ("POST", "/api/v2/orders"):
                return self._place(client, asked.json())
            case ("GET", "/api/v2/orders") if "created_at[gte]" in asked.query:
                return Task("statement", lambda: self._statement(client, asked.query), client)
            case ("GET", "/api/v2/orders"):
                number = asked.query.get("external_id", "")
                return Task("query", lambda: self._listed(client, number), client, number)
            case ("GET", "/api/v2/funding_sources"):
                return Task("balance", lambda: self._funding(client), client)
            case ("GET", path) if path.startswith(ORDERS + "/"):
                own_no = path.removeprefix(ORDERS + "/")
                return Task("query", lambda: _answer(self.company.find(client, own_no=own_no)), client)
        raise Refusal("malformed", "There is nothing here.")

    def _place(self, client: Client, document: dict[str, Any]) -> Task:
        reward: dict[str, Any] = document.get("reward") or {}
        number, value = str(document.get("external_id", "")), reward.get("value") or {}
        sku = str(reward.get("campaign_id") or (reward.get("products") or [""])[0])
        if not number or (reward.get("delivery") or {}).get("method") != "LINK":
            raise Refusal("malformed", "external_id is missing, or the delivery is no link.")
        wanted = Wanted(number, sku, 1, None, int(Decimal(str(value.get("denomination", 0))) * 100))

        def placed() -> Reply:
            is_repeat = self.company.book.purchase_where(BY_NUMBER, client.id, number) is not None
            return _answer(self.company.buy(client, wanted), 201 if is_repeat else 200)

        return Task("place", placed, client, number, sku)

    def _listed(self, client: Client, number: str) -> Reply:
        try:
            found = [_order(self.company.find(client, out_no=number))]
        except Refusal as refusal:
            if refusal.kind != "no_such_purchase":
                raise
            found = []
        return Reply.json({"orders": found, "total_count": len(found)})

    def _statement(self, client: Client, asked: Mapping[str, str]) -> Reply:
        size, skip = int(asked.get("limit", "10")), int(asked.get("offset", "0"))
        span = {"since": asked["created_at[gte]"], "until": asked["created_at[lte]"]}
        found = self.company.purchases_of(client, take=size, skip=skip, **span)
        return Reply.json({"orders": [_order(purchase) for purchase in found]})

    def _funding(self, client: Client) -> Reply:
        cents = int(self.company.balance_of(client) * 100)
        return Reply.json({"funding_sources": [{"id": "F1", "method": "balance", "meta": {"available_cents": cents}}]})

    def refused(self, refusal: Refusal) -> Reply:
        status, code = CODES.get(refusal.kind, UNDOCUMENTED)
        return Reply.json({"errors": {"code": code, "message": refusal.says}}, status)

    def notice(self, client: Client, purchase: Purchase) -> Message | None:
        if not client.notice_url:
            return None
        told = "SUCCEEDED" if purchase.state == "succeeded" else "UPDATED"
        resource = {"id": purchase.own_no, "type": "orders", "external_id": purchase.out_no}
        body = Reply.json({"event": f"ORDERS.{told}", "uuid": f"{purchase.id}-{told}", "payload": {"resource": resource}}).body
        signature = hmac.new(client.credentials["webhook_secret"].encode(), body, hashlib.sha256).hexdigest()
        return Message(
            client.notice_url,
            body,
            {"Content-Type": "application/json", "Tremendous-Webhook-Signature": f"sha256={signature}"},
        )


def _answer(purchase: Purchase, status: int = 200) -> Reply:
    return Reply.json({"order": _order(purchase)}, status)


def _order(purchase: Purchase) -> dict[str, Any]:
    """One reward for each card the company handed out; the card is its link."""
    links = [f"https://rewards.example/{number}" if (number := card.number.strip()) else "" for card in purchase.cards]
    return {
        "id": purchase.own_no,
        "external_id": purchase.out_no,
        "created_at": datetime.fromtimestamp(purchase.created_at, UTC).isoformat(timespec="seconds"),
        "status": STATES[purchase.state],
        "payment": {"total": float(purchase.cost)},
        "rewards": [
            {
                "id": f"{purchase.own_no}-{index}",
                "order_id": purchase.own_no,
                "value": {"denomination": (purchase.face_value_minor or 0) / 100, "currency_code": purchase.currency},
                "delivery": {"method": "LINK", "status": "SUCCEEDED", "link": link},
            }
            for index, link in enumerate(links)
        ],
    }
