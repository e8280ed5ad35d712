"""Reads of price rules."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.customers.models import BuyerLevel
from app.kernel.errors import NotFound
from app.pricing.models import PriceRule
from app.pricing.rules import Audience, Effect, Rule
from tenants.session import Tx

MOST_RULES = 200
"""Of one product."""
_MOST_READ = 20_000


async def rules_by_product(tx: Tx, product_ids: Sequence[UUID]) -> dict[UUID, list[Rule]]:
    """The rules of products that are switched on and not over, by product."""
    found: dict[UUID, list[Rule]] = {}
    for row in await tx.fetch(_ON, list(product_ids), _MOST_READ):
        found.setdefault(row["product_id"], []).append(_rule(row))
    return found


def of_sku(rules: Sequence[Rule], sku_id: UUID, *, by_value: bool = False) -> tuple[Rule, ...]:
    """Those of a product's rules that are for one of its SKUs. One sold by face value has no one price: a rule that names one is not for it."""
    wanted = (rule for rule in rules if rule.sku_id in (None, sku_id))
    return tuple(rule for rule in wanted if not (by_value and rule.effect is Effect.UNIT_PRICE))


async def rules_of(session: AsyncSession, product_id: UUID) -> Sequence[PriceRule]:
    """All rules of a product, those switched off among them, oldest first."""
    query = select(PriceRule).where(PriceRule.product_id == product_id).order_by(PriceRule.created_at, PriceRule.id)
    return (await session.scalars(query.limit(MOST_RULES))).all()


async def rule_or_404(session: AsyncSession, product_id: UUID, rule_id: UUID) -> PriceRule:
    """A rule of a product, locked until the transaction ends. Raises: NotFound."""
    found = await session.get(PriceRule, rule_id, with_for_update=True, populate_existing=True)
    if found is None or found.product_id != product_id:
        raise NotFound
    return found


async def levels(session: AsyncSession) -> Sequence[BuyerLevel]:
    """The levels a shop gives its buyers, by name."""
    return (await session.scalars(select(BuyerLevel).order_by(BuyerLevel.name).limit(100))).all()


def as_rule(row: PriceRule) -> Rule:
    """A rule as prices are worked out with it."""
    return Rule(
        row.id, row.version, row.sku_id, Effect(row.effect), row.value, row.least_quantity, Audience(row.audience), row.level_id,
        row.starts_at, row.ends_at, row.stock_below, row.priority, row.most_units, row.within_hours,
    )  # fmt: skip


def _rule(row: asyncpg.Record) -> Rule:
    return Rule(
        row["id"], row["version"], row["sku_id"], Effect(row["effect"]), row["value"], row["least_quantity"], Audience(row["audience"]),
        row["level_id"], row["starts_at"], row["ends_at"], row["stock_below"], row["priority"], row["most_units"], row["within_hours"],
    )  # fmt: skip


_ON = """
select id, version, product_id, sku_id, effect, value, least_quantity, audience, level_id, starts_at, ends_at, stock_below, priority,
       most_units, within_hours
from price_rule
where product_id = any($1) and is_on and (ends_at is null or ends_at > now())
order by product_id, id
limit $2
"""
