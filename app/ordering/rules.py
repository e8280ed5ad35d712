"""Pricing a cart and working out what it claims. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID

from app.catalog.accounts import AccountField
from app.catalog.plans import Plan
from app.catalog.values import ValueRange
from app.kernel.errors import N_, DomainError
from app.kernel.money import split_minor
from app.pricing.rules import ANYBODY, Cap, Moment, Priced, Rule, Who
from app.pricing.rules import price as priced_by

TOP_UP = "direct_top_up"
"""The delivery kind whose lines credit an account."""
PARENTS = frozenset({"bundle", "subscription"})
"""The delivery kinds whose lines have parts in place of units: the things of a bundle, the cycles of a subscription."""
MOST_LINES = 20
MOST_UNITS = 100
"""Units of one line; a wholesale order is another kind of order."""


class EmptyCart(DomainError):
    status = 422
    message = N_("There is nothing in the cart.")


class TooManyLines(DomainError):
    status = 422
    message = N_("A cart holds %(most)s different items at most. Order the rest separately.")


class BadQuantity(DomainError):
    status = 422
    message = N_("Choose a quantity from 1 to %(most)s.")


class AccountMissing(DomainError):
    status = 422
    message = N_("Say first what %(name)s asks for, such as the account it goes to. Nothing was ordered.")


class NoSuchValue(DomainError):
    status = 422
    message = N_("Choose a value of %(name)s that is sold. Nothing was ordered.")


class NothingInIt(DomainError):
    status = 422
    message = N_(
        "%(name)s cannot be bought: the shop has not said what is in it, or its price is too small. Nothing was ordered."
    )


AccountKey = tuple[UUID, UUID]
"""What something is stated for: a listing, and the SKU that asks for it, which in a bundle is one of its parts."""


@dataclass(frozen=True, slots=True)
class Part:
    """So many units of a SKU in one bundle, or in one cycle of a subscription.

    `worth_minor` is what one of them costs alone: the price of the whole is shared out by it.
    """

    listing_id: UUID
    sku_id: UUID
    product_id: UUID
    product_name: str
    sku_name: str
    delivery_kind: str
    quantity: int
    worth_minor: int
    buyer_fields: tuple[AccountField, ...] = ()
    is_later: bool = False
    """Whether it is a later cycle, which takes no stock before its day."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A listing as the shop shows it this moment: its list price, and the rules that may change it.

    A bundle has parts, and a policy for when one of them cannot be delivered. A subscription has a part for each cycle it pays for, and its plan.
    One sold by face value has a range of them, and in a cart the value its buyer chose.
    """

    listing_id: UUID
    sku_id: UUID
    product_id: UUID
    product_name: str
    sku_name: str
    delivery_kind: str
    price_minor: int
    currency: str
    buyer_limit: int | None
    is_hot: bool
    buyer_fields: tuple[AccountField, ...] = ()
    """What its buyer states before he pays. A bundle's parts ask for theirs."""
    terms_version: int = 1
    price_rules: tuple[Rule, ...] = ()
    parts: tuple[Part, ...] = ()
    policy: str | None = None
    least_minor: int | None = None
    """The least unit price its cost and the merchant's least margin allow."""
    values: ValueRange | None = None
    value_minor: int | None = None
    least_rate: Decimal | None = None
    """As `least_minor`, for 1 of face value."""
    channel_price_minor: int | None = None
    """The list price of the sales channel it is looked at in, where that has one of its own."""
    is_split: bool = False
    """Whether some of its stock is kept for one sales channel each."""
    plan: Plan | None = None
    renews: UUID | None = None
    """The subscription that buying it goes on with."""

    def at(self, value_minor: int) -> Offered:
        """This offer for the face value a buyer chose. Raises: NoSuchValue."""
        if self.values is None or not self.values.holds(value_minor):
            raise NoSuchValue(name=self.product_name)
        return replace(self, value_minor=value_minor)

    @property
    def list_price_minor(self) -> int:
        """The price of one before any rule: of the chosen face value, where there is one."""
        if self.values is None or self.value_minor is None:
            return self.channel_price_minor or self.price_minor
        return self.values.price_minor(self.value_minor)

    def is_held_back(self, unit_price_minor: int) -> bool:
        """Whether it is sold to nobody at this price."""
        if self.value_minor is not None and self.least_rate is not None:
            return unit_price_minor < self.least_rate * self.value_minor
        return self.least_minor is not None and unit_price_minor < self.least_minor

    def priced(self, quantity: int, moment: Moment | None) -> Priced:
        """The price of one of so many. `moment` may be missing where there are no rules."""
        if not self.price_rules:
            return Priced(self.list_price_minor)
        assert moment is not None, "rules are read with the moment they are asked about"
        return priced_by(self.list_price_minor, self.price_rules, quantity, moment.of(self.sku_id))

    @property
    def units(self) -> int:
        """How many units one of it comes to."""
        return sum(part.quantity for part in self.parts) or 1

    def asking(self) -> list[Part | Offered]:
        """Itself or its parts: whatever asks its buyer for something, each SKU once."""
        asking = [one for one in self.parts or (self,) if one.delivery_kind == TOP_UP or one.buyer_fields]
        return list({one.sku_id: one for one in asking}.values())

    def renewal(self, subscription_id: UUID) -> Offered:
        """The same offer as the next period of a subscription: each of its cycles waits for its day."""
        return replace(self, parts=tuple(replace(part, is_later=True) for part in self.parts), renews=subscription_id)


