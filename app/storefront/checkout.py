"""Placing an order: one form, one answer. The busiest address of the system: one call to the database, and no page is built unless something is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, TypeVar
from uuid import UUID

from litestar import Controller, Response, post
from pydantic import Field, StringConstraints

from app.catalog.models import ContactRule
from app.fulfillment.scarcity import look_again
from app.kernel import i18n
from app.kernel.contact import NOT_A_CONTACT, NOT_A_PHONE, NOT_AN_EMAIL, Contact, Contacts, parse_contact, parse_email
from app.kernel.errors import N_, DomainError
from app.kernel.faults import fault
from app.kernel.forms import Count, Form, InvalidForm, RawForm, parse
from app.kernel.rates import Limit, RateWindow
from app.kernel.vault import keyring, opened_keyring
from app.kernel.web import NO_STORE, AnyRequest, SparingHandler, page, provide_sent, provide_tenant, see_other, shown_path
from app.ordering import holds, placing
from app.ordering.capping import OverCap
from app.ordering.holds import TooMuchFromAddress
from app.ordering.placing import (
    KeyReused,
    NotSoldNow,
    OfferChanged,
    OverBuyerLimit,
    Placed,
    SoldOut,
    TooLargeShare,
    TooMuchUnpaid,
)
from app.ordering.rules import MOST_UNITS, AccountKey, AccountMissing, NoSuchValue, NothingInIt, Offered, Quote, quote
from app.settings import settings
from app.storefront import binding, values
from app.storefront.accounts import AccountForm, account_forms, looked_up, mark_of
from app.storefront.moments import moment_of
from app.storefront.opening import shelf_in
from app.storefront.shelf import Shelf, Shelved, forget_shelf, shelf_of
from app.storefront.shell import shell_of
from app.storefront.showing import choices, mark_of_choices, product_page
from tenants.directory import Tenant
from tenants.session import tenant_tx

F = TypeVar("F", bound=Form)
CONTACT_FAULTS = {ContactRule.PHONE: NOT_A_PHONE, ContactRule.EMAIL: NOT_AN_EMAIL, ContactRule.EITHER: NOT_A_CONTACT}
PLACING_REFUSALS = (
    AccountMissing,
    NoSuchValue,
    NothingInIt,
    SoldOut,
    OverBuyerLimit,
    OverCap,
    TooMuchUnpaid,
    TooLargeShare,
    TooMuchFromAddress,
    OfferChanged,
    NotSoldNow,
    KeyReused,
)
RequestKey = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{16,64}$")]
Units = Annotated[Count, Field(ge=1, le=MOST_UNITS)]


class NotOnSale(DomainError):
    status = 404
    message = N_("This is not on sale here any more. Nothing was ordered and nothing is to be paid.")


class CheckoutForm(Form):
    """One SKU, bought now. `request_id` was made by us for this form; `mark` names the prices its page showed."""

    listing: UUID
    quantity: Units
    contact: Annotated[str, StringConstraints(max_length=254)]
    request_id: RequestKey
    mark: str = ""


class Checkout(Controller):
    """Buy now."""

    path = "/checkout"

    @post(handler_class=SparingHandler)
    async def place(self, request: AnyRequest) -> Response[Any]:
        """What other handlers are given this one takes itself, without the framework's group of tasks around it."""
        tenant, sent, shelf = await provide_tenant(request), await provide_sent(request), shelf_in(request)
        try:
            accounts = await _accounts(request, tenant, sent, shelf)
            if sent.get("act") == "change":
                return await _change(request, sent, shelf)
            faults = faults_of(accounts) | value_faults(sent, shelf)
            form, contacts = read_form(CheckoutForm, sent, shelf, faults=faults)
            offered, _ = values.read(await _offered(request, shelf, form), sent.get)
            count_checkout(request, tenant)
            stated = {key: account.values for key, account in accounts.items()}
            wanted = quote([(offered, form.quantity)], stated, await moment_of(request, tenant, [offered]))
            asked = [account for account in accounts.values() if account.values]
            if asked and sent.get("confirmed") != mark_of(wanted, contacts.first.value):
                return await confirm(request, sent, wanted, contacts, asked)
            placed = await place_order(request, tenant, wanted, contacts, key=form.request_id)
        except InvalidForm as fault:
            return await _again(request, tenant, sent, fault, errors=fault.errors)
        except PLACING_REFUSALS as refusal:
            return await _again(request, tenant, sent, refusal)
        return see_other(request, await path_of(tenant, placed))


