"""The gateway's book: what was asked, what was paid, what was given back and what was said about it.

One SQLite file, written by one thread; every verb is one transaction and repeats are harmless. Amounts are integers in minor
units, instants are seconds since 1970.
"""

import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulators.gateway.requests import NewPayment, NewRefund

Row = Mapping[str, Any]
MAX_EXPIRED_AT_ONCE = 500
PAID_STATES = ("succeeded", "refunded_partly", "refunded")


class Refusal(Exception):
    """A definite no, with the protocol's word for it."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error, self.message = status, error, message


def no_such_payment(out_no: str) -> Refusal:
    return Refusal(404, "no_such_payment", f"There is no payment {out_no}.")


def no_such_refund(refund_no: str) -> Refusal:
    return Refusal(404, "no_such_refund", f"There is no refund {refund_no}.")


class Book:
    """Opens or creates the file. `announce` is told the id of each new event once it is on disk."""

    def __init__(self, path: Path, announce: Callable[[str], None] = lambda _event_id: None) -> None:
        self.announce = announce
        self._fresh: list[str] = []
        self._secrets: dict[str, tuple[str, str]] = {}
        self.db = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        self.db.row_factory = sqlite3.Row
        self.db.execute("pragma journal_mode=wal")
        self.db.execute("pragma synchronous=normal")
        self.db.execute("pragma busy_timeout=5000")
        self.db.executescript(SCHEMA)

    def close(self) -> None:
        self.db.close()

    # Accounts

    def open_account(self) -> dict[str, str]:
        account = {
            "merchant_id": "m_" + secrets.token_hex(8),
            "api_secret": secrets.token_urlsafe(32),
            "notice_secret": secrets.token_urlsafe(32),
        }
        with self._write():
            self._insert("account", **account, created_at=time.time())
        return account

    def secrets_of(self, merchant_id: str) -> tuple[str, str] | None:
        """The secrets (for requests, for notices) of an account, or None if there is no such account."""
        if merchant_id not in self._secrets:
            row = self._one("select api_secret, notice_secret from account where merchant_id = ?", merchant_id)
            if row is None:
                return None
            self._secrets[merchant_id] = (row["api_secret"], row["notice_secret"])
        return self._secrets[merchant_id]

    # Payments

    def create_payment(self, merchant_id: str, asked: NewPayment) -> Row:
        content = json.dumps(asked.content(), sort_keys=True)
        with self._write():
            known = self._one("select * from payment where merchant_id = ? and out_no = ?", merchant_id, asked.out_no)
            if known is None:
                if asked.expires_at.timestamp() <= time.time():
                    raise Refusal(400, "invalid", "expires_at is in the past.")
                self._insert(
                    "payment",
                    merchant_id=merchant_id,
                    out_no=asked.out_no,
                    token=secrets.token_urlsafe(24),
                    gateway_ref=_reference("P"),
                    amount_minor=asked.amount_minor,
                    currency=asked.currency,
                    subject=asked.subject,
                    notice_url=asked.notice_url,
                    return_url=asked.return_url,
                    content=content,
                    state="created",
                    created_at=time.time(),
                    expires_at=asked.expires_at.timestamp(),
                )
            elif known["content"] != content:
                raise Refusal(409, "conflict", f"Payment {asked.out_no} exists with other content.")
        return self.payment(merchant_id, asked.out_no)

    def payment(self, merchant_id: str, out_no: str) -> Row:
        self.close_expired()
        row = self._one("select * from payment where merchant_id = ? and out_no = ?", merchant_id, out_no)
        if row is None:
            raise no_such_payment(out_no)
        return row

    def payment_of_token(self, token: str) -> Row | None:
        self.close_expired()
        return self._one("select * from payment where token = ?", token)

    def payments_numbered(self, out_no: str) -> list[Row]:
        return self._all("select * from payment where out_no = ? limit 2", out_no)

    def pay(self, payment: Row) -> Row:
        """Take the buyer's money, once. Refused when the payment is closed; nothing happens when it is paid already."""
        now = time.time()
        with self._write():
            changed = self.db.execute(PAY, {"id": payment["id"], "txn": _reference("T"), "now": now}).rowcount
            row = self._one("select * from payment where id = ?", payment["id"])
            assert row is not None
            if changed:
                self._insert(
                    "capture",
                    payment_id=row["id"],
                    gateway_txn=row["gateway_txn"],
                    amount_minor=row["amount_minor"],
                    currency=row["currency"],
                    created_at=now,
                )
                self._add_event("payment.succeeded", row)
            elif row["state"] not in PAID_STATES:
                raise Refusal(409, "closed", f"Payment {row['out_no']} is closed and cannot be paid.")
        return row

    def close_payment(self, merchant_id: str, out_no: str) -> Row:
        """Close an open payment for good. A paid one stays as it is."""
        row = self.payment(merchant_id, out_no)
        with self._write():
            self._close(row)
        return self.payment(merchant_id, out_no)

    def close_expired(self) -> None:
        now = time.time()
        if self._one("select 1 from payment where state = 'created' and expires_at <= ? limit 1", now) is None:
            return
        with self._write():
            for row in self._all(EXPIRED, now, MAX_EXPIRED_AT_ONCE):
                self._close(row)

    def _close(self, row: Row) -> None:
        changed = self.db.execute(
            "update payment set state = 'closed', closed_at = ? where id = ? and state = 'created'", (time.time(), row["id"])
        ).rowcount
        if changed:
            self._add_event("payment.closed", row)

    # Refunds

    def create_refund(self, merchant_id: str, asked: NewRefund, *, pending_s: float = 0) -> Row:
        """Give money back, at once or after `pending_s`. Never more than was taken, whatever is still pending included."""
        now = time.time()
        with self._write():
            known = self._refund(merchant_id, asked.refund_no)
            if known is not None:
                if (known["out_no"], known["amount_minor"]) != (asked.out_no, asked.amount_minor):
                    raise Refusal(409, "conflict", f"Refund {asked.refund_no} exists with other content.")
                return known
            payment = self.payment_in_transaction(merchant_id, asked.out_no)
            if payment["state"] not in PAID_STATES:
                raise Refusal(422, "declined", f"Payment {asked.out_no} has not been paid.")
            left_minor = payment["amount_minor"] - payment["refunded_minor"]
            if asked.amount_minor > left_minor:
                raise Refusal(422, "declined", f"Only {left_minor} of payment {asked.out_no} can still be refunded.")
            self.db.execute(
                "update payment set refunded_minor = refunded_minor + ? where id = ?", (asked.amount_minor, payment["id"])
            )
            self._insert(
                "refund",
                merchant_id=merchant_id,
                refund_no=asked.refund_no,
                out_no=asked.out_no,
                gateway_refund_ref=_reference("R"),
                amount_minor=asked.amount_minor,
                currency=payment["currency"],
                reason=asked.reason,
                state="pending",
                created_at=now,
                settles_at=now + pending_s,
            )
            if pending_s <= 0:
                self._settle(merchant_id, asked.refund_no)
        return self.refund(merchant_id, asked.refund_no)

    def refund(self, merchant_id: str, refund_no: str) -> Row:
        self.settle_refunds()
        row = self._refund(merchant_id, refund_no)
        if row is None:
            raise no_such_refund(refund_no)
        return row

    def settle_refunds(self) -> None:
        """Let pending refunds whose time has come succeed."""
        due = self._all("select merchant_id, refund_no from refund where state = 'pending' and settles_at <= ?", time.time())
        if due:
            with self._write():
                for row in due:
                    self._settle(row["merchant_id"], row["refund_no"])

    def _refund(self, merchant_id: str, refund_no: str) -> Row | None:
        return self._one("select * from refund where merchant_id = ? and refund_no = ?", merchant_id, refund_no)

    def _settle(self, merchant_id: str, refund_no: str) -> None:
        row = self._refund(merchant_id, refund_no)
        assert row is not None
        payment = self.payment_in_transaction(merchant_id, row["out_no"])
        self.db.execute(
            "update refund set state = 'succeeded', succeeded_at = ? where id = ?",
            (time.time(), row["id"]),
        )
        settled_minor = self._one(SETTLED, merchant_id, row["out_no"])
        assert settled_minor is not None
        state = "refunded" if settled_minor["total"] == payment["amount_minor"] else "refunded_partly"
        self.db.execute("update payment set state = ? where id = ?", (state, payment["id"]))
        self._add_event("refund.succeeded", payment, refund=row)

    def payment_in_transaction(self, merchant_id: str, out_no: str) -> Row:
        row = self._one("select * from payment where merchant_id = ? and out_no = ?", merchant_id, out_no)
        if row is None:
            raise no_such_payment(out_no)
        return row

    # Events: what the merchant is told

    def event(self, event_id: str) -> Row | None:
        return self._one("select * from event where event_id = ?", event_id)

    def open_events(self) -> list[Row]:
        """Events of an earlier run that nobody has acknowledged."""
        return self._all("select event_id, attempts from event where state = 'open' order by created_at limit 10000")

    def events_numbered(self, out_no: str) -> list[Row]:
        return self._all("select * from event where out_no = ? order by created_at limit 100", out_no)

    def record_sent(self, event: Row, *, status: int | None, answer: str, altered: str, is_last: bool) -> None:
        """Note one sending. A 2xx answer, or the last attempt, ends the event."""
        is_taken = status is not None and 200 <= status < 300
        state = "acknowledged" if is_taken else "given_up" if is_last else "open"
        with self._write():
            self._insert("sent", event_id=event["event_id"], at=time.time(), status=status, answer=answer[:200], altered=altered)
            self.db.execute(
                "update event set attempts = attempts + 1, state = case state when 'acknowledged' then state else ? end"
                " where event_id = ?",
                (state, event["event_id"]),
            )

    def _add_event(self, kind: str, payment: Row, *, refund: Row | None = None) -> None:
        event_id = _reference("E")
        said: dict[str, Any] = {
            "event_id": event_id,
            "type": kind,
            "merchant_id": payment["merchant_id"],
            "out_no": payment["out_no"],
            "gateway_ref": payment["gateway_ref"],
            "gateway_txn": payment["gateway_txn"],
            "amount_minor": payment["amount_minor"] if refund is None else refund["amount_minor"],
            "currency": payment["currency"],
            "occurred_at": instant_text(time.time()),
        }
        if refund is not None:
            said |= {"refund_no": refund["refund_no"], "gateway_refund_ref": refund["gateway_refund_ref"]}
        self._insert(
            "event",
            event_id=event_id,
            merchant_id=payment["merchant_id"],
            out_no=payment["out_no"],
            refund_no=None if refund is None else refund["refund_no"],
            kind=kind,
            notice_url=payment["notice_url"],
            body=json.dumps(said, ensure_ascii=False),
            state="open",
            attempts=0,
            created_at=time.time(),
        )
        self._fresh.append(event_id)

    # The file

    @contextmanager
    def _write(self) -> Iterator[None]:
        self.db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.db.execute("rollback")
            self._fresh.clear()
            raise
        self.db.execute("commit")
        fresh, self._fresh = self._fresh, []
        for event_id in fresh:
            self.announce(event_id)

    def _insert(self, table: str, **values: object) -> None:
        marks = ", ".join("?" * len(values))
        statement = f"insert into {table} ({', '.join(values)}) values ({marks})"  # noqa: S608 (names are our own)
        self.db.execute(statement, tuple(values.values()))

    def _one(self, statement: str, *values: object) -> Row | None:
        row: Row | None = self.db.execute(statement, values).fetchone()
        return row

    def _all(self, statement: str, *values: object) -> list[Row]:
        return self.db.execute(statement, values).fetchall()