@dataclass(frozen=True, slots=True)
class QuotedPart:
    """One part of a line of bundles: its units over all of them, each with its share of the price, bundle by bundle."""

    part: Part
    amounts_minor: tuple[int, ...]
    account: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class QuotedLine:
    """One SKU and quantity at a price. `accounts` is what its buyer stated, by SKU and field name: the outside accounts its units credit, where they do."""

    offered: Offered
    quantity: int
    priced: Priced
    accounts: Mapping[UUID, Mapping[str, str]] = field(default_factory=dict, repr=False)

    @property
    def account(self) -> Mapping[str, str]:
        """The account its own units credit; empty where none is."""
        return self.accounts.get(self.offered.sku_id, {})

    @property
    def unit_price_minor(self) -> int:
        return self.priced.unit_price_minor

    @property
    def total_minor(self) -> int:
        return self.unit_price_minor * self.quantity

    @property
    def units(self) -> int:
        return self.offered.units * self.quantity

    def parts(self) -> list[QuotedPart]:
        """What a line of bundles owes, part by part; nothing for any other line. Their amounts sum to the line's total."""
        if not self.offered.parts:
            return []
        shares, found = iter(share_out(self.unit_price_minor, self.offered.parts)), []
        for part in self.offered.parts:
            of_one = [next(shares) for _ in range(part.quantity)]
            found.append(QuotedPart(part, tuple(of_one * self.quantity), self.accounts.get(part.sku_id, {})))
        return found


@dataclass(frozen=True, slots=True)
class Capped:
    """A cap on what one buyer may order: of which product, what it is called, and how many units a cart asks for."""

    cap: Cap
    product_id: UUID
    name: str
    asked: int


@dataclass(frozen=True, slots=True)
class Quote:
    """A priced cart. One currency; each listing stands on one line, or on one for each face value that was chosen. `who` is whom it was priced for."""

    lines: tuple[QuotedLine, ...]
    who: Who = ANYBODY

    @property
    def total_minor(self) -> int:
        return sum(line.total_minor for line in self.lines)

    @property
    def units(self) -> int:
        """How many units it takes from the stock."""
        return sum(self.stock().values())

    @property
    def sku_ids(self) -> set[UUID]:
        """The SKUs whose units it comes to: of bundles those of their parts."""
        return {one.sku_id for line in self.lines for one in line.offered.parts or (line.offered,)}

    @property
    def currency(self) -> str:
        return self.lines[0].offered.currency

    @property
    def goes_in_batches(self) -> bool:
        """Whether it may be placed together with other buyers' orders: one line whose price hangs on nothing that changes by itself, no cap by rule, and a
        limit per buyer only where the batches are of one SKU.
        """
        line, offered = self.lines[0], self.lines[0].offered
        is_plain = (
            not line.accounts
            and not offered.parts
            and offered.value_minor is None
            and not offered.is_split
            and line.priced.always_holds
            and not line.priced.caps
            and self.who == ANYBODY
        )
        return len(self.lines) == 1 and is_plain and (offered.is_hot or not offered.buyer_limit)

    def stock(self) -> dict[UUID, int]:
        """What it takes of each SKU's stock, in SKU order, so that buyers of the same things wait for each other and never in a ring."""
        units = Counter[UUID]()
        for line in self.lines:
            for part in line.offered.parts:
                if not part.is_later:
                    units[part.sku_id] += part.quantity * line.quantity
            if not line.offered.parts:
                units[line.offered.sku_id] += line.quantity
        return {sku_id: units[sku_id] for sku_id in sorted(units)}

    def limits(self) -> dict[UUID, tuple[int, int]]:
        """Limited products: units wanted over all lines, and the most one buyer may hold."""
        units = Counter[UUID]()
        for line in self.lines:
            units[line.offered.product_id] += line.quantity
        return {
            line.offered.product_id: (units[line.offered.product_id], line.offered.buyer_limit)
            for line in self.lines
            if line.offered.buyer_limit
        }

    def caps(self) -> list[Capped]:
        """The caps that hold while it is placed, each with the units of it that this cart asks for; empty where no rule says how many."""
        found: dict[UUID, Capped] = {}
        for line in self.lines:
            for cap in line.priced.caps:
                asked = sum(one.quantity for one in self.lines if cap in one.priced.caps)
                name = line.offered.product_name if cap.sku_id is None else f"{line.offered.product_name} {line.offered.sku_name}"
                found[cap.rule_id] = Capped(cap, line.offered.product_id, name, asked)
        return list(found.values())

    def fingerprint(self, contact: str) -> bytes:
        """What this request asks for, so that a repeated key with another content is told apart."""
        parts = [contact, *(f"{line.offered.listing_id}:{line.quantity}:{line.offered.renews or ''}" for line in self.lines)]
        parts += [f"value={line.offered.value_minor}" for line in self.lines if line.offered.value_minor is not None]
        stated = [account for line in self.lines for _, account in sorted(line.accounts.items())]
        parts += [f"{name}={value}" for account in stated for name, value in sorted(account.items())]
        return hashlib.sha256("\x1f".join(parts).encode()).digest()


