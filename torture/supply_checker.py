"""Whether what companies sold is what was bought: their own books against the attempts, the ledger and what buyers read, by plain SQL and SQLite alone."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from torture.buyers import Told
from torture.verdict import Verdict

Row = dict[str, Any]
BOUGHT = ("succeeded", "replaced", "succeeded_late")
LATE, REPLACED, KNOWN_CARD = "succeeded_late", "replaced", "known_card"
MICRO = 1_000_000
_MICRO_OF_A_FEN = 10_000
_DIGITS_OF_A_NUMBER = 11


@dataclass(frozen=True)
class CompanyBook:
    """One merchant's affairs at one company, as the company wrote them down. Money in millionths."""

    protocol: str
    effects: Sequence[Row]
    cards: Mapping[str, str]
    """What was handed out, as a buyer reads it, and under which number."""
    taken_micro: int
    """What his accounts there have less than they began with."""
    undecided: Sequence[str]


@dataclass(frozen=True)
class Bought:
    """One merchant's purchases as his database has them."""

    attempts: Mapping[str, Row]
    tests: frozenset[str]
    cases: frozenset[tuple[str, str]]
    """Kind and attempt of every case, open or closed."""
    lines: Sequence[Row]
    """Per order line of what companies deliver: what the ledger says it cost, and what its units from own stock cost, in minor units."""


def read_company(path: Path, protocol: str, client_ids: Sequence[int], *, opening_micro: int) -> CompanyBook:
    """From the company's own file. `opening_micro` is what all these clients had together."""
    book = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    book.row_factory = sqlite3.Row
    clients = json.dumps(list(client_ids))
    try:
        effects = [dict(row) for row in book.execute(_EFFECTS, (clients,))]
        cards = {f"{row['number']} {row['password']}".rstrip(): row["out_no"] for row in book.execute(_CARDS, (clients,))}
        left = book.execute(_BALANCES, (clients,)).fetchone()[0]
        undecided = [row[0] for row in book.execute(_OPEN, (clients,))]
    finally:
        book.close()
    return CompanyBook(protocol, effects, cards, opening_micro - left, undecided)


def read_bought(connection: psycopg.Connection[Row]) -> Bought:
    """In the schema the connection looks in."""
    return Bought(
        attempts={row["out_no"]: row for row in _fetch(connection, _ATTEMPTS)},
        tests=frozenset(row["out_no"] for row in _fetch(connection, "select out_no from test_order where state = 'succeeded'")),
        cases=frozenset((row["kind"], row["id"]) for row in _fetch(connection, _CASES)),
        lines=_fetch(connection, _LINES),
    )


def unheard_of(books: Sequence[CompanyBook], bought: Bought) -> list[str]:
    """Numbers under which companies sold what we do not know yet to be sold, or have not decided themselves."""
    heard = {number for number, row in bought.attempts.items() if _is_accounted_for(row)} | bought.tests
    sold = {effect["out_no"] for book in books for effect in book.effects}
    return [*sorted(sold - heard), *(number for book in books for number in book.undecided)]


def check_supply(verdict: Verdict, books: Sequence[CompanyBook], bought: Bought, told: Sequence[Told]) -> None:
    """Every rule about what companies sold to one merchant."""
    _check_numbers(verdict, books, bought)
    _check_units(verdict, books, bought)
    _check_losses(verdict, books, bought)
    _check_keys(verdict, books, bought, told)
    _check_accounts(verdict, books, bought, told)


def check_costs(verdict: Verdict, books: Sequence[CompanyBook], bought: Bought, untrue: Mapping[str, int]) -> None:
    """What companies took is what the ledger says purchases cost, to the cent, but for so many costs that each may have told one too high."""
    costs = {effect["out_no"]: effect["cost_micro"] for book in books for effect in book.effects}
    for book in books:
        sold = sum(effect["cost_micro"] for effect in book.effects)
        verdict.expect(
            f"{book.protocol} took another sum than it sold for:", [] if book.taken_micro == sold else [book.taken_micro - sold]
        )
        off = [
            (e["out_no"], _told_minor(bought, e["out_no"]) - _minor(e["cost_micro"]))
            for e in book.effects
            if _is_served(bought, e["out_no"])
        ]
        wrong = [(number, difference) for number, difference in off if difference]
        is_excused = len(wrong) <= untrue.get(book.protocol, 0) and all(difference == 100 for _, difference in wrong)
        verdict.expect(f"Bought at {book.protocol} for another cost than was taken:", [] if is_excused else wrong)
    served: dict[str, int] = defaultdict(int)
    for number, row in bought.attempts.items():
        if row["state"] in ("succeeded", REPLACED) and number in costs:
            served[row["order_line_id"]] += _told_minor(bought, number)
    ledger = {line["order_line_id"]: line["ledger_minor"] - line["own_minor"] for line in bought.lines}
    unequal = [line for line in ledger.keys() | served.keys() if ledger.get(line, 0) != served.get(line, 0)]
    verdict.expect("Order lines that cost another sum by the ledger than by their purchases:", sorted(unequal))


