"""The cart's page, and buying what is in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Controller, Response, get, post
from pydantic import StringConstraints

from app.inventory.queries import sellable
from app.kernel.errors import N_, DomainError
from app.kernel.forms import Form, InvalidForm, OptionalCount, RawForm, parse
from app.kernel.i18n import said
from app.kernel.ids import new_id
from app.kernel.web import AnyRequest, page, see_other
from app.ordering.placing import OfferChanged
from app.ordering.rules import MOST_UNITS, AccountKey, EmptyCart, Offered, TooManyLines, quote
from app.pricing.rules import Moment
from app.storefront import binding, carts, checkout, values
from app.storefront.accounts import AccountForm, account_forms, mark_of
from app.storefront.checkout import PLACING_REFUSALS, NotOnSale, RequestKey, Units
from app.storefront.moments import moment_of
from app.storefront.opening import shelf_in
from app.storefront.shelf import Shelf, Shelved
from app.storefront.showing import mark_of_prices, product_page
from tenants.directory import Tenant
from tenants.session import tenant_tx


@dataclass(frozen=True, slots=True)
class CartLine:
    """One line of the cart as its page shows it."""

    product: Shelved
    offered: Offered
    units: int
    left: int
    unit_price_minor: int

    @property
    def total_minor(self) -> int:
        return self.unit_price_minor * self.units


class RemovalForm(Form):
    """`value` is the face value of the line, in minor units, where it is sold by value."""

    listing: UUID
    value: OptionalCount = None

    @property
    def item(self) -> carts.Item:
        return self.listing, self.value


class LineForm(RemovalForm):
    """`add` puts more in, of the face value that was typed; `set` says how many there shall be of what is in it."""

    quantity: Units
    mode: Literal["add", "set"] = "add"


class CartCheckoutForm(Form):
    contact: Annotated[str, StringConstraints(max_length=254)]
    request_id: RequestKey
    mark: str = ""


class CartPages(Controller):
    """Several things at once."""

    path = "/cart"

    @get()
    async def show(self, request: AnyRequest, tenant: Tenant) -> Response[str]:
        return await _cart_page(request, tenant, shelf_in(request))

    @post("/lines")
    async def add(self, request: AnyRequest, tenant: Tenant, sent: RawForm) -> Response[Any]:
        shelf, cart = shelf_in(request), carts.read(request)
        try:
            form, item = _line_form(sent, shelf)
            kept = cart if form.mode == "add" else {**cart, item: 0}
            carts.keep(request, carts.put(kept, item, form.quantity))
        except InvalidForm as fault:
            return await _refused_line(request, tenant, sent, fault)
        except TooManyLines as refusal:
            return await _cart_page(request, tenant, shelf, status=refusal.status, refusal=said(refusal))
        return see_other(request, "/cart", flash=N_("In the cart.") if form.mode == "add" else "")

    @post("/removals")
    async def remove(self, request: AnyRequest, sent: RawForm) -> Response[Any]:
        form = parse(RemovalForm, sent)
        cart = carts.read(request)
        cart.pop(form.item, None)
        carts.keep(request, cart)
        return see_other(request, "/cart")

    @post("/checkout")
    async def place(self, request: AnyRequest, tenant: Tenant, sent: RawForm) -> Response[Any]:
        shelf = shelf_in(request)
        wanted = carts.on_shelf(carts.read(request), shelf)
        try:
            stated = _accounts(wanted, shelf, sent.get, checks=True)
            accounts = {key: await binding.checked(request, tenant, account) for key, account in stated.items()}
            if sent.get("act") == "change":
                return await _cart_page(request, tenant, shelf, values=sent.values())
            form, contacts = checkout.read_form(CartCheckoutForm, sent, shelf, faults=checkout.faults_of(accounts))
            moment = await moment_of(request, tenant, [offered for offered, _ in wanted])
            if form.mark and form.mark != _mark(wanted, moment):
                raise OfferChanged
            checkout.count_checkout(request, tenant)
            priced = quote(wanted, {key: account.values for key, account in accounts.items()}, moment)
            asked = [account for account in accounts.values() if account.values]
            if asked and sent.get("confirmed") != mark_of(priced, contacts.first.value):
                return await checkout.confirm(request, sent, priced, contacts, asked)
            placed = await checkout.place_order(request, tenant, priced, contacts, key=form.request_id)
        except InvalidForm as fault:
            return await _cart_page(request, tenant, shelf, status=422, errors=fault.errors, values=sent.values())
        except (*PLACING_REFUSALS, EmptyCart) as refusal:
            if isinstance(refusal, OfferChanged):
                shelf = await checkout.fresh_shelf(request, tenant)
            words = said(refusal)
            return await _cart_page(request, tenant, shelf, status=refusal.status, values=sent.values(), refusal=words)
        carts.keep(request, {})
        return see_other(request, await checkout.path_of(tenant, placed))


def _line_form(sent: RawForm, shelf: Shelf) -> tuple[LineForm, carts.Item]:
    """What is put in the cart, all its faults at once. Raises: InvalidForm, NotOnSale."""
    wrong = checkout.value_faults(sent, shelf) if sent.get("mode") != "set" else {}
    try:
        form = parse(LineForm, sent)
    except InvalidForm as fault:
        fault.errors.update(wrong)
        raise
    offered = shelf.offers.get(form.listing)
    if offered is None:
        raise NotOnSale
    if wrong:
        raise InvalidForm(wrong, sent.values())
    if form.mode == "set":
        return form, form.item
    return form, (form.listing, values.read(offered, sent.get)[0].value_minor)


async def _refused_line(request: AnyRequest, tenant: Tenant, sent: RawForm, fault: DomainError) -> Response[str]:
    """A wrong quantity is said where it was typed: on the product's page, or in the cart."""
    assert isinstance(fault, InvalidForm)
    shelf = shelf_in(request)
    product = checkout.product_of(sent, shelf)
    if sent.get("mode") == "set" or product is None:
        words = next(iter(fault.errors.values()))
        return await _cart_page(request, tenant, shelf, status=fault.status, refusal=words)
    return await product_page(request, shelf, product, status=fault.status, errors=fault.errors, values=sent.values())


