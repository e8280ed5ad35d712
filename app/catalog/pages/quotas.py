"""How many may be sold of what we make ourselves, SKU by SKU: a part of the pages of rules and of contents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog.models import Product
from app.inventory import queries as stock
from app.inventory import service as inventory
from app.kernel.forms import EMPTY_IS_NONE, Count, Form, RawForm, parse
from tenants.session import raw

NO_LIMIT = 1_000_000
"""So many may be sold ahead where the merchant sets no limit; saving the page fills it up again."""


class QuotaForm(Form):
    quota: Annotated[Annotated[Count, Field(le=NO_LIMIT)] | None, EMPTY_IS_NONE] = None


async def context_of(session: AsyncSession, product: Product) -> dict[str, Any]:
    """What `catalog/_quota.html` shows."""
    skus = product.on_shelf
    return {"skus": skus, "stock": await stock.stock_by_sku(session, [sku.id for sku in skus]), "no_limit": NO_LIMIT}


def read(sent: RawForm, *, retry: str, context: Mapping[str, Any]) -> dict[UUID, int]:
    """Each SKU's quota; what is left empty is no limit. Raises: InvalidForm."""
    given = {
        sku.id: parse(QuotaForm, RawForm({"quota": [sent.get(f"quota-{sku.id}")]}, {}), retry=retry, **context).quota
        for sku in context["skus"]
    }
    return {sku_id: NO_LIMIT if quota is None else quota for sku_id, quota in given.items()}


async def allow(session: AsyncSession, quotas: Mapping[UUID, int]) -> None:
    """Let so many be sold from now on. Locks: the stock rows, in SKU order."""
    tx = await raw(session)
    for sku_id in sorted(quotas):
        await inventory.allow(tx, sku_id=sku_id, units=quotas[sku_id])
