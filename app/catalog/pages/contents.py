"""What a link product opens: an address elsewhere or files, for how long, how often, and how many may be sold."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog import contents, filetypes, minting, queries
from app.catalog.minting import MOST_USES, MintingRules
from app.catalog.models import DeliveryKind, Product
from app.catalog.pages import quotas
from app.catalog.pages.shared import base, shop_changed
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import EMPTY_IS_NONE, Count, Form, InvalidForm, OptionalDay, RawForm, fail, invalid, parse
from app.kernel.i18n import said
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import Tenant

_PAGE = "catalog/content.html"
_BODY = contents.LARGEST_BYTES + 64 * 1024
_REFUSALS = (
    contents.FileEmpty,
    contents.FileTooLarge,
    contents.FileRefused,
    contents.TooManyFiles,
    contents.StoreFull,
)
OPENINGS = 10
"""How often one bought link opens where the merchant says nothing else."""


def _address(value: str) -> str:
    if value and (fault := contents.address_fault(value)):
        raise fail(fault)
    return value


class ContentForm(Form):
    """An address, and how long and how often what was bought opens. Quotas are read by SKU."""

    address: Annotated[str, StringConstraints(max_length=500), AfterValidator(_address)] = ""
    valid_until: OptionalDay = None
    valid_days: Annotated[Annotated[Count, Field(ge=1, le=3650)] | None, EMPTY_IS_NONE] = None
    most_uses: Annotated[Count, BeforeValidator(lambda value: value or OPENINGS), Field(ge=1, le=MOST_USES)] = OPENINGS


class ContentPages(Controller):
    path = "/m/{tenant_slug:str}/products/{product_id:uuid}/content"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        """What is opened. Raises: NotFound for products that are no links."""
        product = await _link_or_404(session, product_id)
        return page(request, _PAGE, **await _context(request, session, tenant, product))

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
        product = await _link_or_404(session, product_id)
        context = await _context(request, session, tenant, product)
        form = parse(ContentForm, sent, retry=_PAGE, **context)
        allowed = quotas.read(sent, retry=_PAGE, context=context)
        rules = MintingRules(valid_until=form.valid_until, valid_days=form.valid_days, most_uses=form.most_uses)
        try:
            await contents.set_content(session, product_id, address=form.address, rules=rules, actor=actor)
        except contents.LastContent as refusal:
            raise invalid(sent, {"address": refusal.message}, retry=_PAGE, **context) from None
        await quotas.allow(session, allowed)
        await shop_changed(session, tenant)
        return see_other(request, _path(tenant, product_id), flash=N_("Saved."))

    @post("/files", guards=[may(Permission.CATALOG_EDIT)], request_max_body_size=_BODY)
    async def add(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        product_id: FromPath[UUID],
    ) -> Response[Any]:
        """Take a file in. The first one opens the shelf without limit, where nobody set one."""
        product = await _link_or_404(session, product_id)
        context = await _context(request, session, tenant, product)
        upload = sent.files.get("file")
        body = await upload.read(contents.LARGEST_BYTES + 1) if upload else b""
        try:
            await contents.add_file(session, product_id, named=upload.filename if upload else "", body=body, actor=actor)
        except _REFUSALS as refusal:
            raise InvalidForm({"file": said(refusal)}, {}, _PAGE, context) from None
        unset = {sku.id: quotas.NO_LIMIT for sku in context["skus"] if sku.id not in context["stock"]}
        await quotas.allow(session, unset)
        await shop_changed(session, tenant)
        return see_other(request, _path(tenant, product_id), flash=N_("Saved."))

    @post("/files/{file_id:uuid}/removal", guards=[may(Permission.CATALOG_EDIT)])
    async def remove(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        product_id: FromPath[UUID],
        file_id: FromPath[UUID],
    ) -> Response[Any]:
        await contents.remove_file(session, product_id, file_id, actor=actor)
        return see_other(request, _path(tenant, product_id), flash=N_("Taken away."))


def _path(tenant: Tenant, product_id: UUID) -> str:
    return f"{base(tenant)}/products/{product_id}/content"


async def _link_or_404(session: AsyncSession, product_id: UUID) -> Product:
    product = await queries.product_or_404(session, product_id)
    if product.delivery_kind != DeliveryKind.LINK:
        raise NotFound
    return product


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, product: Product) -> dict[str, Any]:
    return {
        "base": base(tenant),
        "product": product,
        "rules": minting.rules_of({"most_uses": OPENINGS, **product.minting}),
        "files": await contents.files_of(session, product.id),
        "kinds": filetypes.SOLD_AS,
        "most_files": contents.MOST_FILES,
        "most_mb": contents.LARGEST_BYTES // 1024**2,
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
        **await quotas.context_of(session, product),
    }
