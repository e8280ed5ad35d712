"""Verbs on price rules. Each change makes a new version of its rule, and new terms of every listing it is about: a price quoted before is looked at again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog.models import Sku, SkuRange
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.ids import new_id
from app.pricing import floors, queries
from app.pricing.models import PriceRule
from app.pricing.queries import MOST_RULES, as_rule
from app.pricing.rules import Audience, Effect
from app.pricing.terms import new_terms

MOST_TIERS = 8


class TooManyRules(DomainError):
    status = 422
    message = N_("A product has %(most)s price rules at most. Change one of those it has.")


class ManyValues(DomainError):
    status = 422
    message = N_("%(name)s is sold by face value, so no one price fits it. Give a share or an amount.")


@dataclass(frozen=True, slots=True)
class RuleTerms:
    """What the merchant decides about a rule. Without a SKU it is for all of the product's."""

    effect: Effect
    value: int
    sku_id: UUID | None = None
    least_quantity: int = 1
    audience: Audience = Audience.EVERYONE
    level_id: UUID | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    stock_below: int | None = None
    priority: int = 0
    most_units: int | None = None
    within_hours: int | None = None


async def add_rule(session: AsyncSession, product_id: UUID, terms: RuleTerms, *, actor: Actor) -> PriceRule:
    """A new rule, switched on. Locks: the product's listings. Raises: NotFound for a SKU of another product, TooManyRules, ManyValues, BelowFloor."""
    await new_terms(session, product_id)
    await _refuse(session, product_id, terms)
    count = select(func.count()).select_from(PriceRule).where(PriceRule.product_id == product_id)
    if (await session.execute(count)).scalar_one() >= MOST_RULES:
        raise TooManyRules(most=MOST_RULES)
    rule = PriceRule(id=new_id(), product_id=product_id, version=1, is_on=True, **_columns(terms))
    session.add(rule)
    await session.flush()
    await _tell(session, "price_rule.added", rule, actor)
    await floors.hold(session, product_id)
    return rule


async def change_rule(session: AsyncSession, product_id: UUID, rule_id: UUID, terms: RuleTerms, *, actor: Actor) -> PriceRule:
    """Other terms of a rule, as its next version. Idempotent. Locks: the product's listings, the rule. Raises: NotFound, ManyValues, BelowFloor."""
    await new_terms(session, product_id)
    await _refuse(session, product_id, terms)
    rule = await queries.rule_or_404(session, product_id, rule_id)
    wanted = _columns(terms)
    if all(getattr(rule, name) == value for name, value in wanted.items()):
        return rule
    for name, value in wanted.items():
        setattr(rule, name, value)
    await _next(session, rule, "price_rule.changed", actor)
    await floors.hold(session, product_id)
    return rule


async def switch_rule(session: AsyncSession, product_id: UUID, rule_id: UUID, *, is_on: bool, actor: Actor) -> PriceRule:
    """Switch a rule on or off: from the next quote on its price is asked, or the price without it. Idempotent.

    Locks: the product's listings, the rule. Raises: NotFound, BelowFloor when it is switched on.
    """
    await new_terms(session, product_id)
    rule = await queries.rule_or_404(session, product_id, rule_id)
    if rule.is_on != is_on:
        rule.is_on = is_on
        await _next(session, rule, "price_rule.switched_on" if is_on else "price_rule.switched_off", actor)
        await floors.hold(session, product_id, refuses=is_on)
    return rule


async def set_tiers(session: AsyncSession, product_id: UUID, tiers: Mapping[UUID, Mapping[int, int]], *, actor: Actor) -> None:
    """The steps by quantity of a product's SKUs: unit prices by least quantity. A step left out is switched off; one that comes back is itself.

    Idempotent. Locks: the product's listings. Raises: NotFound for a SKU of another product, TooManyRules, BelowFloor.
    """
    await new_terms(session, product_id)
    known = {(r.sku_id, r.least_quantity): r for r in await queries.rules_of(session, product_id) if as_rule(r).is_tier}
    wanted = {(sku_id, least): price for sku_id, steps in tiers.items() for least, price in steps.items()}
    for key, rule in known.items():
        if key[0] in tiers and key not in wanted:
            await switch_rule(session, product_id, rule.id, is_on=False, actor=actor)
    for (sku_id, least), price in wanted.items():
        terms = RuleTerms(Effect.UNIT_PRICE, price, sku_id, least)
        if (found := known.get((sku_id, least))) is None:
            await add_rule(session, product_id, terms, actor=actor)
            continue
        await change_rule(session, product_id, found.id, terms, actor=actor)
        await switch_rule(session, product_id, found.id, is_on=True, actor=actor)


def _columns(terms: RuleTerms) -> dict[str, Any]:
    return {name: getattr(terms, name) for name in RuleTerms.__dataclass_fields__}


async def _refuse(session: AsyncSession, product_id: UUID, terms: RuleTerms) -> None:
    if terms.sku_id is None:
        return
    name = await session.scalar(select(Sku.name).where(Sku.id == terms.sku_id, Sku.product_id == product_id))
    if name is None:
        raise NotFound
    if terms.effect is Effect.UNIT_PRICE and await session.get(SkuRange, terms.sku_id) is not None:
        raise ManyValues(name=name)


async def _next(session: AsyncSession, rule: PriceRule, action: str, actor: Actor) -> None:
    rule.version += 1
    await session.flush()
    await _tell(session, action, rule, actor)


async def _tell(session: AsyncSession, action: str, rule: PriceRule, actor: Actor) -> None:
    facts = {name: _plain(getattr(rule, name)) for name in RuleTerms.__dataclass_fields__} | {"version": rule.version}
    await audit.record(session, actor, action, subject=("price_rule", rule.id), facts=facts)


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, int) else str(value)
