"""Products as pages show them, with the stock of this moment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from litestar import Response

from app.catalog.models import DeliveryKind
from app.inventory.queries import sellable
from app.kernel import clock, i18n
from app.kernel.batching import Batcher
from app.kernel.errors import N_
from app.kernel.ids import new_id
from app.kernel.web import AnyRequest, page
from app.ordering.rules import MOST_UNITS, Offered
from app.ordering.words import plan_words
from app.pricing.rules import Cap, Moment, ladder
from app.storefront import values
from app.storefront.accounts import AccountForm, account_forms
from app.storefront.moments import moment_of
from app.storefront.richtext import shown
from app.storefront.shelf import Shelf, Shelved
from tenants.directory import Tenant
from tenants.session import tenant_tx

PROMISES = {
    DeliveryKind.CARD_KEY: N_("You get a card-key. It appears on your order's page as soon as your payment has arrived."),
    DeliveryKind.DIRECT_TOP_UP: N_(
        "The account you name is credited, usually within seconds of your payment. Your order's page says how far it is."
    ),
    DeliveryKind.VOUCHER: N_(
        "You get a code to show at the counter. It appears on your order's page as soon as your payment has arrived."
    ),
    DeliveryKind.MANUAL: N_(
        "The shop hands it over or ships it after your payment. Your order's page says by when, and how far it is."
    ),
    DeliveryKind.SERIAL: N_("You get a serial number of your own, with a list of its uses, as soon as your payment has arrived."),
    DeliveryKind.LINK: N_(
        "You get a link of your own. It stands on your order's page as soon as your payment has arrived, with its last day and how often it opens."
    ),
    DeliveryKind.SUBSCRIPTION: N_(
        "The first cycle comes as soon as your payment has arrived, each further one on its day by itself. Nothing is charged again by itself."
    ),
    DeliveryKind.BUNDLE: N_(
        "Each part is delivered its own way as soon as your payment has arrived. Your order's page says of each how far it is."
    ),
}
"""What a buyer may count on, by how it is delivered."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One SKU to choose, how many of it are left, and what one costs by the number: `steps` are least numbers and their prices."""

    offered: Offered
    was_minor: int | None
    left: int
    steps: tuple[tuple[int, int], ...]
    terms: object = None
    """What its price comes from, whatever face value is chosen."""
    caps: tuple[Cap, ...] = ()
    """How many of it one buyer may order now, by rules."""

    def price_minor(self, units: int) -> int:
        """What one of so many costs now."""
        return next(price for least, price in reversed(self.steps) if least <= units)

    def struck_minor(self, units: int) -> int | None:
        """The higher price beside it: the merchant's, else the list price where a rule is below it."""
        listed = self.offered.list_price_minor
        return self.was_minor or (listed if self.price_minor(units) < listed else None)


@dataclass(frozen=True, slots=True)
class Cover:
    """A product in a list."""

    product: Shelved
    is_sold_out: bool
    from_minor: int
    """The lowest price of one among its SKUs, as anybody pays it now."""

    @property
    def label(self) -> str:
        """What stands on the ticket: the SKU, when there is only one and its name is short."""
        return label_of(self.product.offers)


async def covers(request: AnyRequest, products: Sequence[Shelved]) -> list[Cover]:
    """Products for a list; those that are sold out say so and stand where they stood."""
    state = request.scope["state"]
    left = await _left(state["tenant"], [offer.sku_id for product in products for offer in product.offers], state["channel"])
    moment = Moment(clock.now(), left)
    return [
        Cover(
            product,
            not any(left[offer.sku_id] for offer in product.offers),
            min(offer.priced(1, moment).unit_price_minor for offer in product.offers),
        )
        for product in products
    ]


async def choices(request: AnyRequest, product: Shelved, given: Callable[[str, str], str] | None = None) -> list[Choice]:
    """A product's SKUs with what is left of each this moment, and what each costs this buyer: at the face values that were typed, else at the least."""
    tenant = request.scope["state"]["tenant"]
    moment = await moment_of(request, tenant, product.offers)
    if moment and not any(offer.is_split for offer in product.offers):
        left = moment.left
    else:
        left = await _left(tenant, [offer.sku_id for offer in product.offers], request.scope["state"]["channel"])
    return [_choice(values.read(offer, given)[0] if given else offer, offer, product, moment, left) for offer in product.offers]


def _choice(chosen: Offered, offer: Offered, product: Shelved, moment: Moment | None, left: Mapping[UUID, int]) -> Choice:
    least, steps = steps_of(offer, moment), steps_of(chosen, moment)
    can_be_sold = 0 if offer.is_held_back(least[0][1]) else left.get(offer.sku_id, 0)
    caps = offer.priced(1, moment).caps
    return Choice(chosen, product.was_minor[offer.listing_id], can_be_sold, steps, (least, offer.values), caps)


def steps_of(offered: Offered, moment: Moment | None) -> tuple[tuple[int, int], ...]:
    """What one costs by the number bought."""
    if moment is None or not offered.price_rules:
        return ((1, offered.list_price_minor),)
    return tuple(ladder(offered.list_price_minor, offered.price_rules, moment.of(offered.sku_id)))