def _check_numbers(verdict: Verdict, books: Sequence[CompanyBook], bought: Bought) -> None:
    """Each effect is one purchase that says so, and the other way round."""
    sold: Counter[str] = Counter()
    for book in books:
        numbers = Counter(effect["out_no"] for effect in book.effects)
        ours = {number: bought.attempts.get(number) for number in numbers if number not in bought.tests}
        verdict.sold[book.protocol] += sum(numbers.values())
        verdict.resent += sum(row["times_sent"] > 1 for row in ours.values() if row is not None)
        verdict.expect(f"Sold by {book.protocol} and bought by nobody:", [number for number, row in ours.items() if row is None])
        strange = [number for number, row in ours.items() if row is not None and not _is_accounted_for(row)]
        verdict.expect(f"Sold by {book.protocol} and not said to be:", [f"{n} {bought.attempts[n]['state']}" for n in strange])
        elsewhere = [number for number, row in ours.items() if row is not None and not row["connector"].startswith(book.protocol)]
        verdict.expect(f"Sold by {book.protocol} and bought at another:", elsewhere)
        verdict.expect(f"Not decided by {book.protocol}:", book.undecided)
        sold += numbers
    verdict.expect("Sold twice under one number:", [number for number, times in sold.items() if times > 1])
    said = [number for number, row in bought.attempts.items() if row["state"] in BOUGHT]
    verdict.expect("Said to be bought and never sold:", [number for number in said if number not in sold])


def _check_units(verdict: Verdict, books: Sequence[CompanyBook], bought: Bought) -> None:
    """No unit was sold twice, over all companies, but for what was no buyer's; and a delivered one stands on the purchase that was."""
    per_unit: Counter[str] = Counter()
    for book in books:
        for effect in book.effects:
            row = bought.attempts.get(effect["out_no"])
            if row is not None and not _is_lost(row):
                per_unit[row["unit"]] += 1
    verdict.expect("Units bought twice:", [unit for unit, times in per_unit.items() if times > 1])
    rows = bought.attempts.values()
    astray = [row["out_no"] for row in rows if row["state"] == "succeeded" and not row["serves"]]
    verdict.expect("Bought, and its unit was served by something else:", astray)


def _check_losses(verdict: Verdict, books: Sequence[CompanyBook], bought: Bought) -> None:
    """What came for a purchase that was given up, or was sold before, is a case; a card that came late is stock too."""
    sold = {effect["out_no"] for book in books for effect in book.effects}
    for number, row in bought.attempts.items():
        if number not in sold or not _is_lost(row) or row["state"] == REPLACED:
            continue  # what was replaced was its buyer's, and is another case's
        verdict.lost[f"{row['state']} after {row['before']}" if row["state"] == LATE else row["reason"]] += 1
        needed = ["bad_goods"] if row["state"] != LATE else ["supplier_late", *(["spare_goods"] if row["is_card"] else [])]
        missing = [kind for kind in needed if (kind, row["id"]) not in bought.cases]
        verdict.expect(f"{number} is lost, and nobody is told:", missing)


def _check_keys(verdict: Verdict, books: Sequence[CompanyBook], bought: Bought, told: Sequence[Told]) -> None:
    """Each key a buyer read was sold under the number of a purchase for his order, or came late for another's and was stock since."""
    cards = {card: number for book in books for card, number in book.cards.items()}
    strange, foreign = [], []
    for one in told:
        for key in one.keys if one.goods.is_supplied else ():
            row = bought.attempts.get(cards.get(key, ""))
            if row is None:
                strange.append(f"{key} in {one.order_no}")
            elif row["order_no"] != one.order_no and not (row["state"] == LATE and row["sku_id"] == str(one.goods.sku_id)):
                foreign.append(f"{key} in {one.order_no}, bought for {row['order_no']}")
    verdict.expect("Keys read that no company sold:", strange)
    verdict.expect("Keys read in one order that were bought for another:", foreign)


