"""Card SKUs that are sold by face value: they have no stock of their own, because one pool cannot tell keys of different values apart.

Whoever puts keys on a SKU's shelf, and whoever says that it is sold by value, holds its stock row while he looks: one of them sees the other.
"""

from __future__ import annotations

from uuid import UUID

import asyncpg

from app.kernel.errors import N_, DomainError
from tenants.session import Tx


class SoldByValue(DomainError):
    message = N_(
        "%(name)s is sold by face value and has no stock of its own: a pool cannot hold keys of different values. "
        "Put these keys into a SKU with one price."
    )


class HasStock(DomainError):
    message = N_(
        "%(name)s has a stock of its own, which cannot hold keys of different values: %(free)s keys for sale, %(reserved)s units in orders "
        "that wait. Quarantine or void the keys and let the orders end, or sell values by a SKU of their own."
    )


class KeysOnTheWay(DomainError):
    message = N_("Keys of %(name)s are being moved onto or off the shelf. Wait until batch %(batch_no)s is done, and save again.")


async def hold_one_price(tx: Tx, sku_id: UUID) -> None:
    """Let keys come onto the shelf of a SKU only while it has one price, which it keeps until this is committed.

    Locks: the stock row. Raises: SoldByValue.
    """
    await _hold(tx, sku_id)
    await refuse_by_value(tx, sku_id)


async def refuse_by_value(tx: Tx, sku_id: UUID) -> None:
    """Say at once what `hold_one_price` would say later, without a lock. Raises: SoldByValue."""
    if await tx.fetchval(_IS_BY_VALUE, sku_id):
        raise SoldByValue(name=await tx.fetchval(_NAME, sku_id))


async def is_by_value(tx: Tx, sku_id: UUID) -> bool:
    """Whether a SKU is sold by face value; it stays so until the transaction ends. Locks: the stock row."""
    await _hold(tx, sku_id)
    return bool(await tx.fetchval(_IS_BY_VALUE, sku_id))


async def hold_empty(tx: Tx, sku_id: UUID) -> None:
    """Let no SKU be sold by face value that has keys of its own for sale or on their way, or units in orders that wait.

    Locks: the stock row, so that none come before this is committed. Raises: HasStock, KeysOnTheWay.
    """
    stock = await _hold(tx, sku_id)
    name = await tx.fetchval(_NAME, sku_id)
    if batch_no := await tx.fetchval(_MOVING, sku_id):
        raise KeysOnTheWay(name=name, batch_no=batch_no)
    free = await tx.fetchval("select count(*) from card_key where sku_id = $1 and state = 'free'", sku_id)
    if free or stock["reserved"]:
        raise HasStock(name=name, free=free, reserved=stock["reserved"])


async def _hold(tx: Tx, sku_id: UUID) -> asyncpg.Record:
    await tx.execute("insert into stock (sku_id) values ($1) on conflict do nothing", sku_id)
    row = await tx.fetchrow(HELD, sku_id)
    assert row is not None
    return row


HELD = "select reserved from stock where sku_id = $1 for update"
_IS_BY_VALUE = "select exists (select 1 from sku_range where sku_id = $1)"
_NAME = "select p.name || ' ' || k.name from sku k join product p on p.id = k.product_id where k.id = $1"
_MOVING = """
select batch_no from import_batch where sku_id = $1 and state in ('importing', 'quarantining', 'releasing') order by created_at limit 1
"""
