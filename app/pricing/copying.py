"""Price rules and face values of a product that was cloned."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog import queries as catalog
from app.kernel.actor import Actor
from app.pricing import queries
from app.pricing.ranges import set_range
from app.pricing.rules import Audience, Effect
from app.pricing.service import RuleTerms, add_rule


async def copy_rules(session: AsyncSession, from_id: UUID, to_id: UUID, *, actor: Actor) -> int:
    """Give a clone the face values of its first and the rules that are switched on, each for the SKU of the same name; how many. Raises: NotFound."""
    names = {sku.id: sku.name for sku in await catalog.skus_of(session, from_id)}
    own = {sku.name: sku.id for sku in await catalog.skus_of(session, to_id)}
    for by_value, values in (await catalog.ranges_of(session, from_id)).items():
        if names[by_value] in own:
            await set_range(session, to_id, own[names[by_value]], values, actor=actor)
    copied = 0
    for rule in await queries.rules_of(session, from_id):
        sku_id = own.get(names.get(rule.sku_id, "")) if rule.sku_id else None
        if not rule.is_on or (rule.sku_id and sku_id is None):
            continue
        terms = RuleTerms(
            Effect(rule.effect), rule.value, sku_id, rule.least_quantity, Audience(rule.audience), rule.level_id,
            rule.starts_at, rule.ends_at, rule.stock_below, rule.priority, rule.most_units, rule.within_hours,
        )  # fmt: skip
        await add_rule(session, to_id, terms, actor=actor)
        copied += 1
    return copied