def _check_accounts(verdict: Verdict, books: Sequence[CompanyBook], bought: Bought, told: Sequence[Told]) -> None:
    """What was credited was credited to the number its buyer typed, and whoever saw it credited got it."""
    phones = {one.order_no: one.phone for one in told if one.goods.is_credited}
    credited, wrong = set(), []
    for book in books:
        for effect in book.effects:
            row = bought.attempts.get(effect["out_no"])
            if row is None or row["order_no"] not in phones:
                continue
            credited.add(row["order_no"])
            if _number_of(effect["account"]) != phones[row["order_no"]]:
                wrong.append(effect["out_no"])
    verdict.expect("Credited to another number than its buyer typed:", wrong)
    seen = [one.order_no for one in told if one.saw_credited and one.order_no not in credited]
    verdict.expect("Shown as credited and credited by nobody:", seen)


def _is_accounted_for(row: Row) -> bool:
    return row["state"] in BOUGHT or row["reason"] == KNOWN_CARD


def _is_lost(row: Row) -> bool:
    """Whether what was sold is not the buyer's."""
    return row["state"] in (LATE, REPLACED) or row["reason"] == KNOWN_CARD


def _is_served(bought: Bought, number: str) -> bool:
    row = bought.attempts.get(number)
    return row is not None and row["state"] in ("succeeded", REPLACED)


def _told_minor(bought: Bought, number: str) -> int:
    minor: int = bought.attempts[number]["cost_minor"]
    return minor


def _minor(micro: int) -> int:
    return (micro + _MICRO_OF_A_FEN // 2) // _MICRO_OF_A_FEN


def _number_of(account: str) -> str:
    """The last digits of whatever the account's fields hold: companies write a number in their own forms."""
    return "".join(character for character in "".join(json.loads(account).values()) if character.isdigit())[-_DIGITS_OF_A_NUMBER:]


def _fetch(connection: psycopg.Connection[Row], query: LiteralString) -> list[Row]:
    return connection.execute(query).fetchall()


_EFFECTS = """
select effect.out_no, effect.sku, effect.account, purchase.cost_micro
from effect join purchase on purchase.id = effect.purchase_id
where purchase.client_id in (select value from json_each(?))
order by effect.id
"""
_CARDS = """
select card.number, card.password, purchase.out_no
from card join purchase on purchase.id = card.purchase_id
where purchase.client_id in (select value from json_each(?))
"""
_BALANCES = "select coalesce(sum(balance_micro), 0) from client where id in (select value from json_each(?))"
_OPEN = "select out_no from purchase where state = 'processing' and client_id in (select value from json_each(?))"
_ATTEMPTS: LiteralString = """
select a.id::text, a.out_no, a.state, a.reason, a.times_sent, a.order_line_id::text, a.order_line_id || '/' || a.unit_no as unit, a.sku_id::text, o.order_no, c.connector,
       coalesce(u.attempt_id = a.id, false) as serves, l.delivery_kind = 'card_key' as is_card, round(coalesce(a.unit_cost, 0) * 100)::int as cost_minor,
       coalesce((select h.facts ->> 'reason' from history h where h.subject_id = a.id and h.event = 'attempt.failed' order by h.at desc limit 1), '') as before
from attempt a
join supplier_connection c on c.id = a.connection_id
join shop_order o on o.id = a.order_id
join order_line l on l.id = a.order_line_id
join delivery_unit u on u.order_line_id = a.order_line_id and u.unit_no = a.unit_no
"""
_CASES: LiteralString = "select kind, subject_id::text as id from staff_case where subject_kind = 'attempt'"
_LINES: LiteralString = """
select l.id::text as order_line_id,
       coalesce((select sum(t.amount_minor) from transfer t where t.subject_id = l.id and t.kind = 'cost_of_goods'), 0)::int as ledger_minor,
       coalesce((select sum(round(u.unit_cost * 100)) from delivery_unit u where u.order_line_id = l.id and u.attempt_id is null), 0)::int as own_minor
from order_line l
where l.sku_id in (select sku_id from supply_route)
"""
