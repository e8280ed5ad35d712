"""The shop's shelves: home, categories, search, and one product."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get
from litestar.params import FromPath

from app.insight import searches
from app.kernel.errors import NotFound
from app.kernel.forms import HasInvisibleSign
from app.kernel.web import AnyRequest, SparingHandler, page
from app.storefront.opening import shelf_in
from app.storefront.shelf import Shelf, Shelved
from app.storefront.showing import covers, product_page
from tenants.directory import Tenant
from tenants.session import tenant_tx

_ON_HOME = 40
_FOUND_AT_ONCE = 60
_LONGEST_QUERY = 60


class ShelfPages(Controller):
    """What is on sale."""

    @get("/", handler_class=SparingHandler)
    async def home(self, request: AnyRequest, tenant: Tenant) -> Response[str]:
        shelf = shelf_in(request)
        shown = list(shelf.products.values())
        goods = await covers(request, shown[:_ON_HOME])
        return page(request, "storefront/home.html", goods=goods, more=len(shown) > _ON_HOME, **_categories(shelf))

    @get("/categories")
    async def categories(self, request: AnyRequest, tenant: Tenant) -> Response[str]:
        shelf = shelf_in(request)
        counts = {category_id: len(_in_category(shelf, category_id)) for category_id, _ in shelf.categories}
        return page(request, "storefront/categories.html", counts=counts, total=len(shelf.products), **_categories(shelf))

    @get("/categories/{category_id:uuid}")
    async def category(self, request: AnyRequest, tenant: Tenant, category_id: FromPath[UUID]) -> Response[str]:
        shelf = shelf_in(request)
        name = next((name for known, name in shelf.categories if known == category_id), None)
        if name is None:
            raise NotFound
        goods = await covers(request, _in_category(shelf, category_id)[:_FOUND_AT_ONCE])
        return page(request, "storefront/category.html", name=name, goods=goods, **_categories(shelf, category_id))

    @get("/search")
    async def search(self, request: AnyRequest, tenant: Tenant) -> Response[str]:
        shelf, query = shelf_in(request), request.query_params.get("q", "").strip()
        if "\x00" in query:
            raise HasInvisibleSign
        query = query[:_LONGEST_QUERY]
        found = [product for product in shelf.products.values() if searches.finds(query, _text_of(product))]
        async with tenant_tx(tenant) as tx:
            await searches.count(tx, query, found=len(found))
        goods = await covers(request, found[:_FOUND_AT_ONCE])
        return page(request, "storefront/search.html", query=query, goods=goods, found=len(found), **_categories(shelf))

    @get("/products/{product_id:uuid}", handler_class=SparingHandler)
    async def product(self, request: AnyRequest, product_id: FromPath[UUID]) -> Response[str]:
        shelf = shelf_in(request)
        return await product_page(request, shelf, shelf.product_or_404(product_id))

    @get("/{rest:path}")
    async def nothing(self) -> Response[str]:
        """Any other address, so that the answer wears the shop's own face."""
        raise NotFound


def _categories(shelf: Shelf, current: UUID | None = None) -> dict[str, Any]:
    """The row of categories; those with nothing on sale are left out of it."""
    filled = {product.category_id for product in shelf.products.values()}
    return {"categories": [pair for pair in shelf.categories if pair[0] in filled], "current": current}


def _in_category(shelf: Shelf, category_id: UUID) -> list[Shelved]:
    return [product for product in shelf.products.values() if product.category_id == category_id]


def _text_of(product: Shelved) -> str:
    """What a search looks into."""
    return f"{product.name} {product.summary} {' '.join(offer.sku_name for offer in product.offers)}"
