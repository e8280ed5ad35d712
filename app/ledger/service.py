"""The only writer of the ledger. A transfer's id comes from its business key, so posting it again changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from app.kernel.ids import id_of
from tenants.session import Tx


class Purpose(Enum):
    """The accounts of a tenant: name, the side that grows it, whether it may cross zero.

    Money at a gateway is a debit account, and so are what companies owe us for batches, what they have paid (at our bank), and what suppliers owe us
    back; what we owe (paid and not delivered, or not explained) and what we earned or recovered are credit accounts. A company that paid for what
    came off its account later has something to its credit: what is owed may cross zero.
    `goods` falls by what is delivered and is not raised when we buy: it says what left us, not what we have.
    """

    GATEWAY = ("gateway", "debit", True)
    RECEIVABLES = ("receivables", "debit", True)
    BANK = ("bank", "debit", True)
    DEPOSITS = ("buyer_deposits", "credit", False)
    SALES = ("sales", "credit", True)
    SUSPENSE = ("suspense", "credit", False)
    COST_OF_GOODS = ("cost_of_goods", "debit", True)
    GOODS = ("goods", "debit", True)
    SUPPLIER_PAYABLE = ("supplier_payable", "credit", True)
    SUPPLIER_CORRECTIONS = ("supplier_corrections", "debit", True)
    SUPPLIER_CREDITS = ("supplier_credits", "debit", True)
    GATEWAY_FEES = ("gateway_fees", "debit", True)
    RECOVERED = ("recovered_costs", "credit", True)


class TransferKind(Enum):
    """Why money moved. Debit and credit are given by the kind, so no caller can swap them."""

    CAPTURE = ("capture", Purpose.GATEWAY, Purpose.DEPOSITS)
    SURPLUS = ("surplus", Purpose.GATEWAY, Purpose.SUSPENSE)
    GATEWAY_FEE = ("gateway_fee", Purpose.GATEWAY_FEES, Purpose.GATEWAY)
    SALE = ("sale", Purpose.DEPOSITS, Purpose.SALES)
    COST_OF_GOODS = ("cost_of_goods", Purpose.COST_OF_GOODS, Purpose.GOODS)
    REFUND_UNDELIVERED = ("refund_undelivered", Purpose.DEPOSITS, Purpose.GATEWAY)
    REFUND_DELIVERED = ("refund_delivered", Purpose.SALES, Purpose.GATEWAY)
    REFUND_SURPLUS = ("refund_surplus", Purpose.SUSPENSE, Purpose.GATEWAY)
    ON_ACCOUNT = ("on_account", Purpose.RECEIVABLES, Purpose.DEPOSITS)
    OFF_ACCOUNT_UNDELIVERED = ("off_account_undelivered", Purpose.DEPOSITS, Purpose.RECEIVABLES)
    OFF_ACCOUNT_DELIVERED = ("off_account_delivered", Purpose.SALES, Purpose.RECEIVABLES)
    COMPANY_PAYMENT = ("company_payment", Purpose.BANK, Purpose.RECEIVABLES)
    COMPANY_PAYMENT_UNDONE = ("company_payment_undone", Purpose.RECEIVABLES, Purpose.BANK)
    STATEMENT_CHARGE = ("statement_charge", Purpose.SUPPLIER_CORRECTIONS, Purpose.SUPPLIER_PAYABLE)
    STATEMENT_CREDIT = ("statement_credit", Purpose.SUPPLIER_PAYABLE, Purpose.SUPPLIER_CORRECTIONS)
    SUPPLIER_CREDIT = ("supplier_credit", Purpose.SUPPLIER_CREDITS, Purpose.RECOVERED)


@dataclass(frozen=True, slots=True)
class Posting:
    """One transfer to make: so many minor units, for this subject (a capture, an order line's unit, a refund)."""

    kind: TransferKind
    subject_id: UUID
    amount_minor: int
    currency: str
    leg: str = ""
    """Tells apart several transfers of one kind and subject, such as the units of a line."""

    @property
    def id(self) -> UUID:
        return id_of("transfer", self.kind.value[0], self.subject_id, self.leg)


class Conflict(RuntimeError):
    """A transfer with this business key exists with other content. Always a bug or a tampered row."""


async def transfer(tx: Tx, postings: Iterable[Posting]) -> int:
    """Make transfers in this transaction, whose commit moves the balances; the number that were new.

    Idempotent: a transfer already made is left as it is. Locks: with the commit, the accounts touched, in ascending id order; none before.
    Raises: Conflict when a business key comes back with another amount; the database refuses amounts of zero or less, and with the commit
    a balance that may not go below zero.
    """
    wanted = {posting.id: posting for posting in postings}
    if not wanted:
        return 0
    accounts = await _accounts(tx, wanted.values())
    rows = [
        (
            p.id,
            accounts[p.kind.value[1], p.currency],
            accounts[p.kind.value[2], p.currency],
            p.amount_minor,
            p.currency,
            p.kind.value[0],
            p.subject_id,
        )
        for p in wanted.values()
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    made = {row["id"] for row in await tx.fetch(_INSERT, *columns)}
    if len(made) < len(wanted):
        await _same_as_before(tx, [p for p in wanted.values() if p.id not in made])
    if made:
        moves = tx.ending(_Moves)
        for transfer_id, debit, credit, amount_minor, *_rest in rows:
            if transfer_id in made:
                moves.add(debit, credit, amount_minor)
    return len(made)


class _Moves:
    """How far a transaction moves the balances. They are locked with its commit, for every sale of the tenant wants the same few."""

    def __init__(self) -> None:
        self._by_account: dict[UUID, list[int]] = {}

    def add(self, debit: UUID, credit: UUID, amount_minor: int) -> None:
        self._by_account.setdefault(debit, [0, 0])[0] += amount_minor
        self._by_account.setdefault(credit, [0, 0])[1] += amount_minor

    def statement(self) -> str:
        moves = ", ".join(f"('{account}'::uuid, {debit:d}, {credit:d})" for account, (debit, credit) in self._by_account.items())
        return _MOVE.format(moves=moves)


_seen: set[UUID] = set()
"""Accounts that this process found made, and so committed: they never go."""
_MOST_SEEN = 50_000


async def _accounts(tx: Tx, postings: Iterable[Posting]) -> dict[tuple[Purpose, str], UUID]:
    """The accounts the postings touch, made on first use."""
    needed = sorted({(side, p.currency) for p in postings for side in p.kind.value[1:]}, key=lambda key: (key[0].name, key[1]))
    ids = {key: id_of("ledger_account", tx.tenant.id, key[0].value[0], key[1]) for key in needed}
    if _seen.issuperset(ids.values()):
        return ids
    known = {row["id"] for row in await tx.fetch("select id from ledger_account where id = any($1)", list(ids.values()))}
    if len(_seen) > _MOST_SEEN:
        _seen.clear()
    _seen.update(known)
    for (purpose, currency), account_id in ids.items():
        if account_id not in known:
            name, side, may_cross = purpose.value
            await tx.execute(_OPEN, account_id, name, currency, side, may_cross)
    return ids


async def _same_as_before(tx: Tx, postings: list[Posting]) -> None:
    known = {
        row["id"]: row
        for row in await tx.fetch("select id, amount_minor, currency from transfer where id = any($1)", [p.id for p in postings])
    }
    for posting in postings:
        row = known[posting.id]
        if (row["amount_minor"], row["currency"]) != (posting.amount_minor, posting.currency):
            raise Conflict(f"transfer {posting.id} exists over another amount")


_OPEN = """
insert into ledger_account (id, name, currency, normal_side, may_cross_zero)
values ($1, $2, $3, $4, $5)
on conflict do nothing
"""
_INSERT = """
insert into transfer (id, debit_account_id, credit_account_id, amount_minor, currency, kind, subject_id)
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::uuid[])
on conflict (id) do nothing
returning id
"""
# "no key": every transfer of this instant holds the accounts by its foreign keys, and a full lock would wait for them in a circle
_MOVE = """
with moved (id, debit, credit) as (values {moves}),
locked as materialized (
  select id from ledger_account where id in (select id from moved) order by id for no key update
)
update ledger_account a
set debits_minor = a.debits_minor + m.debit, credits_minor = a.credits_minor + m.credit
from moved m join locked using (id)
where a.id = m.id
"""
