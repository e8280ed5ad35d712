"""How a category's goods are bought where their own routes leave it open."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.catalog import queries as catalog
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import RawForm, parse
from app.kernel.i18n import gettext
from app.kernel.web import AnyRequest, page, see_other
from app.suppliers import service
from app.suppliers.forms import CategoryRouteForm
from app.suppliers.models import CategoryRoute, OwnStock, RoutePolicy
from app.suppliers.pages.shared import OWN_STOCK_WORDS, POLICY_WORDS, shared
from tenants.directory import Tenant

_PAGE = "suppliers/category.html"
_AS_CATEGORY = N_("As the category says")
Choice = tuple[str, str, str]


class CategoryRoutePages(Controller):
    path = "/m/{tenant_slug:str}/categories/{category_id:uuid}/supply"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def show(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, category_id: FromPath[UUID]
    ) -> Response[str]:
        """Raises: NotFound."""
        return page(request, _PAGE, **await _context(request, session, tenant, category_id))

    @post(guards=[may(Permission.SUPPLY_EDIT)])
    async def change(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        category_id: FromPath[UUID],
    ) -> Response[Any]:
        """Sent twice, it says the same. Raises: NotFound."""
        context = await _context(request, session, tenant, category_id)
        form = parse(CategoryRouteForm, sent, retry=_PAGE, **context)
        await service.supply_category(session, category_id, policy=form.policy, own_stock=form.own_stock, actor=actor)
        return see_other(request, f"/m/{tenant.slug}/categories", flash=N_("Saved. New orders follow it."))


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, category_id: UUID) -> dict[str, Any]:
    return {
        **shared(request, tenant),
        "category": await catalog.category_or_404(session, category_id),
        "said": await service.said_by_category(session, category_id),
        "policies": _policies(),
        "own_stocks": _own_stocks(),
    }


def choices_of_route(said: CategoryRoute | None) -> dict[str, Any]:
    """What a SKU's own route may say, with "as the category says" before the rest, and what that is now."""
    policy = RoutePolicy(said.policy) if said else RoutePolicy.CHEAPEST
    own_stock = OwnStock(said.own_stock) if said else OwnStock.FIRST
    return {
        "policies": [_as_category(POLICY_WORDS[policy][0]), *_policies()],
        "own_stocks": [_as_category(OWN_STOCK_WORDS[own_stock][0]), *_own_stocks()],
        "category_default": "category" if said else RoutePolicy.CHEAPEST.value,
    }


def _as_category(word: str) -> Choice:
    return "category", gettext(_AS_CATEGORY), gettext(word)


def _policies() -> list[Choice]:
    return [(policy.value, gettext(word), gettext(note)) for policy, (word, note) in POLICY_WORDS.items()]


def _own_stocks() -> list[Choice]:
    return [(own_stock.value, gettext(word), gettext(note)) for own_stock, (word, note) in OWN_STOCK_WORDS.items()]
