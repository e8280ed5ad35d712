"""What the company does, whatever protocol it speaks: sells, decides, hands out cards, gives prepaid money back."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from simulators.supplier.book import Book, Card, Client, Goods, Purchase, Row, micro, now
from simulators.supplier.faults import GOOD, Action, Conduct

NEVER = "9999-12-31"


class Refusal(Exception):
    """A definite no. `kind` is the company's own word, which each protocol translates: see `KINDS`."""

    def __init__(self, kind: str, says: str) -> None:
        super().__init__(says)
        self.kind, self.says = kind, says


KINDS = (
    "malformed",
    "bad_signature",
    "no_such_goods",
    "not_for_sale",
    "out_of_stock",
    "no_balance",
    "bad_account",
    "price_changed",
    "duplicate",
    "no_such_purchase",
    "busy",
    "internal",
    "undocumented",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks to buy. `most_cost` bounds the cost of the whole purchase."""

    out_no: str
    sku: str
    quantity: int = 1
    account: Mapping[str, str] | None = None
    face_value_minor: int | None = None
    most_cost: Decimal | None = None
    notice_url: str = ""


class Company:
    """All verbs run on one thread and are one transaction each."""

    def __init__(self, book: Book, *, repeats: str) -> None:
        self.book = book
        self.conduct = Conduct()
        self.protocol_repeats = repeats
        self.action: Action = GOOD
        self.announce: Callable[[int], None] = lambda _event_id: None
        self.announce_goods: Callable[[str], None] = lambda _sku: None
        self._clients = {client.id: client for client in book.clients()}

    @contextmanager
    def acting(self, action: Action) -> Iterator[None]:
        """Everything done and told inside goes as the action says."""
        self.action = action
        try:
            yield
        finally:
            self.action = GOOD

    # Clients

    def open_client(self, name: str, credentials: Mapping[str, str], balance: Decimal, currency: str) -> Client:
        with self.book.write():
            client_id = self.book.insert(
                "client",
                name=name,
                credentials=json.dumps(credentials),
                balance_micro=micro(balance),
                currency=currency,
                notice_url="",
                created_at=now(),
            )
        return self._remember(client_id)

    def change_client(
        self,
        client_id: int,
        *,
        balance: Decimal | None = None,
        notice_url: str | None = None,
        goods_url: str | None = None,
        uses_url: str | None = None,
    ) -> Client:
        with self.book.write():
            if goods_url is not None:
                self.book.run("update client set goods_url = ? where id = ?", goods_url, client_id)
            if uses_url is not None:
                self.book.run("update client set uses_url = ? where id = ?", uses_url, client_id)
            if balance is not None:
                self.book.run("update client set balance_micro = ? where id = ?", micro(balance), client_id)
            if notice_url is not None:
                self.book.run("update client set notice_url = ? where id = ?", notice_url, client_id)
        return self._remember(client_id)

    def client_where(self, credential: str, value: str) -> Client | None:
        """The client who was given this credential; its balance may be old: see `balance_of`."""
        found = (client for client in self._clients.values() if client.credentials.get(credential) == value)
        return next(found, None) if value else None

    def client(self, client_id: int) -> Client:
        return self._clients[client_id]

    @property
    def clients(self) -> list[Client]:
        """All of them; their balances may be old: see `balance_of`."""
        return list(self._clients.values())

    def balance_of(self, client: Client) -> Decimal:
        return self.book.client(client.id).balance

    def _remember(self, client_id: int) -> Client:
        self._clients[client_id] = self.book.client(client_id)
        return self._clients[client_id]

    # Goods

    def goods(self, sku: str) -> Goods:
        """Raises: Refusal no_such_goods."""
        goods = self.book.goods(sku)
        if goods is None:
            raise Refusal("no_such_goods", f"There are no goods {sku}.")
        return self._told_goods(goods)

    def catalog(self, after: str, limit: int, *, changed_since: float = 0) -> list[Goods]:
        """The goods whose SKU comes after `after`, in the order of their SKUs."""
        return [self._told_goods(goods) for goods in self.book.goods_after(after, limit, changed_since=changed_since)]

    def check_account(self, sku: str, account: Mapping[str, str]) -> None:
        """Raises: Refusal no_such_goods, bad_account."""
        self._refuse_as_scripted()
        goods = self.goods(sku)
        for field in goods.account_fields:
            if field.get("required", True) and not account.get(str(field["name"]), "").strip():
                raise Refusal("bad_account", f"{field['name']} is missing.")
        if any(value.startswith("bad") for value in account.values()):
            raise Refusal("bad_account", "There is no such account.")

    def told_goods(self, sku: str) -> Goods | None:
        """One of the goods as the action wants it told; None where there is none."""
        goods = self.book.goods(sku)
        return None if goods is None else self._told_goods(goods)

    def _goods_changed(self, sku: str) -> None:
        """Have clients told once it is on disk. The caller is writing."""
        self.book.after_commit.append(lambda: self.announce_goods(sku))

    # Purchases

    def buy(self, client: Client, wanted: Wanted) -> Purchase:
        """Sell, or tell what became of the same number before, as the company's rule for repeats is.

        Raises: Refusal.
        """
        self._refuse_as_scripted()
        known = self.book.purchase_where(BY_NUMBER, client.id, wanted.out_no)
        repeats = self.protocol_repeats if self.conduct.repeats == "protocol" else self.conduct.repeats
        if known is not None and repeats != "again":
            with self.book.write():
                self.book.run("update purchase set asked = asked + 1 where id = ?", known.id)
            if repeats == "refuse":
                raise Refusal("duplicate", f"The number {wanted.out_no} has been used.")
            return self._told(self._settled(known))
        with self.book.write():
            purchase_id = self._sell(client, wanted)
        sold = self.book.purchase_where("id = ?", purchase_id)
        assert sold is not None
        return self._told(sold)

    def find(self, client: Client, *, out_no: str = "", own_no: str = "") -> Purchase:
        """By either number. Raises: Refusal no_such_purchase."""
        self._refuse_as_scripted()
        found = None
        if not self.action.not_found:
            found = (
                self.book.purchase_where(BY_OWN_NUMBER, client.id, own_no)
                if own_no
                else self.book.purchase_where(BY_NUMBER, client.id, out_no)
            )
        if found is None:
            raise Refusal("no_such_purchase", f"There is no purchase {own_no or out_no}.")
        return self._told(self._settled(found))

    def purchases_between(self, client: Client, first: float, end: float) -> list[Purchase]:
        """The decided ones of a span, oldest first, at most 1,000."""
        rows = self.book.all(OF_A_SPAN, client.id, first, end)
        return [self._told(self.book.purchase_of(row)) for row in rows]

    def purchases_of(self, client: Client, *, take: int, skip: int, since: str = "", until: str = "") -> list[Purchase]:
        """What a client bought, the newest first; between two days `yyyy-mm-dd` of UTC, both of them with it, where they are given."""
        first = day_starts(since) if since else 0.0
        end = day_starts(until) + 86_400 if until else now() + 86_400
        rows = self.book.all(NEWEST, client.id, first, end, take, skip)
        return [self._told(self._settled(self.book.purchase_of(row))) for row in rows]

    def settle(self) -> None:
        """Decide what is due."""
        for row in self.book.all("select id from purchase where state = 'processing' and decides_at <= ? limit 500", now()):
            with self.book.write():
                self._decide(row["id"])

    # How a purchase goes

    def _sell(self, client: Client, wanted: Wanted) -> int:
        goods = self.book.goods(wanted.sku)
        if goods is None:
            raise Refusal("no_such_goods", f"There are no goods {wanted.sku}.")
        self._check_wanted(goods, wanted)
        cost_micro = micro(_cost(goods, wanted))
        if wanted.most_cost is not None and cost_micro > micro(wanted.most_cost):
            raise Refusal("price_changed", "The goods cost more now.")
        if not self.book.run(TAKE_MONEY, cost_micro, client.id, cost_micro):
            raise Refusal("no_balance", "The balance does not suffice.")
        if not self.book.run(TAKE_STOCK, wanted.quantity, now(), goods.sku, wanted.quantity):
            raise Refusal("out_of_stock", "The goods are sold out.")
        if goods.stock is not None:
            self._goods_changed(goods.sku)
        decide_ms = self.conduct.decide_ms if self.action.decide_ms is None else self.action.decide_ms
        purchase_id = self.book.insert(
            "purchase",
            client_id=client.id,
            out_no=wanted.out_no,
            own_no=datetime.now(UTC).strftime("%y%m%d%H%M%S") + f"{secrets.randbelow(10**10):010d}",
            sku=goods.sku,
            quantity=wanted.quantity,
            account=json.dumps(dict(wanted.account or {}), ensure_ascii=False),
            face_value_minor=wanted.face_value_minor or goods.face_value_minor,
            state="processing",
            reason="",
            cost_micro=cost_micro,
            currency=goods.currency,
            notice_url=wanted.notice_url,
            asked=1,
            created_at=now(),
            decides_at=now() + decide_ms / 1000,
            decision=self.action.decision or "success",
        )
        if decide_ms == 0:
            self._decide(purchase_id)
        return purchase_id

    def _check_wanted(self, goods: Goods, wanted: Wanted) -> None:
        if not goods.is_on_sale:
            raise Refusal("not_for_sale", "The goods are not on sale.")
        if goods.kind == "top_up":
            self.check_account(goods.sku, wanted.account or {})
        if goods.least_minor is not None:
            value, most, step = wanted.face_value_minor or 0, goods.most_minor or 0, goods.step_minor or 1
            if not goods.least_minor <= value <= most or (value - goods.least_minor) % step:
                raise Refusal("malformed", "The face value is not offered.")

    def _settled(self, purchase: Purchase) -> Purchase:
        """The purchase, decided if that was due."""
        if purchase.state == "processing":
            with self.book.write():
                self._decide(purchase.id, only_due=True)
        found = self.book.purchase_where("id = ?", purchase.id)
        assert found is not None
        return found

    def _decide(self, purchase_id: int, *, only_due: bool = False) -> None:
        row = self.book.one("select * from purchase where id = ? and state = 'processing'", purchase_id)
        if row is None or (only_due and row["decides_at"] > now()):
            return
        if row["decision"] == "failure":
            self.book.run("update client set balance_micro = balance_micro + ? where id = ?", row["cost_micro"], row["client_id"])
            self.book.run(GIVE_STOCK_BACK, row["quantity"], now(), row["sku"])
            self._goods_changed(row["sku"])
            self._end(row, "failed", "The operator refused.")
            return
        goods = self.book.goods(row["sku"])
        assert goods is not None
        if goods.kind == "card":
            self._hand_out(row)
        self.book.insert(
            "effect", purchase_id=purchase_id, out_no=row["out_no"], sku=row["sku"], account=row["account"], at=now()
        )
        self._end(row, "succeeded", "")

    def _end(self, row: Row, state: str, reason: str) -> None:
        self.book.run("update purchase set state = ?, reason = ?, decided_at = ? where id = ?", state, reason, now(), row["id"])
        event_id = self.book.insert("event", purchase_id=row["id"], told=state, state="open", attempts=0, created_at=now())
        self.book.after_commit.append(lambda: self.announce(event_id))

    def _hand_out(self, row: Row) -> None:
        """The cards that were put in for the SKU, oldest first; made up where none are left."""
        for _ in range(row["quantity"]):
            if not self.book.run(TAKE_CARD, row["id"], row["sku"]):
                self.book.insert(
                    "card",
                    sku=row["sku"],
                    number="SIM" + secrets.token_hex(8).upper(),
                    password=secrets.token_hex(6),
                    expires_on=NEVER,
                    purchase_id=row["id"],
                )

    # What is told

    def _refuse_as_scripted(self) -> None:
        if self.action.refuse:
            raise Refusal(self.action.refuse, f"Refused: {self.action.refuse}.")

    def _told_goods(self, goods: Goods) -> Goods:
        match self.action.misstate:
            case "negative_cost":
                return replace(goods, cost=Decimal(-1))
            case "nan_cost":
                return replace(goods, cost=Decimal("NaN"))
            case _:
                return goods

    def _told(self, purchase: Purchase) -> Purchase:
        """As it is, or untrue in the one thing the script asks for."""
        cards = purchase.cards
        changes: dict[str, dict[str, Any]] = {
            "other_order": {"out_no": purchase.out_no[:-1] + _other(purchase.out_no[-1:]), "own_no": purchase.own_no + "9"},
            "fewer_cards": {"cards": cards[:-1]},
            "more_cards": {"cards": (*cards, Card("SIMEXTRA", "extra", NEVER))},
            "empty_card": {"cards": tuple(replace(card, number=" ", password="") for card in cards)},
            "sold_card": {"cards": self._sold_before(purchase)},
            "face_value": {"face_value_minor": (purchase.face_value_minor or 0) + 100},
            "cost": {"cost": purchase.cost + 1},
            "negative_cost": {"cost": Decimal(-1)},
            "nan_cost": {"cost": Decimal("NaN")},
        }
        return replace(purchase, **changes.get(self.action.misstate or "", {}))

    def _sold_before(self, purchase: Purchase) -> tuple[Card, ...]:
        rows = self.book.all(SOLD_BEFORE, purchase.sku, purchase.client_id, purchase.id, len(purchase.cards))
        return tuple(Card(**row) for row in rows)


def _cost(goods: Goods, wanted: Wanted) -> Decimal:
    if goods.least_minor is None:
        return goods.cost * wanted.quantity
    return goods.cost * Decimal(wanted.face_value_minor or 0).scaleb(-2) * wanted.quantity


def _other(character: str) -> str:
    return "8" if character == "9" else "9"


BY_NUMBER = "client_id = ? and out_no = ?"
BY_OWN_NUMBER = "client_id = ? and own_no = ?"
TAKE_MONEY = "update client set balance_micro = balance_micro - ? where id = ? and balance_micro >= ?"
TAKE_STOCK = """
update goods
set stock = stock - ?, changed_at = case when stock is null then changed_at else ? end
where sku = ? and (stock is null or stock >= ?)
"""
GIVE_STOCK_BACK = """
update goods
set stock = stock + ?, changed_at = case when stock is null then changed_at else ? end
where sku = ?
"""
TAKE_CARD = """
update card
set purchase_id = ?
where id = (select id from card where sku = ? and purchase_id is null order by id limit 1)
"""
SOLD_BEFORE = """
select card.number, card.password, card.expires_on
from card
join purchase on purchase.id = card.purchase_id
where card.sku = ? and purchase.client_id = ? and purchase.id <> ?
order by card.id
limit ?
"""
OF_A_SPAN = """
select *
from purchase
where client_id = ? and state <> 'processing' and created_at >= ? and created_at < ?
order by id
limit 1000
"""
NEWEST = "select * from purchase where client_id = ? and created_at >= ? and created_at < ? order by id desc limit ? offset ?"


def day_starts(day: str) -> float:
    """The first instant of a day of UTC, in seconds since 1970. Raises: ValueError."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
