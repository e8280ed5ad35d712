"""The supplier's book: one SQLite file, written by one thread. Money is kept in millionths, instants in seconds since 1970."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who buys here. What the credentials are called is the protocol's matter."""

    id: int
    name: str
    credentials: Mapping[str, str]
    balance: Decimal
    currency: str
    notice_url: str
    """Where a protocol without an address per purchase tells this client what happened; may be empty."""
    goods_url: str
    """Where this client is told of changes of goods; may be empty."""
    uses_url: str
    """Where this client is told that what it bought was used; may be empty."""


@dataclass(frozen=True, slots=True)
class Goods:
    """One of the goods. Those sold by a range of values have `least_minor`, and their cost is per whole unit of currency of face value."""

    sku: str
    name: str
    kind: str
    """`card` or `top_up`."""
    cost: Decimal
    currency: str
    face_value_minor: int | None
    least_minor: int | None
    most_minor: int | None
    step_minor: int | None
    stock: int | None
    """None where it is not counted."""
    is_on_sale: bool
    region: str
    account_fields: tuple[Mapping[str, Any], ...]
    """`name`, `label`, and where a protocol shows them `kind`, `choices`, `pattern`."""
    changed_at: float


@dataclass(frozen=True, slots=True)
class Card:
    number: str
    password: str
    expires_on: str
    """`yyyy-mm-dd` or empty."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """What somebody bought, as the company tells it."""

    id: int
    client_id: int
    out_no: str
    own_no: str
    sku: str
    quantity: int
    account: Mapping[str, str]
    face_value_minor: int | None
    state: str
    """`processing`, `succeeded` or `failed`."""
    reason: str
    """Why it failed, in the company's words."""
    cost: Decimal
    """For the whole purchase."""
    currency: str
    notice_url: str
    created_at: float
    decided_at: float | None
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Used:
    """A use of something that was bought, or that it was taken back. `at` is in seconds since 1970."""

    id: int
    at: float
    place: str
    is_taken_back: bool


