"""Pricing a cart and working out what it claims. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from app.catalog.accounts import AccountField
from app.kernel.errors import N_, DomainError
from app.pricing.rules import ANYBODY, Moment, Priced, Rule, Who
from app.pricing.rules import price as priced_by

TOP_UP = "direct_top_up"
"""The delivery kind whose lines credit an account."""
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


@dataclass(frozen=True, slots=True)
class Offered:
    """A listing as the shop shows it this moment: its list price, and the rules that may change it."""

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
    """What its buyer states before he pays."""
    terms_version: int = 1
    price_rules: tuple[Rule, ...] = ()

    def priced(self, quantity: int, moment: Moment | None) -> Priced:
        """The price of one of so many. `moment` may be missing where there are no rules."""
        if not self.price_rules:
            return Priced(self.price_minor)
        assert moment is not None, "rules are read with the moment they are asked about"
        return priced_by(self.price_minor, self.price_rules, quantity, moment.of(self.sku_id))

    def lacks(self, stated: Mapping[str, str]) -> bool:
        """Whether something must still be stated. A top-up credits some account, whatever its fields say."""
        return (self.delivery_kind == TOP_UP and not stated) or any(
            one.is_required and not stated.get(one.name) for one in self.buyer_fields
        )


@dataclass(frozen=True, slots=True)
class QuotedLine:
    """One SKU and quantity at a price. `account` is what its buyer stated, by field name: the outside account its units credit, where they do."""

    offered: Offered
    quantity: int
    priced: Priced
    account: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def unit_price_minor(self) -> int:
        return self.priced.unit_price_minor

    @property
    def total_minor(self) -> int:
        return self.unit_price_minor * self.quantity


@dataclass(frozen=True, slots=True)
class Quote:
    """A priced cart. One currency; each listing stands on one line. `who` is whom it was priced for."""

    lines: tuple[QuotedLine, ...]
    who: Who = ANYBODY

    @property
    def total_minor(self) -> int:
        return sum(line.total_minor for line in self.lines)

    @property
    def units(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def currency(self) -> str:
        return self.lines[0].offered.currency

    @property
    def goes_in_batches(self) -> bool:
        """Whether it may be placed together with other buyers' orders: one line whose price hangs on nothing that changes by itself, and a limit
        per buyer only where the batches are of one SKU.
        """
        line, offered = self.lines[0], self.lines[0].offered
        is_plain = not line.account and line.priced.always_holds and self.who == ANYBODY
        return len(self.lines) == 1 and is_plain and (offered.is_hot or not offered.buyer_limit)

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

    def fingerprint(self, contact: str) -> bytes:
        """What this request asks for, so that a repeated key with another content is told apart."""
        parts = [contact, *(f"{line.offered.listing_id}:{line.quantity}" for line in self.lines)]
        parts += [f"{name}={value}" for line in self.lines for name, value in sorted(line.account.items())]
        return hashlib.sha256("\x1f".join(parts).encode()).digest()


def quote(
    wanted: Sequence[tuple[Offered, int]],
    accounts: Mapping[UUID, Mapping[str, str]] | None = None,
    moment: Moment | None = None,
) -> Quote:
    """Price a cart: the same listing twice becomes one line. `accounts` is what buyers stated, by listing; `moment` is needed where there are rules.
    Raises: EmptyCart, TooManyLines, BadQuantity, AccountMissing.
    """
    if not wanted:
        raise EmptyCart
    units: dict[UUID, int] = {}
    offers: dict[UUID, Offered] = {}
    for offered, quantity in wanted:
        if not 1 <= quantity <= MOST_UNITS:
            raise BadQuantity(most=MOST_UNITS)
        units[offered.listing_id] = units.get(offered.listing_id, 0) + quantity
        offers[offered.listing_id] = offered
    if len(units) > MOST_LINES:
        raise TooManyLines(most=MOST_LINES)
    if max(units.values()) > MOST_UNITS:
        raise BadQuantity(most=MOST_UNITS)
    stated = accounts or {}
    for listing_id, offered in offers.items():
        if offered.lacks(stated.get(listing_id, {})):
            raise AccountMissing(name=offered.product_name)
    lines = [QuotedLine(offers[i], n, offers[i].priced(n, moment), stated.get(i, {})) for i, n in units.items()]
    assert len({line.offered.currency for line in lines}) == 1
    return Quote(tuple(sorted(lines, key=lambda line: line.offered.sku_id)), moment.who if moment else ANYBODY)
