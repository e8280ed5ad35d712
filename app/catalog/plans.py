"""What subscriptions promise: so much of another SKU each cycle, for so many cycles paid at once. Cycles follow the calendar."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog import bundles, queries
from app.catalog.models import CycleUnit, DeliveryKind
from app.kernel import audit, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from tenants.session import Tx, raw

MOST_OF_ONE = 20
LONGEST_DAYS, LONGEST_MONTHS = 366, 24
MOST_CYCLES = 36
MOST_GRACE_DAYS = 60


class NotByCycles(DomainError):
    status = 422
    message = N_("This cannot be delivered by cycles. Choose something else from the list.")


class TooLong(DomainError):
    status = 422
    message = N_("A cycle has at most %(months)s months.")


@dataclass(frozen=True, slots=True)
class Plan:
    """So many units of a SKU each cycle, the first at once; a payment covers so many cycles. After them it may be renewed for so many days."""

    delivers_sku_id: UUID
    quantity: int
    cycle_unit: CycleUnit
    cycle_length: int
    cycles: int
    grace_days: int = 0

    @property
    def terms(self) -> tuple[CycleUnit, int, int]:
        """What a subscription keeps of the plan it was bought under."""
        return self.cycle_unit, self.cycle_length, self.grace_days


def cycle_starts(first: date, unit: CycleUnit, length: int, number: int) -> date:
    """The day a cycle begins, the first being number 1. A month that is too short for the first one's day ends on its own last day."""
    if unit is CycleUnit.DAY:
        return first + timedelta(days=length * (number - 1))
    months = first.month - 1 + length * (number - 1)
    year, month = first.year + months // 12, months % 12 + 1
    return date(year, month, min(first.day, calendar.monthrange(year, month)[1]))


def cycles_until(first: date, unit: CycleUnit, length: int, last: date) -> int:
    """How many cycles fit between a first day and a last one, both counted."""
    number = 0
    while cycle_starts(first, unit, length, number + 2) <= last + timedelta(days=1):
        number += 1
    return number


def plan_of(row: asyncpg.Record) -> Plan:
    """A plan as it was read."""
    return Plan(
        row["sku_id"], row["quantity"], CycleUnit(row["cycle_unit"]), row["cycle_length"], row["cycles"], row["grace_days"]
    )


async def plans_of(tx: Tx, sku_ids: Sequence[UUID]) -> dict[UUID, asyncpg.Record]:
    """The plans of these SKUs, each with what a cycle delivers: its names, kind, what a unit costs alone, and what it asks its buyer for."""
    return {row["subscription_sku_id"]: row for row in await tx.fetch(_PLANS, list(sku_ids))}


async def set_plan(session: AsyncSession, product_id: UUID, sku_id: UUID, plan: Plan, *, actor: Actor) -> None:
    """Say what a subscription delivers and when. Subscriptions that run keep what they were bought for. Idempotent.

    Locks: the plan. Raises: NotFound for a SKU that is no subscription's, NotByCycles for what bundles cannot hold either, TooLong.
    """
    product = await queries.product_or_404(session, product_id)
    if product.delivery_kind != DeliveryKind.SUBSCRIPTION or sku_id not in {sku.id for sku in product.skus}:
        raise NotFound
    if plan.cycle_unit is CycleUnit.MONTH and plan.cycle_length > LONGEST_MONTHS:
        raise TooLong(months=LONGEST_MONTHS)
    tx = await raw(session)
    if not await bundles.named_parts(tx, [plan.delivers_sku_id]):
        raise NotByCycles
    await tx.execute(
        _SET, sku_id, plan.delivers_sku_id, plan.quantity, plan.cycle_unit, plan.cycle_length, plan.cycles, plan.grace_days
    )
    facts = {
        "cycles": plan.cycles,
        "cycle": f"{plan.cycle_length} {plan.cycle_unit}",
        "quantity": plan.quantity,
        "grace_days": plan.grace_days,
    }
    await history.record(tx, Happened("product", product_id, "product.plan_changed", facts=facts), actor=actor)
    await audit.record(tx, actor, "product.plan_changed", subject=("product", product_id), facts=facts)


_PLANS = """
select s.sku_id as subscription_sku_id, s.delivers_sku_id as sku_id, s.quantity, s.cycle_unit, s.cycle_length, s.cycles, s.grace_days, k.name as sku_name,
       p.id as product_id, p.name as product_name, p.delivery_kind, coalesce(t.buyer_fields, p.account_fields)::text as buyer_fields,
       coalesce(t.refuses_virtual_numbers, p.refuses_virtual_numbers) as refuses_virtual_numbers, p.binds_account, l.id as listing_id,
       coalesce(l.price_minor, k.face_value_minor, 0) as worth_minor
from subscription_plan s
join sku k on k.id = s.delivers_sku_id
join product p on p.id = k.product_id
left join product_type t on t.id = p.type_id
join listing l on l.sku_id = k.id
where s.sku_id = any($1)
"""
_SET = """
insert into subscription_plan (sku_id, delivers_sku_id, quantity, cycle_unit, cycle_length, cycles, grace_days) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (sku_id) do update
set delivers_sku_id = excluded.delivers_sku_id, quantity = excluded.quantity, cycle_unit = excluded.cycle_unit,
    cycle_length = excluded.cycle_length, cycles = excluded.cycles, grace_days = excluded.grace_days
"""
