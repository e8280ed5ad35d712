"""Finding one's orders again without an account: a code to the contact of the order, then the list; and everything one has."""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import BeforeValidator, StringConstraints

from app.customers import service as customers
from app.customers import sessions
from app.customers.sessions import Buyer
from app.kernel import i18n
from app.kernel.contact import NOT_A_CONTACT, Contact, parse_contact
from app.kernel.csrf import BUYER_COOKIE
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Checked, Form, RawForm, fail, invalid, parse
from app.kernel.vault import keyring
from app.kernel.web import AnyRequest, page, see_other, set_cookie
from app.storefront import queries
from app.storefront.opening import OPEN_WHEN_CLOSED, shelf_in
from tenants.directory import Tenant
from tenants.session import tenant_tx

_ASK = "storefront/lookup.html"
_PROVE = "storefront/code.html"
NOT_A_CODE = N_("Type the six digits from the message.")

_PLACE = re.compile(r"orders|me|products/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
Place = Annotated[str, StringConstraints(pattern=f"^({_PLACE.pattern})$")]
"""Where the buyer was going: to his orders, to what he has, or to a product that is bound to what he proves."""


def _six_digits(value: object) -> object:
    digits = "".join(str(value).split())
    if not (digits.isascii() and digits.isdigit() and len(digits) == 6):
        raise fail(NOT_A_CODE)
    return digits


class CodeForm(Form):
    contact: Annotated[str, StringConstraints(max_length=254)]
    place: Place = "orders"


class ProofForm(Form):
    contact: Annotated[str, StringConstraints(max_length=254)]
    code: Annotated[str, BeforeValidator(_six_digits)]
    stay: Checked = False
    place: Place = "orders"


class LookupPages(Controller):
    """The way to what was bought."""

    opt = OPEN_WHEN_CLOSED

    @get("/orders")
    async def orders(self, request: AnyRequest, tenant: Tenant) -> Response[str]:
        async with tenant_tx(tenant) as tx:
            buyer = await _buyer(request, tx)
            found = await queries.orders_of(tx, buyer.contact_fingerprint) if buyer else []
            ring = await keyring(tx)
        if buyer is None:
            return page(request, _ASK, place="orders")
        rows = [(row, f"/orders/{row['order_no']}/{ring.link_signature('order', row['id'])}") for row in found]
        return page(request, "storefront/orders.html", buyer=buyer, rows=rows)

    @get("/me")
    async def mine(self, request: AnyRequest, tenant: Tenant) -> Response[str]:
        async with tenant_tx(tenant) as tx:
            buyer = await _buyer(request, tx)
            found = await queries.entitlements_of(tx, buyer.contact_fingerprint) if buyer else []
            ring = await keyring(tx)
        if buyer is None:
            return page(request, _ASK, place="me")
        rows = [(row, f"/orders/{row['order_no']}/{ring.link_signature('order', row['order_id'])}") for row in found]
        return page(request, "storefront/mine.html", buyer=buyer, rows=rows)

    @get("/products/{product_id:uuid}/proof")
    async def bind(self, request: AnyRequest, product_id: FromPath[UUID]) -> Response[str]:
        """Proves the number or address a bound product is to credit; then back to it. Raises: NotFound."""
        product = shelf_in(request).product_or_404(product_id)
        if not product.binds_account:
            raise NotFound
        return page(request, _ASK, place=f"products/{product.id}")

    @post("/orders/codes")
    async def ask(self, request: AnyRequest, tenant: Tenant, sent: RawForm) -> Response[str]:
        """Always the same answer, for a contact we know and for one we do not. For a bound product a code goes to any."""
        context: dict[str, Any] = {"place": _place(sent)}
        form = parse(CodeForm, sent, retry=_ASK, **context)
        contact = _contact(sent, form.contact, _ASK, context)
        await customers.ask_code(
            tenant,
            contact,
            address=request.scope["state"]["address"],
            anyones_locale=i18n.locale() if _is_bound(request, form.place) else "",
        )
        return page(request, _PROVE, contact=contact, **context)

    @post("/orders/proofs")
    async def prove(self, request: AnyRequest, tenant: Tenant, sent: RawForm) -> Response[Any]:
        context: dict[str, Any] = {"place": _place(sent)}
        contact = _contact(sent, sent.get("contact"), _ASK, context)
        form = parse(ProofForm, sent, retry=_PROVE, contact=contact, **context)
        try:
            customer_id = await customers.prove(tenant, contact, form.code, address=request.scope["state"]["address"])
        except customers.WrongProof as refusal:
            raise invalid(sent, {"code": refusal.message}, retry=_PROVE, contact=contact, **context) from None
        lives = sessions.LONG if form.stay else sessions.SHORT
        async with tenant_tx(tenant) as tx:
            before = request.cookies.get(BUYER_COOKIE, "")
            token = await sessions.open_session(tx, customer_id, lives=lives, instead_of=before)
        set_cookie(request, BUYER_COOKIE, token, max_age=int(lives.total_seconds()) if form.stay else None)
        return see_other(request, f"/{form.place}")

    @post("/me/log-out")
    async def leave(self, request: AnyRequest, tenant: Tenant) -> Response[None]:
        async with tenant_tx(tenant) as tx:
            await sessions.end(tx, request.cookies.get(BUYER_COOKIE, ""))
        set_cookie(request, BUYER_COOKIE, "")
        return see_other(request, "/orders", flash=N_("You are logged out on this device."))


async def _buyer(request: AnyRequest, tx: Any) -> Buyer | None:
    return await sessions.find(tx, request.cookies.get(BUYER_COOKIE, ""))


def _contact(sent: RawForm, text: str, retry: str, context: dict[str, Any]) -> Contact:
    contact = parse_contact(text)
    if contact is None:
        raise invalid(sent, {"contact": NOT_A_CONTACT}, retry=retry, **context)
    return contact


def _place(sent: RawForm) -> str:
    return sent.get("place") if _PLACE.fullmatch(sent.get("place")) else "orders"


def _is_bound(request: AnyRequest, place: str) -> bool:
    """Whether a place is a product on sale that credits only what is proved."""
    product_id = place.partition("products/")[2]
    product = shelf_in(request).products.get(UUID(product_id)) if product_id else None
    return product is not None and product.binds_account
