"""Whether everything held, by plain SQL on a login of its own and the books of the other companies. Nothing of the application runs here but its rules' text."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from app.insight.invariants import INVARIANTS
from operations.settings import DATABASE
from torture import supply_checker
from torture.buyers import Tally
from torture.companies import BALANCE, PROTOCOLS
from torture.stage import Merchant, TorturedSystem
from torture.supply_checker import CompanyBook
from torture.verdict import Verdict

Row = dict[str, Any]
LOOK_S = 1.0


@dataclass
class Books:
    """One merchant's affairs as the gateway wrote them down."""

    captures: dict[str, Row]
    """By the gateway's own transaction number."""
    refunds: dict[str, Row]
    """By our refund number; those that succeeded."""
    payments: dict[str, Row]


def wait_until_settled(system: TorturedSystem, merchants: Sequence[Merchant], *, within_s: float) -> list[str]:
    """Wait until nothing is under way any more; what still is when the time is over, and nothing when all is done."""
    ends = time.monotonic() + within_s
    while True:
        left = [line for merchant in merchants for line in _under_way(system, merchant)]
        if not left or time.monotonic() > ends:
            return left
        time.sleep(LOOK_S)


def check(system: TorturedSystem, merchants: Sequence[Merchant], tally: Tally, untrue_costs: Mapping[str, int]) -> Verdict:
    """Every rule over every merchant. `untrue_costs`: how often each company may have told a cost of one more than it took."""
    verdict = Verdict()
    for merchant in merchants:
        with _connected(system, merchant) as connection:
            _check_invariants(verdict, connection, merchant)
            _check_money(verdict, connection, read_books(system, merchant))
            _check_units(verdict, connection)
            _check_messages(verdict, connection, system)
            _check_buyers(verdict, connection, merchant, tally)
            _check_cases(verdict, connection)
            told, bought = [one for one in tally.orders if one.merchant is merchant], supply_checker.read_bought(connection)
            supply_checker.check_supply(verdict, read_companies(system, merchant), bought, told)
            supply_checker.check_costs(verdict, read_companies(system, merchant), bought, untrue_costs)
    _check_keys(verdict, tally)
    return verdict


def read_books(system: TorturedSystem, merchant: Merchant) -> Books:
    """From the gateway's own file, which the system under test cannot reach."""
    book = sqlite3.connect(f"file:{_books(system) / 'gateway.sqlite'}?mode=ro", uri=True)
    book.row_factory = sqlite3.Row

    def rows(query: str) -> list[Row]:
        return [dict(row) for row in book.execute(query, (merchant.merchant_id,))]

    try:
        return Books(
            captures={row["gateway_txn"]: row for row in rows(_CAPTURES)},
            refunds={row["refund_no"]: row for row in rows("select * from refund where merchant_id = ? and state = 'succeeded'")},
            payments={row["out_no"]: row for row in rows("select * from payment where merchant_id = ?")},
        )
    finally:
        book.close()


def read_companies(system: TorturedSystem, merchant: Merchant) -> list[CompanyBook]:
    """What each company says of him, from its own file."""
    clients = {protocol: [one.client_id for one in merchant.accounts if one.protocol == protocol] for protocol in PROTOCOLS}
    return [
        supply_checker.read_company(
            _books(system) / f"{protocol}.sqlite", protocol, of, opening_micro=len(of) * BALANCE * supply_checker.MICRO
        )
        for protocol, of in clients.items()
    ]


def _books(system: TorturedSystem) -> Path:
    return system.folder / "books"


def _connected(system: TorturedSystem, merchant: Merchant) -> psycopg.Connection[Row]:
    """As the server's administrator, past the cable and past every wall, in the merchant's schema."""
    connection = psycopg.connect(system.postgres_admin_url(DATABASE), autocommit=True, row_factory=cast("Any", dict_row))
    connection.execute(sql.SQL("set search_path to {}").format(sql.Identifier(merchant.tenant.schema)))
    return cast("psycopg.Connection[Row]", connection)


