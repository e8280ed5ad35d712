"""Goods bound to their buyer: only the number or address this browser has proved by a one-time code is credited, and no other."""

from __future__ import annotations

from dataclasses import replace

from app.catalog.accounts import bound_field
from app.customers import sessions
from app.kernel import i18n
from app.kernel.contact import parse_contact
from app.kernel.csrf import BUYER_COOKIE
from app.kernel.errors import N_
from app.kernel.vault import keyring
from app.kernel.web import AnyRequest
from app.storefront.accounts import AccountForm
from tenants.directory import Tenant
from tenants.session import tenant_tx

NOT_PROVED = N_("Only a number or address you have proved can be credited. Prove this one by a code first.")
ANOTHER_PROVED = N_("You have proved %(contact)s, and only that can be credited. Type it here, or prove this one.")


async def checked(request: AnyRequest, tenant: Tenant, form: AccountForm) -> AccountForm:
    """The form with the fault that what it states is not proved, for a bound product. Read anew for each order: a proof ends with its session."""
    field = bound_field(form.fields) if form.asked.binds_account else None
    if field is None or field.name not in form.values:
        return form
    contact = parse_contact(form.values[field.name])
    async with tenant_tx(tenant) as tx:
        buyer = await sessions.find(tx, request.cookies.get(BUYER_COOKIE, ""))
        ring = await keyring(tx)
    if contact and buyer and ring.fingerprint("contact", contact.value) == buyer.contact_fingerprint:
        return form
    said = i18n.gettext(ANOTHER_PROVED) % {"contact": buyer.contact_masked} if buyer else i18n.gettext(NOT_PROVED)
    return replace(form, errors={**form.errors, form.prefix + field.name: said})