def mark_of_choices(offered: Sequence[Choice]) -> str:
    """Changes when an offer, a price or what buyers state does: a form carries it, so that nobody buys at a price he has not seen."""
    return mark_of_prices(
        [(choice.offered.listing_id, (choice.terms, choice.offered.buyer_fields, choice.offered.parts)) for choice in offered]
    )


def mark_of_prices(prices: Sequence[tuple[UUID, object]]) -> str:
    """A short mark of listings and what they cost."""
    return hashlib.sha256(repr(sorted((str(listing), price) for listing, price in prices)).encode()).hexdigest()[:12]


async def product_page(request: AnyRequest, shelf: Shelf, product: Shelved, **more: Any) -> Response[str]:
    """The page of one product. After a refusal `more` holds status, errors, values and `refusal`, a sentence for beside the button."""
    typed: Mapping[str, Any] = more.get("values", {})
    offered = await choices(request, product, _given(typed or request.query_params))
    context: dict[str, Any] = {
        "product": product,
        "choices": offered,
        "mark": mark_of_choices(offered),
        "value_field": values.field_name,
        "units": _units(str(typed.get("quantity") or request.query_params.get("quantity", ""))),
        "has_steps": any(len(choice.steps) > 1 for choice in offered),
        "chosen": _chosen(offered, str(typed.get("listing") or request.query_params.get("listing", ""))),
        "label_of": label_of,
        "plan_words": plan_words,
        "category": next((name for category_id, name in shelf.categories if category_id == product.category_id), ""),
        "contact_rule": shelf.face.contact_rule,
        "caps": _caps(offered),
        "most_units": min(MOST_UNITS, product.buyer_limit or MOST_UNITS),
        "description": shown(product.description_html),
        "usage": shown(product.usage_html),
        "accounts": _accounts(request, product, typed),
        "narrow_path": f"/products/{product.id}",
        "promise": i18n.gettext(PROMISES[DeliveryKind(product.delivery_kind)]),
        "request_key": str(new_id()),
        "refusal": "",
        **more,
    }
    return page(request, "storefront/product.html", **context)


def _caps(offered: Sequence[Choice]) -> list[tuple[str, Cap]]:
    """What one buyer may order now, each cap once, with the SKU it is about; empty where it is about all or there is only one."""
    found = {
        cap.rule_id: (choice.offered.sku_name if cap.sku_id and len(offered) > 1 else "", cap)
        for choice in offered
        for cap in choice.caps
    }
    return list(found.values())


def _given(typed: Mapping[str, Any]) -> Callable[[str, str], str]:
    return lambda name, default: str(typed.get(name, default))


def _units(text: str) -> int:
    """The number a page shows prices for; one where none was named."""
    return min(MOST_UNITS, max(1, int(text))) if text.isascii() and text.isdigit() and len(text) <= 3 else 1


def _accounts(request: AnyRequest, product: Shelved, typed: Mapping[str, Any]) -> list[AccountForm]:
    """What is asked for, with what was typed, or the choices so far that stand in the address.

    What several of a product's offers ask for is asked once.
    """
    given = _given(typed or request.query_params)
    found: dict[str, AccountForm] = {}
    for offered in product.offers:
        for form in account_forms(product, offered.listing_id, given).values():
            found.setdefault(form.prefix, form)
    return list(found.values())


def label_of(offers: Sequence[Offered]) -> str:
    """A short name for the cover's ticket, or none."""
    name = offers[0].sku_name if len(offers) == 1 else ""
    width = sum(2 if ord(sign) > 0x2E80 else 1 for sign in name)
    return name if width <= 12 else ""


def _chosen(offered: Sequence[Choice], wanted: str) -> Choice:
    """The SKU asked for, else the first that can be bought, else the first."""
    named = next((choice for choice in offered if str(choice.offered.listing_id) == wanted), None)
    return named or next((choice for choice in offered if choice.left), offered[0])


async def _left(tenant: Tenant, sku_ids: Iterable[UUID], channel: str) -> Mapping[UUID, int]:
    """What is left of each SKU in a sales channel. Pages of one shop that ask while others are answered share the next reading."""
    wanted = frozenset(sku_ids)
    if not wanted:
        return {}
    key = (tenant.id, channel)
    if key not in _lines:
        if len(_lines) > _KEPT_OPEN:
            _lines.clear()
        _lines[key] = Batcher(together=partial(_read_together, tenant, channel), alone=partial(_read_alone, tenant, channel))
    return await _lines[key].ask(wanted)


async def _read_together(tenant: Tenant, channel: str, wanted: Sequence[frozenset[UUID]]) -> list[Mapping[UUID, int]]:
    left = await _read_alone(tenant, channel, frozenset().union(*wanted))
    return [left] * len(wanted)


async def _read_alone(tenant: Tenant, channel: str, wanted: frozenset[UUID]) -> Mapping[UUID, int]:
    async with tenant_tx(tenant) as tx:
        return await sellable(tx, list(wanted), channel)


_KEPT_OPEN = 1000
_lines: dict[tuple[UUID, str], Batcher[frozenset[UUID], Mapping[UUID, int]]] = {}
