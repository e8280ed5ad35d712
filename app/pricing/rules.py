"""Which price rule applies, purely: from a list price, the rules and the circumstances to a price, to how long it holds, and to what one buyer may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Audience(StrEnum):
    """For whom a rule is. A buyer counts as registered, and by his level, while he is logged in."""

    EVERYONE = "everyone"
    REGISTERED = "registered"
    LEVEL = "level"


class Effect(StrEnum):
    """What a rule makes of the list price: another price, a share more or less, an amount more or less, or nothing: it only says how many."""

    UNIT_PRICE = "unit_price"
    SHARE = "share"
    AMOUNT = "amount"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Rule:
    """A price rule. It applies where everything it names is so; what it leaves empty does not narrow.

    `value` is a unit price or a change in minor units, or a change in basis points, by `effect`. Without a SKU it is for all of the product's.
    While it applies, one buyer may order `most_units` within `within_hours`; None for as many as he likes.
    """

    id: UUID
    version: int
    sku_id: UUID | None
    effect: Effect
    value: int
    least_quantity: int = 1
    audience: Audience = Audience.EVERYONE
    level_id: UUID | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    stock_below: int | None = None
    priority: int = 0
    most_units: int | None = None
    within_hours: int | None = None

    @property
    def is_tier(self) -> bool:
        """Whether it is a plain step of a SKU's price by quantity, for everybody and always."""
        return (
            self.sku_id is not None
            and self.effect is Effect.UNIT_PRICE
            and self.least_quantity > 1
            and self.audience is Audience.EVERYONE
            and self.priority == 0
            and (self.starts_at, self.ends_at, self.stock_below, self.most_units) == (None, None, None, None)
        )

    @property
    def conditions(self) -> int:
        """How much it names: the more, the more specific."""
        named = (
            self.sku_id is not None,
            self.least_quantity > 1,
            self.audience is not Audience.EVERYONE,
            self.audience is Audience.LEVEL,
            self.starts_at is not None or self.ends_at is not None,
            self.stock_below is not None,
        )
        return sum(named)


@dataclass(frozen=True, slots=True)
class Who:
    """The buyer as prices see him: nobody known, or a customer who is logged in, with the level his shop gave him."""

    customer_id: UUID | None = None
    level_id: UUID | None = None


ANYBODY = Who()


@dataclass(frozen=True, slots=True)
class Standing:
    """What a price depends on beside the quantity: the buyer, the database's time, and how many of the SKU are left."""

    who: Who
    at: datetime
    left: int


@dataclass(frozen=True, slots=True)
class Moment:
    """What a page read once for all it prices: the buyer, the database's time, and what is left of each SKU."""

    at: datetime
    left: Mapping[UUID, int]
    who: Who = ANYBODY

    def of(self, sku_id: UUID) -> Standing:
        return Standing(self.who, self.at, self.left.get(sku_id, 0))


@dataclass(frozen=True, slots=True)
class Cap:
    """How many units one buyer may order within so many hours, of one SKU or of all of the product's, counted from the rule's beginning on."""

    rule_id: UUID
    sku_id: UUID | None
    most_units: int
    within_hours: int
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Priced:
    """A unit price, the rule and version it comes from, what must still be so for it to be asked, and the caps that hold meanwhile.

    It holds from `since` until `until`, and while at least `least_left` and at most `most_left` of the SKU are left; None does not narrow.
    """

    unit_price_minor: int
    rule_id: UUID | None = None
    rule_version: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    least_left: int | None = None
    most_left: int | None = None
    caps: tuple[Cap, ...] = ()

    @property
    def always_holds(self) -> bool:
        """Whether neither time nor stock changes it."""
        return (self.since, self.until, self.least_left, self.most_left) == (None, None, None, None)


def unit_price(list_price_minor: int, rule: Rule) -> int:
    """What a rule makes of a list price, in minor units: a share is rounded half up; never less than one."""
    match rule.effect:
        case Effect.UNIT_PRICE:
            return rule.value
        case Effect.SHARE:
            return max(1, (list_price_minor * (10_000 + rule.value) * 2 + 10_000) // 20_000)
        case Effect.AMOUNT:
            return max(1, list_price_minor + rule.value)
        case Effect.NONE:
            return list_price_minor


def price(list_price_minor: int, rules: Sequence[Rule], quantity: int, standing: Standing) -> Priced:
    """The price of one of `quantity`: the best rule's, else the list price.

    The best rule is the one of the highest priority; among those the most specific, then the one with the lowest price, then the one for more
    units. A rule may raise the price: the list price itself competes with none. `rules` are those of the SKU and of its whole product.
    """
    possible = [rule for rule in rules if rule.least_quantity <= quantity and _is_for(rule, standing.who)]
    able = [rule for rule in possible if _is_now(rule, standing)]
    held = replace(_holding(possible, standing), caps=_caps(able))
    able = [rule for rule in able if rule.effect is not Effect.NONE]
    if not able:
        return replace(held, unit_price_minor=list_price_minor)
    best = min(able, key=lambda rule: _rank(rule, list_price_minor))
    return replace(held, unit_price_minor=unit_price(list_price_minor, best), rule_id=best.id, rule_version=best.version)


def _is_for(rule: Rule, who: Who) -> bool:
    match rule.audience:
        case Audience.EVERYONE:
            return True
        case Audience.REGISTERED:
            return who.customer_id is not None
        case Audience.LEVEL:
            return who.level_id is not None and who.level_id == rule.level_id


def _is_now(rule: Rule, standing: Standing) -> bool:
    has_begun = rule.starts_at is None or rule.starts_at <= standing.at
    is_over = rule.ends_at is not None and rule.ends_at <= standing.at
    return has_begun and not is_over and (rule.stock_below is None or standing.left < rule.stock_below)


def _rank(rule: Rule, list_price_minor: int) -> tuple[int, int, int, int, UUID]:
    return (-rule.priority, -rule.conditions, unit_price(list_price_minor, rule), -rule.least_quantity, rule.id)


def _holding(possible: Sequence[Rule], standing: Standing) -> Priced:
    """Between which instants, and which numbers left, the same rules apply as now."""
    turns = [turn for rule in possible for turn in (rule.starts_at, rule.ends_at) if turn]
    marks = [rule.stock_below for rule in possible if rule.stock_below is not None]
    return Priced(
        0,
        since=max((turn for turn in turns if turn <= standing.at), default=None),
        until=min((turn for turn in turns if turn > standing.at), default=None),
        least_left=max((mark for mark in marks if mark <= standing.left), default=None),
        most_left=min((mark - 1 for mark in marks if mark > standing.left), default=None),
    )


def _caps(able: Sequence[Rule]) -> tuple[Cap, ...]:
    return tuple(
        Cap(rule.id, rule.sku_id, rule.most_units, rule.within_hours, rule.starts_at)
        for rule in able
        if rule.most_units is not None and rule.within_hours is not None
    )


def ladder(list_price_minor: int, rules: Sequence[Rule], standing: Standing) -> list[tuple[int, int]]:
    """The steps a buyer sees: from so many units on, so much for one. The first is for one unit; steps that change nothing are left out."""
    steps: list[tuple[int, int]] = []
    for least in sorted({1, *(rule.least_quantity for rule in rules)}):
        asked = price(list_price_minor, rules, least, standing).unit_price_minor
        if not steps or steps[-1][1] != asked:
            steps.append((least, asked))
    return steps


def lowest(list_price_minor: int, rules: Sequence[Rule]) -> int:
    """The lowest price any buyer may ever be asked under these rules, in minor units."""
    return min([list_price_minor, *(unit_price(list_price_minor, rule) for rule in rules)])