def read_form(form: type[F], sent: RawForm, shelf: Shelf, *, faults: Mapping[str, str]) -> tuple[F, Contacts]:
    """A checkout's form and its contacts, all faults at once, those already found in it among them. Raises: InvalidForm."""
    contact = parse_contact(sent.get("contact"), shelf.face.contact_rule)
    second, second_fault = _second_contact(sent, shelf)
    wrong = dict(faults)
    if contact is None:
        wrong["contact"] = i18n.gettext(CONTACT_FAULTS[ContactRule(shelf.face.contact_rule)])
    wrong |= second_fault
    try:
        parsed = parse(form, sent)
    except InvalidForm as fault:
        fault.errors.update(wrong)
        if "request_id" in fault.errors:
            fault.errors["request_id"] = i18n.gettext(_NOT_WHOLE)
        raise
    if wrong or contact is None:
        raise InvalidForm(wrong, sent.values())
    return parsed, Contacts(contact, second)


def _second_contact(sent: RawForm, shelf: Shelf) -> tuple[Contact | None, dict[str, str]]:
    """The e-mail address beside a phone, or what is wrong with it. Who is reached by e-mail is not asked for one, so what he sends is not read."""
    text = sent.get("second_contact").strip()
    if not text or "@" in sent.get("contact") or shelf.face.contact_rule == ContactRule.EMAIL:
        return None, {}
    second = parse_email(text)
    return second, {} if second else {"second_contact": i18n.gettext(NOT_AN_EMAIL)}


async def place_order(request: AnyRequest, tenant: Tenant, wanted: Quote, contacts: Contacts, *, key: str) -> Placed:
    """Place what was priced, for this request's shop and network address; of what is scarce its suppliers are asked first.

    Raises what `holds.admit` and `placing.place` raise.
    """
    address = request.scope["state"]["address"]
    await holds.admit(tenant, address, wanted.units, key=key)
    shelf = shelf_in(request)
    if scarce := shelf.scarce.intersection(wanted.sku_ids):
        await look_again(tenant, sorted(scarce))
    storefront_id = shelf.face.storefront_id
    is_confirmed = any(line.accounts for line in wanted.lines)
    asked = placing.Request(
        storefront_id,
        wanted,
        contacts.first,
        i18n.locale(),
        key,
        address,
        is_confirmed=is_confirmed,
        sales_channel=request.scope["state"]["channel"],
        second_contact=contacts.second,
    )
    placed = await placing.place(tenant, asked)
    await fault("order.committed")
    return placed


async def confirm(
    request: AnyRequest, sent: RawForm, wanted: Quote, contacts: Contacts, asked: Sequence[AccountForm]
) -> Response[Any]:
    """Show the accounts once more before anything is ordered, after their suppliers were asked. Raises: InvalidForm."""
    shown, errors = await looked_up(await provide_tenant(request), asked)
    if errors:
        raise InvalidForm(errors, sent.values())
    hidden = [(name, value) for name, value in sent.values().items() if name != "confirmed" and isinstance(value, str)]
    context: dict[str, Any] = {
        "accounts": shown,
        "is_credited": any(form.is_credited for form in asked),
        "hidden": [*hidden, ("confirmed", mark_of(wanted, contacts.first.value))],
        "target": shown_path(request),
        "contact": contacts.first.masked,
        "second_contact": contacts.second.masked if contacts.second else "",
        "total_minor": wanted.total_minor,
        "currency": wanted.currency,
    }
    return page(request, "storefront/confirmation.html", headers=NO_STORE, **context)