def instant_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _reference(letter: str) -> str:
    return letter + datetime.now(UTC).strftime("%Y%m%d") + secrets.token_hex(9)


PAY = """
update payment
set state = 'succeeded', gateway_txn = :txn, paid_at = :now
where id = :id and state = 'created' and expires_at > :now
"""

EXPIRED = """
select *
from payment
where state = 'created' and expires_at <= ?
limit ?
"""

SETTLED = """
select coalesce(sum(amount_minor), 0) as total
from refund
where merchant_id = ? and out_no = ? and state = 'succeeded'
"""

SCHEMA = """
create table if not exists account (
  merchant_id text primary key, api_secret text not null, notice_secret text not null, created_at real not null
) without rowid;
create table if not exists payment (
  id integer primary key, merchant_id text not null, out_no text not null, token text not null unique,
  gateway_ref text not null, amount_minor integer not null check (amount_minor > 0), currency text not null,
  subject text not null, notice_url text not null, return_url text not null, content text not null,
  state text not null check (state in ('created', 'succeeded', 'closed', 'refunded_partly', 'refunded')),
  gateway_txn text, paid_at real, closed_at real, created_at real not null, expires_at real not null,
  refunded_minor integer not null default 0 check (refunded_minor between 0 and amount_minor),
  unique (merchant_id, out_no)
);
create index if not exists payment_open on payment (expires_at) where state = 'created';
create index if not exists payment_number on payment (out_no);
create table if not exists capture (
  payment_id integer not null unique, gateway_txn text primary key, amount_minor integer not null,
  currency text not null, created_at real not null
) without rowid;
create table if not exists refund (
  id integer primary key, merchant_id text not null, refund_no text not null, out_no text not null,
  gateway_refund_ref text not null, amount_minor integer not null check (amount_minor > 0), currency text not null,
  reason text not null, state text not null check (state in ('pending', 'succeeded')),
  created_at real not null, settles_at real not null, succeeded_at real,
  unique (merchant_id, refund_no)
);
create index if not exists refund_pending on refund (settles_at) where state = 'pending';
create index if not exists refund_payment on refund (merchant_id, out_no);
create table if not exists event (
  event_id text primary key, merchant_id text not null, out_no text not null, refund_no text, kind text not null,
  notice_url text not null, body text not null, state text not null, attempts integer not null, created_at real not null
) without rowid;
create index if not exists event_open on event (created_at) where state = 'open';
create index if not exists event_number on event (out_no);
create table if not exists sent (
  id integer primary key, event_id text not null, at real not null, status integer, answer text not null, altered text not null
);
create index if not exists sent_event on sent (event_id);
"""
