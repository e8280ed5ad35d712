"""The merchant's page of buyer levels: which there are, and who has one."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import BeforeValidator, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.customers import levels
from app.customers.levels import LevelNameTaken, TooManyLevels, UnknownBuyer
from app.kernel.actor import Actor
from app.kernel.contact import NOT_A_CONTACT, parse_contact
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Form, InvalidForm, RawForm, invalid, parse
from app.kernel.i18n import gettext, said
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import Tenant
from tenants.session import raw

_PAGE = "customers/levels.html"
_GONE = N_("This level is gone. Reload the page and choose again.")


class LevelForm(Form):
    name: Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\n\r]*$")]


class GivingForm(Form):
    """Who gets which level; an empty one takes away what he has."""

    contact: Annotated[str, StringConstraints(min_length=1, max_length=254)]
    level: Annotated[UUID | None, BeforeValidator(lambda value: value or None)] = None


class LevelPages(Controller):
    path = "/m/{tenant_slug:str}/buyer-levels"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        return page(request, _PAGE, **await _context(request, session, tenant))

    @post(guards=[may(Permission.CATALOG_EDIT)])
    async def add(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm
    ) -> Response[Any]:
        context = await _context(request, session, tenant)
        form = parse(LevelForm, sent, retry=_PAGE, **context)
        try:
            await levels.add_level(session, form.name, actor=actor)
        except (LevelNameTaken, TooManyLevels) as refusal:
            raise InvalidForm({"name": said(refusal)}, sent.values(), _PAGE, context) from None
        return see_other(request, context["here"], flash=N_("Saved."))

    @post("/buyers", guards=[may(Permission.CATALOG_EDIT)])
    async def give(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm
    ) -> Response[Any]:
        """Give a buyer a level, or take it from him."""
        context = await _context(request, session, tenant)
        form = parse(GivingForm, sent, retry=_PAGE, **context)
        contact = parse_contact(form.contact)
        if contact is None:
            raise invalid(sent, {"contact": NOT_A_CONTACT}, retry=_PAGE, **context)
        try:
            await levels.give_level(session, contact, form.level, actor=actor)
        except UnknownBuyer as refusal:
            raise invalid(sent, {"contact": refusal.message}, retry=_PAGE, **context) from None
        except NotFound:
            raise invalid(sent, {"level": _GONE}, retry=_PAGE, **context) from None
        return see_other(request, context["here"], flash=N_("It counts from the buyer's next page on."))

    @post("/{level_id:uuid}/removal", guards=[may(Permission.CATALOG_EDIT)])
    async def remove(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, level_id: FromPath[UUID]
    ) -> Response[Any]:
        """Take a level away. Raises: NotFound, LevelInUse."""
        await levels.remove_level(session, level_id, actor=actor)
        return see_other(request, f"/m/{tenant.slug}/buyer-levels", flash=N_("Taken away."))


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant) -> dict[str, Any]:
    tx = await raw(session)
    found = await levels.levels(tx)
    return {
        "here": f"/m/{tenant.slug}/buyer-levels",
        "home": f"/m/{tenant.slug}",
        "levels": found,
        "options": [("", gettext(N_("No level"))), *((str(level["id"]), level["name"]) for level in found)],
        "holders": await levels.holders(tx),
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
    }