def count_checkout(request: AnyRequest, tenant: Tenant) -> None:
    """Count a checkout of this network address. Raises: TooMany."""
    _window().count(tenant, request.scope["state"]["address"])


async def path_of(tenant: Tenant, order: Placed) -> str:
    """An order's own secret address, on the host its buyer is on."""
    ring = opened_keyring(tenant.id)
    if ring is None:
        async with tenant_tx(tenant) as tx:
            ring = await keyring(tx)
    return f"/orders/{order.order_no}/{ring.link_signature('order', order.id)}"


async def fresh_shelf(request: AnyRequest, tenant: Tenant) -> Shelf:
    """The shelf as it is now, after an offer was found changed; this request's page is built from it."""
    forget_shelf(tenant)
    state = request.scope["state"]
    state["shelf"] = (await shelf_of(tenant)).seen_from(state["channel"])
    state["shell"] = shell_of(state["shelf"], request)
    return shelf_in(request)


async def _offered(request: AnyRequest, shelf: Shelf, form: CheckoutForm) -> Offered:
    offered = shelf.offers.get(form.listing)
    if offered is None:
        raise NotOnSale
    if form.mark and form.mark != mark_of_choices(await choices(request, shelf.products[offered.product_id])):
        raise OfferChanged
    return offered


async def _accounts(request: AnyRequest, tenant: Tenant, sent: RawForm, shelf: Shelf) -> dict[AccountKey, AccountForm]:
    """What a form states, for what asks for something."""
    offered = shelf.offers.get(_uuid(sent.get("listing")) or _NOBODY)
    if offered is None:
        return {}
    stated = account_forms(shelf.products[offered.product_id], offered.listing_id, sent.get, checks=True)
    return {key: await binding.checked(request, tenant, account) for key, account in stated.items()}


def faults_of(accounts: Mapping[AccountKey, AccountForm]) -> dict[str, str]:
    """The faults of all that a form states, by field."""
    return {name: fault for account in accounts.values() for name, fault in account.errors.items()}


def value_faults(sent: RawForm, shelf: Shelf) -> dict[str, str]:
    """What is wrong with the face value that was typed for a form's listing, by field."""
    offered = shelf.offers.get(_uuid(sent.get("listing")) or _NOBODY)
    return values.read(offered, sent.get)[1] if offered else {}


async def _change(request: AnyRequest, sent: RawForm, shelf: Shelf) -> Response[str]:
    """Back from the confirmation to the product, with everything as it was typed."""
    product = product_of(sent, shelf)
    if product is None:
        raise NotOnSale
    return await product_page(request, shelf, product, values=sent.values(), errors=value_faults(sent, shelf))


async def _again(
    request: AnyRequest, tenant: Tenant, sent: RawForm, refusal: DomainError, *, errors: dict[str, str] | None = None
) -> Response[str]:
    """The product's page once more: what was typed is kept, and the sentence stands beside the button."""
    shelf = await fresh_shelf(request, tenant) if isinstance(refusal, OfferChanged) else shelf_in(request)
    product = product_of(sent, shelf)
    if product is None:
        raise NotOnSale if isinstance(refusal, OfferChanged) else refusal
    words = "" if errors else i18n.said(refusal)
    more = {"errors": errors or {}, "values": sent.values(), "refusal": words}
    return await product_page(request, shelf, product, status=refusal.status, **more)


def product_of(sent: RawForm, shelf: Shelf) -> Shelved | None:
    """The product a form was about: of its SKU, or the one its page was of."""
    offered = shelf.offers.get(_uuid(sent.get("listing")) or _NOBODY)
    return shelf.products.get(offered.product_id if offered else _uuid(sent.get("product")) or _NOBODY)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@cache
def _window() -> RateWindow:
    return RateWindow(Limit("checkout", settings().checkouts_per_minute, 60))


_NOBODY = UUID(int=0)
_NOT_WHOLE = N_("This form had lost a part of itself. It is whole again: look it over and send it once more.")