def _fetch(connection: psycopg.Connection[Row], query: LiteralString) -> list[Row]:
    return connection.execute(query).fetchall()


# Settled


def _under_way(system: TorturedSystem, merchant: Merchant) -> list[str]:
    books = read_books(system, merchant)
    with _connected(system, merchant) as connection:
        left = [f"{row['what']} {row['id']} is {row['state']}" for row in _fetch(connection, _UNDER_WAY)]
        known = {row["gateway_txn"] for row in _fetch(connection, "select gateway_txn from capture")}
        unheard = supply_checker.unheard_of(read_companies(system, merchant), supply_checker.read_bought(connection))
    left += [f"capture {number} is not heard of" for number in books.captures.keys() - known]
    return left + [f"purchase {number} is not heard of" for number in unheard]


# Rules


def _check_invariants(verdict: Verdict, connection: psycopg.Connection[Row], merchant: Merchant) -> None:
    """As the merchant's own role, because one rule is about what that role may reach."""
    connection.execute(sql.SQL("set role {}").format(sql.Identifier(merchant.tenant.role)))
    for rule in INVARIANTS:
        found = connection.execute(rule.query.encode()).fetchall()
        verdict.expect(f"{rule.number} at {merchant.tenant.slug}: {rule.says}", [next(iter(row.values())) for row in found])
    connection.execute("reset role")


def _check_money(verdict: Verdict, connection: psycopg.Connection[Row], books: Books) -> None:
    """What the gateway took is what we booked, and what it gave back is what we say it gave back."""
    captures = {row["gateway_txn"]: row for row in _fetch(connection, "select * from capture")}
    refunds = {row["refund_no"]: row for row in _fetch(connection, "select * from refund")}
    verdict.expect("Money was taken and not booked:", sorted(books.captures.keys() - captures.keys()))
    verdict.expect("Money was booked and not taken:", sorted(captures.keys() - books.captures.keys()))
    verdict.expect("Booked over another amount than was taken:", _unequal(books.captures, captures))
    verdict.expect("Money was given back and not booked:", sorted(books.refunds.keys() - _succeeded(refunds)))
    verdict.expect("Money was booked as given back and was not:", sorted(_succeeded(refunds) - books.refunds.keys()))
    verdict.expect("Given back over another amount than was booked:", _unequal(books.refunds, refunds))
    over = [no for no, row in books.payments.items() if row["refunded_minor"] > row["amount_minor"]]
    verdict.expect("More was given back than was taken:", over)


def _succeeded(refunds: dict[str, Row]) -> set[str]:
    return {number for number, row in refunds.items() if row["state"] == "succeeded"}


def _unequal(theirs: dict[str, Row], ours: dict[str, Row]) -> list[str]:
    return [no for no in theirs.keys() & ours.keys() if theirs[no]["amount_minor"] != ours[no]["amount_minor"]]


def _check_units(verdict: Verdict, connection: psycopg.Connection[Row]) -> None:
    """Every paid unit ended delivered or given back, and the two add up to the money that stayed and the money that went."""
    counted = Counter({row["state"]: row["units"] for row in _fetch(connection, _UNITS)})
    verdict.delivered += counted["delivered"]
    verdict.refunded += counted["refunded"]
    verdict.expect(
        "Paid and neither delivered nor given back:", [f"{n} {state}" for state, n in counted.items() if state not in _ENDED]
    )
    verdict.expect(
        "Orders whose money is not what was delivered and what was given back:",
        [row["order_no"] for row in _fetch(connection, _ACCOUNTS)],
    )


def _check_messages(verdict: Verdict, connection: psycopg.Connection[Row], system: TorturedSystem) -> None:
    """Whoever got something was told so."""
    orders = {row["order_no"] for row in _fetch(connection, "select order_no from shop_order where state = 'delivered'")}
    book = sqlite3.connect(f"file:{_books(system) / 'outbox.sqlite'}?mode=ro", uri=True)
    try:
        texts = "\n".join(row[0] for row in book.execute("select text from message"))
    finally:
        book.close()
    verdict.expect("Delivered and not told:", sorted(number for number in orders if number not in texts))