def share_out(price_minor: int, parts: Sequence[Part]) -> list[int]:
    """The share of each unit of a bundle in its price, part by part: by what the units cost alone, by largest remainder.

    The shares sum to the price. A unit that would get nothing takes one minor unit from the largest, so that each can be given back by itself.
    """
    shares = split_minor(price_minor, [part.worth_minor for part in parts for _ in range(part.quantity)])
    for place, share in enumerate(shares):
        if share == 0:
            largest = shares.index(max(shares))
            shares[largest], shares[place] = shares[largest] - 1, 1
    return shares


def quote(
    wanted: Sequence[tuple[Offered, int]],
    accounts: Mapping[AccountKey, Mapping[str, str]] | None = None,
    moment: Moment | None = None,
) -> Quote:
    """Price a cart: the same listing and face value twice become one line. `accounts` is what buyers stated, by listing and SKU; `moment` is needed where there
    are rules. Raises: EmptyCart, TooManyLines, BadQuantity, AccountMissing, NothingInIt, NoSuchValue.
    """
    if not wanted:
        raise EmptyCart
    units: dict[tuple[UUID, int | None], int] = {}
    offers: dict[tuple[UUID, int | None], Offered] = {}
    for offered, quantity in wanted:
        if not 1 <= quantity <= MOST_UNITS:
            raise BadQuantity(most=MOST_UNITS)
        if offered.values is not None and offered.value_minor is None:
            raise NoSuchValue(name=offered.product_name)
        key = (offered.listing_id, offered.value_minor)
        units[key] = units.get(key, 0) + quantity
        offers[key] = offered
    if len(units) > MOST_LINES:
        raise TooManyLines(most=MOST_LINES)
    if max(units.values()) > MOST_UNITS:
        raise BadQuantity(most=MOST_UNITS)
    lines = [_line(offers[key], n, offers[key].priced(n, moment), accounts or {}) for key, n in units.items()]
    assert len({line.offered.currency for line in lines}) == 1
    return Quote(
        tuple(sorted(lines, key=lambda line: (line.offered.sku_id, line.offered.value_minor or 0))),
        moment.who if moment else ANYBODY,
    )


def _line(offered: Offered, quantity: int, priced: Priced, stated: Mapping[AccountKey, Mapping[str, str]]) -> QuotedLine:
    if offered.delivery_kind in PARENTS and (not offered.parts or priced.unit_price_minor < offered.units):
        raise NothingInIt(name=offered.product_name)
    own = {one.sku_id: stated.get((offered.listing_id, one.sku_id), {}) for one in offered.asking()}
    for one in offered.asking():
        if _lacks(one, own[one.sku_id]):
            raise AccountMissing(name=one.product_name)
    return QuotedLine(offered, quantity, priced, own)


def _lacks(one: Part | Offered, stated: Mapping[str, str]) -> bool:
    """Whether something must still be stated. A top-up credits some account, whatever its fields say."""
    return (one.delivery_kind == TOP_UP and not stated) or any(
        field.is_required and not stated.get(field.name) for field in one.buyer_fields
    )
