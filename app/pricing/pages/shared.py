"""What the pages of prices share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may_do
from app.access.permissions import Permission
from app.catalog.models import Product, Sku
from app.catalog.pages.shared import base
from app.catalog.queries import ranges_of
from app.catalog.values import ValueRange
from app.kernel.money import line_minor
from app.kernel.web import AnyRequest
from app.pricing import queries
from app.pricing.costs import costs_of
from app.pricing.pages.forms import Steps, TypedStep, floor_name, step_name
from app.pricing.queries import as_rule, of_sku
from app.pricing.rules import Rule, unit_price
from app.pricing.service import MOST_TIERS
from tenants.directory import Tenant
from tenants.session import raw


@dataclass(frozen=True, slots=True)
class Margin:
    """What is left of a price, and whether it is a loss."""

    minor: int
    bp: int

    @property
    def is_loss(self) -> bool:
        return self.minor < 0


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the grid: the names of its fields begin with `at`; a new one has neither number nor price."""

    at: str
    least: int | None = None
    price_minor: int | None = None
    margin: Margin | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """One SKU's prices: its list price, its steps, and what one costs us, where that is known."""

    sku: Sku
    cost: Decimal | None
    margin: Margin | None
    rows: tuple[Row, ...]
    values: ValueRange | None = None
    """Its face values, where it is sold by them: it has no steps then."""

    @property
    def floor_name(self) -> str:
        return floor_name(self.sku.id)

    @property
    def all_rows(self) -> list[str]:
        """What the fields of each row begin with."""
        return [row.at for row in self.rows]


def margin_of(price_minor: int, cost: Decimal | None) -> Margin | None:
    """What a price leaves of it; None where the cost is not known."""
    if cost is None:
        return None
    minor = price_minor - line_minor(cost, 1)
    return Margin(minor, minor * 10_000 // price_minor)


def grid_of(sku: Sku, cost: Decimal | None, steps: Sequence[TypedStep | None], values: ValueRange | None = None) -> Grid:
    """A SKU's rows: its steps, or what was typed, and empty ones to add to them."""
    if values is not None:
        return Grid(sku, cost, margin_of(sku.listing.price_minor, cost), (), values)
    shown = min(MOST_TIERS, 2 + max((n for n, step in enumerate(steps) if step), default=-1))
    rows = [Row(step_name(sku.id, n), *_step(steps, n, cost)) for n in range(shown)]
    return Grid(sku, cost, margin_of(sku.listing.price_minor, cost), tuple(rows))


def _step(steps: Sequence[TypedStep | None], n: int, cost: Decimal | None) -> tuple[int | None, int | None, Margin | None]:
    least, price = (steps[n] if n < len(steps) else None) or (None, None)
    return least, price, margin_of(price, cost) if price else None


@dataclass(frozen=True, slots=True)
class Shown:
    """A rule as the list shows it, with the lowest price it makes and what that leaves."""

    rule: Rule
    is_on: bool
    sku_name: str
    level_name: str
    lowest_minor: int
    margin: Margin | None


async def prices_context(
    request: AnyRequest, session: AsyncSession, tenant: Tenant, product: Product, typed: Steps | None = None
) -> dict[str, Any]:
    """What the page of prices shows; `typed` are steps not saved yet."""
    skus = product.on_shelf
    costs = await costs_of(await raw(session), [sku.id for sku in skus])
    ranges = await ranges_of(session, product.id)
    rows = await queries.rules_of(session, product.id)
    levels = {level.id: level.name for level in await queries.levels(session)}
    rules = [(as_rule(row), row.is_on) for row in rows]
    steps: Mapping[UUID, Sequence[TypedStep | None]] = (
        typed.rows if typed else _steps(skus, [rule for rule, is_on in rules if is_on])
    )
    return {
        "base": base(tenant),
        "here": f"{base(tenant)}/products/{product.id}",
        "product": product,
        "grids": [grid_of(sku, costs.get(sku.id), steps.get(sku.id, ()), ranges.get(sku.id)) for sku in skus],
        "rules": [_shown(rule, skus, costs, levels, is_on=is_on) for rule, is_on in rules if not rule.is_tier],
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
    }


def _steps(skus: list[Sku], rules: list[Rule]) -> dict[UUID, list[TypedStep]]:
    return {sku.id: sorted((rule.least_quantity, rule.value) for rule in of_sku(rules, sku.id) if rule.is_tier) for sku in skus}


def _shown(rule: Rule, skus: list[Sku], costs: Mapping[UUID, Decimal], levels: Mapping[UUID, str], *, is_on: bool) -> Shown:
    touched = [sku for sku in skus if rule.sku_id in (None, sku.id)]
    prices = [(unit_price(sku.listing.price_minor, rule), costs.get(sku.id)) for sku in touched]
    margins = [margin for price, cost in prices if (margin := margin_of(price, cost))]
    return Shown(
        rule,
        is_on,
        touched[0].name if rule.sku_id and touched else "",
        levels.get(rule.level_id, "") if rule.level_id else "",
        min((price for price, _ in prices), default=0),
        min(margins, key=lambda margin: margin.bp, default=None),
    )
