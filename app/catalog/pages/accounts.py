"""What a top-up's buyers state of the account to credit: written by the merchant, or taken from a supplier's offer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.catalog import accounts, queries
from app.catalog import service as catalog
from app.catalog.accounts import LONGEST_VALUE, MOST_CHOICES, MOST_FIELDS, AccountField, FieldKind
from app.catalog.models import DeliveryKind, Product
from app.catalog.pages.shared import base, may_do, shop_changed
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Checked, Count, Form, InvalidForm, RawForm, fail, parse
from app.kernel.i18n import gettext
from app.kernel.web import AnyRequest, page, see_other
from app.suppliers import queries as suppliers
from tenants.directory import Tenant
from tenants.session import raw

_PAGE = "catalog/account.html"
_ROW_FIELDS = ("label", "name", "kind", "is_required", "least", "most", "depends_on", "choices")
KINDS: Mapping[FieldKind, str] = {
    FieldKind.PHONE: N_("Mobile number of the mainland"),
    FieldKind.WORLD_PHONE: N_("Mobile number of any country"),
    FieldKind.QQ: N_("QQ number"),
    FieldKind.NUMBER: N_("Digits"),
    FieldKind.EMAIL: N_("E-mail"),
    FieldKind.TEXT: N_("Any text"),
    FieldKind.CHOICE: N_("One of a list"),
}
TWICE = N_("Another field above has this name already.")
NO_CHOICES = N_("List what can be chosen, one to a line; after a choice above: “its value: this, that”.")
NOT_ABOVE = N_("Name a list that stands above this one.")
TOO_MANY = N_("At most %(most)s choices belong to one field.")
MOST_BELOW_LEAST = N_("The most cannot be less than the least.")


def _length(value: object) -> object:
    return value or "1"


def _name(value: str) -> str:
    if not re.fullmatch(r"[^\s:,]{1,40}", value):
        raise fail(N_("Use the name its supplier gives the field, without blanks."))
    return value


class RowForm(Form):
    """One field of the account. `choices` is a list, one to a line; after a choice above, “its value: this, that”."""

    label: Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\n\r]*$")]
    name: Annotated[str, AfterValidator(_name)]
    kind: FieldKind
    is_required: Checked = False
    least: Annotated[Count, BeforeValidator(_length), Field(ge=1, le=LONGEST_VALUE)] = 1
    most: Annotated[Count, BeforeValidator(lambda value: value or str(LONGEST_VALUE)), Field(ge=1, le=LONGEST_VALUE)] = (
        LONGEST_VALUE
    )
    depends_on: Annotated[str, StringConstraints(max_length=40)] = ""
    choices: Annotated[str, StringConstraints(max_length=20_000)] = ""


class AccountPages(Controller):
    path = "/m/{tenant_slug:str}/products/{product_id:uuid}/account"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        """The fields, or with `?offer=` those a supplier's offer asks for, not yet saved. Raises: NotFound for other kinds."""
        product = await _top_up_or_404(session, product_id)
        context = await _context(request, session, tenant, product)
        wanted = request.query_params.get("offer", "")
        offered = next((offer for offer in context["offers"] if str(offer["id"]) == wanted), None)
        if offered is not None:
            context["fields"] = accounts.from_offer(json.loads(offered["account_fields"]))
        return page(request, _PAGE, **context)

    @post(guards=[may(Permission.CATALOG_EDIT)])
    async def change(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        product_id: FromPath[UUID],
    ) -> Response[Any]:
        product = await _top_up_or_404(session, product_id)
        try:
            fields = read_fields(sent)
        except InvalidForm as refusal:
            refusal.retry, refusal.context = _PAGE, await _context(request, session, tenant, product)
            raise
        refuses = sent.get("refuses_virtual") == "yes"
        await catalog.set_account(session, product_id, fields, refuses_virtual=refuses, actor=actor)
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/products/{product_id}/account", flash=N_("Saved."))


async def _top_up_or_404(session: AsyncSession, product_id: UUID) -> Product:
    product = await queries.product_or_404(session, product_id)
    if product.delivery_kind != DeliveryKind.DIRECT_TOP_UP:
        raise NotFound
    return product


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, product: Product) -> dict[str, Any]:
    return {
        "base": base(tenant),
        "product": product,
        "fields": accounts.fields_of(product.account_fields),
        "kinds": KINDS,
        "most_fields": MOST_FIELDS,
        "longest": LONGEST_VALUE,
        "choices_text": choices_text,
        "offers": await suppliers.offers_with_account(await raw(session), [sku.id for sku in product.skus]),
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
    }


def read_fields(sent: RawForm) -> list[AccountField]:
    """The fields as they were typed; rows without a label and a name are left out. Raises: InvalidForm with the faults of every row."""
    errors: dict[str, str] = {}
    fields: list[AccountField] = []
    for number in range(MOST_FIELDS):
        at = f"row-{number}-"
        if not sent.get(at + "label").strip() and not sent.get(at + "name").strip():
            continue
        row = RawForm({name: sent.all(at + name) for name in _ROW_FIELDS if at + name in sent}, {})
        try:
            form = parse(RowForm, row)
        except InvalidForm as refusal:
            errors |= {at + name: message for name, message in refusal.errors.items()}
            continue
        errors |= {at + name: message for name, message in _faults(form, fields).items()}
        fields.append(_field(form))
    if errors:
        raise InvalidForm(errors, sent.values())
    return fields


def _faults(form: RowForm, above: list[AccountField]) -> dict[str, str]:
    faults: dict[str, str] = {}
    if any(one.name == form.name for one in above):
        faults["name"] = gettext(TWICE)
    if form.most < form.least:
        faults["most"] = gettext(MOST_BELOW_LEAST)
    if form.kind is FieldKind.CHOICE:
        choices = _choices(form)
        if not choices or not all(choices.values()):
            faults["choices"] = gettext(NO_CHOICES)
        elif sum(len(options) for options in choices.values()) > MOST_CHOICES:
            faults["choices"] = gettext(TOO_MANY) % {"most": MOST_CHOICES}
        if form.depends_on and not any(one.name == form.depends_on and one.kind is FieldKind.CHOICE for one in above):
            faults["depends_on"] = gettext(NOT_ABOVE)
    return faults


def _field(form: RowForm) -> AccountField:
    is_choice = form.kind is FieldKind.CHOICE
    return AccountField(
        form.name,
        form.label,
        form.kind,
        form.is_required,
        form.least,
        form.most,
        form.depends_on if is_choice else "",
        _choices(form) if is_choice else {},
    )


def _choices(form: RowForm) -> dict[str, tuple[str, ...]]:
    lines = [line.strip() for line in form.choices.replace("：", ":").replace("，", ",").splitlines() if line.strip()]
    if not form.depends_on:
        return {"": tuple(dict.fromkeys(line[:LONGEST_VALUE] for line in lines))} if lines else {}
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        given, _, options = line.partition(":")
        found[given.strip()] = tuple(
            dict.fromkeys(option.strip()[:LONGEST_VALUE] for option in options.split(",") if option.strip())
        )
    return found


def choices_text(one: AccountField) -> str:
    """A field's choices as they are typed."""
    if not one.depends_on:
        return "\n".join(one.choices.get("", ()))
    return "\n".join(f"{given}: {', '.join(options)}" for given, options in one.choices.items())