def _check_buyers(verdict: Verdict, connection: psycopg.Connection[Row], merchant: Merchant, tally: Tally) -> None:
    """What a buyer was told stands, and asking again ordered nothing more."""
    told = [one for one in tally.orders if one.merchant is merchant]
    rows = {row["order_no"]: row for row in _fetch(connection, "select order_no, state, contact_fingerprint from shop_order")}
    verdict.expect("Orders buyers were told of that are not there:", [one.order_no for one in told if one.order_no not in rows])
    twice = [number for number, times in Counter(row["contact_fingerprint"] for row in rows.values()).items() if times > 1]
    verdict.expect("Buyers who wanted one order and have more:", twice)
    unpaid = ("awaiting_payment", "expired", "cancelled")
    verdict.expect(
        "Paid at the gateway and not paid here:",
        [one.order_no for one in told if one.has_paid and rows.get(one.order_no, {}).get("state") in unpaid],
    )


def _check_cases(verdict: Verdict, connection: psycopg.Connection[Row]) -> None:
    """What is left for a person, counted; nobody is left wondering whether something was bought."""
    counted = Counter({row["kind"]: row["cases"] for row in _fetch(connection, _CASES)})
    verdict.cases += counted
    verdict.expect("Settled, and a person is still asked to find out:", [kind for kind in counted if kind == "supplier_unknown"])


def _check_keys(verdict: Verdict, tally: Tally) -> None:
    """Each key was read by the buyers of one order alone, and is one its merchant imported for that SKU."""
    readers: dict[str, set[str]] = defaultdict(set)
    strange = []
    for told in tally.orders:
        for key in told.keys:
            readers[key].add(told.order_no)
            if key not in told.goods.keys and not told.goods.is_supplied:
                strange.append(f"{key} in {told.order_no}")
    verdict.expect("Keys two orders were shown:", [key for key, orders in readers.items() if len(orders) > 1])
    verdict.expect("Keys of another merchant or SKU:", strange)


_ENDED = ("delivered", "refunded")
_CAPTURES = """
select capture.gateway_txn, capture.amount_minor, payment.out_no
from capture join payment on payment.id = capture.payment_id
where payment.merchant_id = ?
"""
_UNDER_WAY: LiteralString = """
select 'order' as what, order_no as id, state from shop_order
where state in ('paid', 'refunding') or (state = 'awaiting_payment' and expires_at < now())
union all
select 'refund', refund_no, state from refund where state in ('requested', 'sending', 'unknown')
union all
select 'purchase', out_no, state from attempt where state in ('planned', 'sending', 'accepted', 'unknown')
union all
select 'message', id::text, state from outgoing_message where state = 'waiting'
union all
select 'task', kind || ' ' || coalesce(last_error, ''), state from task where state = 'running' or (state = 'waiting' and run_at < now() - interval '1 second')
"""
_UNITS: LiteralString = """
select u.state, count(*) as units
from delivery_unit u
where exists (select 1 from capture c where c.order_id = u.order_id)
group by u.state
"""
_CASES: LiteralString = "select kind, count(*) as cases from staff_case where state = 'open' group by kind"
_ACCOUNTS: LiteralString = """
select o.order_no
from shop_order o
join (select order_id, sum(amount_minor) as taken from capture group by 1) c on c.order_id = o.id
left join (select order_id, sum(amount_minor) as given_back from refund where state = 'succeeded' group by 1) r on r.order_id = o.id
left join (select order_id, sum(amount_minor) as delivered from delivery_unit where state = 'delivered' group by 1) u on u.order_id = o.id
where c.taken <> coalesce(r.given_back, 0) + coalesce(u.delivered, 0)
"""
