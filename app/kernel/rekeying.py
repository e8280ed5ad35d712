"""Changing a home's keys while it sells: wrapping its data keys anew, and moving what they sealed under a next one.

Each step is a transaction of its own and begins with what is left to do, so a run that was killed is finished by the next. The blind index
keeps its key: what was imported before is still found as a duplicate, and a contact still finds its orders.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Column, Table, bindparam, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.kernel import audit, vault
from app.kernel.actor import SYSTEM
from app.kernel.models import HomeBase, PlatformBase, TenantBase
from app.kernel.vault import Keyring, keyring
from tenants.directory import PLATFORM, Tenant
from tenants.session import Tx, tenant_session, tenant_tx

_BATCH = 200
_MOST_PASSES = 5


@dataclass(frozen=True, slots=True)
class Place:
    """A column that holds sealed texts. `row` is the id each was sealed for, `owner` the table that id is of."""

    table: Table
    column: Column[bytes]
    row: Column[UUID]
    owner: str


@dataclass(frozen=True, slots=True)
class Resealed:
    """How one home fared: the version that seals now, texts moved to it, and texts still under an older one."""

    version: int
    moved: int
    left: int


def places_of(home: Tenant) -> Iterator[Place]:
    """Where a home keeps sealed texts. The composition root has imported every table."""
    for metadata in (HomeBase.metadata, (PlatformBase if home == PLATFORM else TenantBase).metadata):
        for table in metadata.sorted_tables:
            for column in table.columns:
                if "sealed" in column.info:
                    row, owner = column.info["sealed"]
                    yield Place(table, column, table.columns[row], owner or table.name)


async def rewrap(home: Tenant) -> int:
    """Wrap a home's data keys under the first configured key-encryption key; the number changed. Idempotent. Raises: CannotOpen."""
    async with tenant_tx(home) as tx:
        rows = await tx.fetch("select purpose, version, wrapped, kek_name from data_key for update")
        changed = [
            (row["purpose"], row["version"], *vault.wrapped_anew(home.id, row)) for row in rows if vault.is_wrapped_by_old(row)
        ]
        await tx.executemany("update data_key set wrapped = $3, kek_name = $4 where purpose = $1 and version = $2", changed)
        if changed:
            await audit.record(tx, SYSTEM, "data_key.rewrapped", subject=("home", home.id), facts={"keys": len(changed)})
    return len(changed)


async def reseal(home: Tenant) -> Resealed:
    """Move everything a home has sealed under its newest data key, which is made unless an earlier run left work under it.

    Waits until every process knows the key, then goes in batches whose rows others find locked for a moment. Raises: CannotOpen.
    """
    version = await _version_to_reach(home)
    await _settle(home, version)
    moved = 0
    for _ in range(_MOST_PASSES):
        for place in places_of(home):
            moved += await _move(home, place, version)
        if not (left := await _left(home, version)):
            break
    return Resealed(version, moved, left)


async def _version_to_reach(home: Tenant) -> int:
    async with tenant_tx(home) as tx:
        await keyring(tx)
        newest: int = await tx.fetchval("select max(version) from data_key where purpose = 'seal'")
    if newest > 1 and await _left(home, newest):
        return newest
    async with tenant_tx(home) as tx:
        await _add_version(tx, newest + 1)
    return newest + 1


async def _add_version(tx: Tx, version: int) -> None:
    name, wrapped = vault.new_wrapped(tx.tenant.id, "seal", secrets.token_bytes(32))
    await tx.execute(
        "insert into data_key (purpose, version, wrapped, kek_name) values ('seal', $1, $2, $3) on conflict do nothing",
        version,
        wrapped,
        name,
    )
    await audit.record(tx, SYSTEM, "data_key.made", subject=("home", tx.tenant.id), facts={"version": version})


async def _settle(home: Tenant, version: int) -> None:
    """Return once this and every other process seals under a version."""
    while True:
        async with tenant_tx(home) as tx:
            if (await keyring(tx)).current >= version:
                return
        await asyncio.sleep(vault.SETTLES_S / 10)


async def _move(home: Tenant, place: Place, version: int) -> int:
    moved, after = 0, None
    while True:
        async with tenant_session(home) as session:
            ring = await keyring(session)
            rows = await _older(session, place, version, after)
            await _write(session, place, rows, ring)
        if not rows:
            return moved
        moved, after = moved + len(rows), tuple(rows[-1][2:])


async def _older(session: AsyncSession, place: Place, version: int, after: tuple[object, ...] | None) -> list[tuple[object, ...]]:
    """The next rows under an older version, by the table's own order, locked: (sealed, row id, primary key …)."""
    key = list(place.table.primary_key.columns)
    query = select(place.column, place.row, *key).where(_is_older(place.column, version))
    if after is not None:
        query = query.where(
            tuple_(*key) > tuple_(*(bindparam(None, value, column.type) for value, column in zip(after, key, strict=True)))
        )
    found = await session.execute(query.order_by(*key).limit(_BATCH).with_for_update(skip_locked=True))
    return [tuple(row) for row in found]


async def _write(session: AsyncSession, place: Place, rows: list[tuple[object, ...]], ring: Keyring) -> None:
    if not rows:
        return
    key = list(place.table.primary_key.columns)
    statement = (
        update(place.table)
        .where(*(column == bindparam(f"of_{column.name}") for column in key))
        .values({place.column: bindparam("anew")})
    )
    changes = [
        {"anew": _anew(ring, place, row), **{f"of_{column.name}": value for column, value in zip(key, row[2:], strict=True)}}
        for row in rows
    ]
    await (await session.connection()).execute(statement, changes)


def _anew(ring: Keyring, place: Place, row: tuple[object, ...]) -> bytes:
    sealed, row_id = row[:2]
    assert isinstance(sealed, bytes)
    assert isinstance(row_id, UUID)
    where = (place.owner, place.column.name, row_id)
    return ring.seal(*where, ring.open(*where, sealed).reveal())


async def _left(home: Tenant, version: int) -> int:
    """How many texts are sealed under an older version."""
    left = 0
    async with tenant_session(home, read_only=True) as session:
        for place in places_of(home):
            left += (
                await session.scalar(select(func.count()).select_from(place.table).where(_is_older(place.column, version))) or 0
            )
    return left


def _is_older(column: Column[bytes], version: int):  # type: ignore[no-untyped-def]  # a boolean expression
    return func.get_byte(column, 1) * 256 + func.get_byte(column, 2) < version