class Book:
    """Opens or creates the file."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        self.db.row_factory = sqlite3.Row
        self.db.execute("pragma journal_mode=wal")
        self.db.execute("pragma synchronous=normal")
        self.db.execute("pragma busy_timeout=5000")
        self.db.executescript(SCHEMA)
        if "uses_url" not in {row["name"] for row in self.db.execute("pragma table_info(client)")}:
            self.db.execute("alter table client add column uses_url text not null default ''")
        self.after_commit: list[Callable[[], None]] = []

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def write(self) -> Iterator[None]:
        """One transaction. What was put in `after_commit` runs when it is on disk."""
        self.db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.db.execute("rollback")
            self.after_commit.clear()
            raise
        self.db.execute("commit")
        due, self.after_commit = self.after_commit, []
        for run in due:
            run()

    def insert(self, table: str, **values: object) -> int:
        marks = ", ".join("?" * len(values))
        statement = f"insert into {table} ({', '.join(values)}) values ({marks})"  # noqa: S608 (names are our own)
        return self.db.execute(statement, tuple(values.values())).lastrowid or 0

    def run(self, statement: str, *values: object) -> int:
        return self.db.execute(statement, values).rowcount

    def one(self, statement: str, *values: object) -> Row | None:
        row: Row | None = self.db.execute(statement, values).fetchone()
        return row

    def all(self, statement: str, *values: object) -> list[Row]:
        return self.db.execute(statement, values).fetchall()

    # What rows mean

    def clients(self) -> list[Client]:
        return [_client(row) for row in self.all("select * from client order by id")]

    def client(self, client_id: int) -> Client:
        row = self.one("select * from client where id = ?", client_id)
        assert row is not None
        return _client(row)

    def goods(self, sku: str) -> Goods | None:
        row = self.one("select * from goods where sku = ?", sku)
        return None if row is None else _goods(row)

    def goods_after(self, sku: str, limit: int, *, changed_since: float = 0) -> list[Goods]:
        rows = self.all("select * from goods where sku > ? and changed_at >= ? order by sku limit ?", sku, changed_since, limit)
        return [_goods(row) for row in rows]

    def purchase_where(self, condition: str, *values: object) -> Purchase | None:
        """The oldest that matches: `condition` is one of the constants of this package."""
        row = self.one(f"select * from purchase where {condition} order by id limit 1", *values)  # noqa: S608
        return None if row is None else self.purchase_of(row)

    def purchase_of(self, row: Row) -> Purchase:
        cards = self.all("select number, password, expires_on from card where purchase_id = ? order by id", row["id"])
        told = {name: row[name] for name in Purchase.__dataclass_fields__ if name not in ("account", "cost", "cards")}
        return Purchase(
            account=json.loads(row["account"]), cost=money(row["cost_micro"]), cards=tuple(Card(**card) for card in cards), **told
        )


def money(micro: int) -> Decimal:
    return Decimal(micro).scaleb(-6)


def micro(amount: Decimal) -> int:
    return int((amount * MICRO).to_integral_value(ROUND_HALF_UP))


def now() -> float:
    return time.time()


def _client(row: Row) -> Client:
    return Client(
        id=row["id"],
        name=row["name"],
        credentials=json.loads(row["credentials"]),
        balance=money(row["balance_micro"]),
        currency=row["currency"],
        notice_url=row["notice_url"],
        goods_url=row["goods_url"],
        uses_url=row["uses_url"],
    )


def _goods(row: Row) -> Goods:
    same = {name: row[name] for name in Goods.__dataclass_fields__ if name not in ("cost", "is_on_sale", "account_fields")}
    return Goods(
        cost=money(row["cost_micro"]),
        is_on_sale=bool(row["is_on_sale"]),
        account_fields=tuple(json.loads(row["account_fields"])),
        **same,
    )


SCHEMA = """
create table if not exists client (
  id integer primary key, name text not null, credentials text not null, balance_micro integer not null,
  currency text not null, notice_url text not null, goods_url text not null default '',
  uses_url text not null default '', created_at real not null
);
create table if not exists goods (
  sku text primary key, name text not null, kind text not null check (kind in ('card', 'top_up')),
  cost_micro integer not null, currency text not null, face_value_minor integer,
  least_minor integer, most_minor integer, step_minor integer,
  stock integer check (stock >= 0), is_on_sale integer not null, region text not null, account_fields text not null,
  changed_at real not null
) without rowid;
create table if not exists purchase (
  id integer primary key, client_id integer not null, out_no text not null, own_no text not null unique,
  sku text not null, quantity integer not null check (quantity > 0), account text not null, face_value_minor integer,
  state text not null check (state in ('processing', 'succeeded', 'failed')), reason text not null,
  cost_micro integer not null, currency text not null, notice_url text not null,
  asked integer not null, created_at real not null, decides_at real not null, decision text not null, decided_at real
);
create index if not exists purchase_number on purchase (out_no, client_id);
create index if not exists purchase_open on purchase (decides_at) where state = 'processing';
create index if not exists purchase_day on purchase (created_at);
create table if not exists card (
  id integer primary key, sku text not null, number text not null, password text not null, expires_on text not null, purchase_id integer
);
create index if not exists card_free on card (sku, id) where purchase_id is null;
create index if not exists card_purchase on card (purchase_id);
create table if not exists effect (
  id integer primary key, purchase_id integer not null, out_no text not null, sku text not null, account text not null, at real not null
);
create index if not exists effect_number on effect (out_no);
create table if not exists event (
  id integer primary key, purchase_id integer not null, told text not null, state text not null,
  attempts integer not null, created_at real not null
);
create index if not exists event_open on event (id) where state = 'open';
create index if not exists event_purchase on event (purchase_id);
create table if not exists sent (
  id integer primary key, event_id integer not null, at real not null, status integer, answer text not null, altered text not null
);
create index if not exists sent_event on sent (event_id);
create table if not exists use (
  id integer primary key, purchase_id integer not null references purchase, at real not null, place text not null, is_taken_back integer not null
);
create table if not exists use_sent (
  id integer primary key, use_id integer not null references use, at real not null, status integer, answer text not null, altered text not null
);
create table if not exists goods_sent (
  id integer primary key, client_id integer not null, sku text not null, at real not null, status integer, answer text not null, altered text not null
);
create table if not exists asked (
  id integer primary key, at real not null, step text not null, out_no text, client_id integer, ending text not null
);
create index if not exists asked_number on asked (out_no);
"""