async def _cart_page(request: AnyRequest, tenant: Tenant, shelf: Shelf, *, status: int = 200, **more: Any) -> Response[str]:
    cart = carts.read(request)
    wanted = carts.on_shelf(cart, shelf)
    moment = await moment_of(request, tenant, [offered for offered, _ in wanted])
    lines = await _lines(request, shelf, wanted, moment)
    typed = more.get("values") or request.query_params
    accounts = _accounts(wanted, shelf, lambda name, default: str(typed.get(name, default)))
    context: dict[str, Any] = {
        "lines": lines,
        "accounts": accounts,
        "gone": len(cart) - len(wanted),
        "total_minor": sum(line.total_minor for line in lines),
        "short": [line for line in lines if line.left < line.units],
        "mark": _mark(wanted, moment),
        "most_units": MOST_UNITS,
        "contact_rule": shelf.face.contact_rule,
        "request_key": str(new_id()),
        "refusal": "",
        **more,
    }
    return page(request, "storefront/cart.html", status=status, **context)


async def _lines(
    request: AnyRequest, shelf: Shelf, wanted: Sequence[tuple[Offered, int]], moment: Moment | None
) -> list[CartLine]:
    if not wanted:
        return []
    state = request.scope["state"]
    async with tenant_tx(state["tenant"]) as tx:
        left = await sellable(tx, [offered.sku_id for offered, _ in wanted], state["channel"])
    return [
        CartLine(shelf.products[o.product_id], o, units, left[o.sku_id], o.priced(units, moment).unit_price_minor)
        for o, units in wanted
    ]


def _accounts(
    wanted: Sequence[tuple[Offered, int]], shelf: Shelf, given: Callable[[str, str], str], *, checks: bool = False
) -> dict[AccountKey, AccountForm]:
    """What the cart's lines ask their buyer for."""
    found: dict[AccountKey, AccountForm] = {}
    for offered, _ in wanted:
        found |= account_forms(shelf.products[offered.product_id], offered.listing_id, given, in_cart=True, checks=checks)
    return found


def _mark(wanted: Sequence[tuple[Offered, int]], moment: Moment | None) -> str:
    """Of the prices and quantities the cart's page showed."""
    lines = [(o.listing_id, (o.value_minor, o.priced(units, moment).unit_price_minor * units)) for o, units in wanted]
    return mark_of_prices(lines)
