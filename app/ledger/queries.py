"""Reads of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from tenants.session import Tx


async def trial_balance_minor(tx: Tx) -> dict[str, int]:
    """Debits less credits over all accounts, per currency: zero, always."""
    return {row["currency"]: int(row["difference"]) for row in await tx.fetch(_TRIAL)}


async def accounts_off(tx: Tx) -> list[asyncpg.Record]:
    """Accounts whose cached sums differ from their transfers: none, always."""
    return await tx.fetch(_OFF)


async def balance_minor(tx: Tx, name: str, currency: str) -> int:
    """An account's balance on its normal side; zero for one that was never used."""
    balance = await tx.fetchval(_BALANCE, name, currency)
    return int(balance or 0)


async def transfers_of(tx: Tx, subjects: list[UUID], *, ids: Sequence[UUID] = ()) -> list[asyncpg.Record]:
    """The transfers about some subjects, and those named by their ids, oldest first, with the names of their accounts."""
    return await tx.fetch(_OF, subjects, list(ids))


_TRIAL = "select currency, sum(debits_minor - credits_minor) as difference from ledger_account group by currency"
_OFF = """
select a.name, a.currency, a.debits_minor, a.credits_minor, coalesce(d.total, 0) as debits_found, coalesce(c.total, 0) as credits_found
from ledger_account a
left join (select debit_account_id as id, sum(amount_minor) as total from transfer group by 1) d on d.id = a.id
left join (select credit_account_id as id, sum(amount_minor) as total from transfer group by 1) c on c.id = a.id
where a.debits_minor <> coalesce(d.total, 0) or a.credits_minor <> coalesce(c.total, 0)
"""
_BALANCE = """
select case normal_side when 'debit' then debits_minor - credits_minor else credits_minor - debits_minor end
from ledger_account where name = $1 and currency = $2
"""
_OF = """
select t.id, t.kind, t.amount_minor, t.currency, t.at, t.subject_id, d.name as debit_name, c.name as credit_name
from transfer t
join ledger_account d on d.id = t.debit_account_id
join ledger_account c on c.id = t.credit_account_id
where t.subject_id = any($1) or t.id = any($2)
order by t.at, t.id
limit 500
"""
