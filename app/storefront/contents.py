"""What a link opens: one page per delivered unit, whose address is secret as its order's is. Looking at the page costs nothing; each opening counts."""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import quote
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import Provide
from litestar.params import FromPath
from litestar.response import Stream

from app.catalog import contents
from app.fulfillment import opening
from app.fulfillment.minting import CannotUseNow, GivenBack, Revoked, UsedUp
from app.fulfillment.opening import File, Link
from app.kernel import rates
from app.kernel.errors import NotFound
from app.kernel.forms import Form, RawForm, parse
from app.kernel.rates import Limit
from app.kernel.vault import Keyring, keyring
from app.kernel.web import NO_STORE, AnyRequest, fragment, is_partial, page
from app.storefront.opening import OPEN_WHEN_CLOSED, shelf_in
from app.storefront.richtext import shown
from tenants.directory import Tenant
from tenants.session import tenant_tx

_WRONG_LINKS = Limit("content.wrong_link", 30, 600)
_OPENINGS = Limit("content.open", 60, 600)
_GONE = 410


class OpenForm(Form):
    """What is to be opened: a file, or the outside address."""

    file: UUID | None = None


def path_of(ring: Keyring, minted_id: UUID) -> str:
    """The secret address of one unit's page, on the shop's host."""
    return f"/content/{minted_id}/{ring.link_signature('minted_good', minted_id)}"


async def link_or_404(request: AnyRequest, tenant: Tenant, minted_id: FromPath[UUID]) -> Link:
    """The unit of a secret address. An unknown id and a wrong signature get one answer; wrong ones are counted. Raises: NotFound, TooMany."""
    async with tenant_tx(tenant) as tx:
        right = (await keyring(tx)).link_signature("minted_good", minted_id)
        if hmac.compare_digest(right.encode(), str(request.path_params["proof"]).encode()):
            return await opening.link_or_404(tx, minted_id)
    await rates.count(tenant, _WRONG_LINKS, request.scope["state"]["address"])
    raise NotFound


class ContentPages(Controller):
    path = "/content/{minted_id:uuid}/{proof:str}"
    opt = OPEN_WHEN_CLOSED
    dependencies = {"link": Provide(link_or_404)}  # noqa: RUF012

    @get()
    async def show(self, request: AnyRequest, link: Link) -> Response[str]:
        """What is left of it, and the way to open it; 410 once it does not open any more."""
        return _page(request, link)

    @post("/openings")
    async def open(self, request: AnyRequest, tenant: Tenant, link: Link, sent: RawForm) -> Response[Any]:
        """Open it once more: a file comes as a download, an address is shown as a link that leads there. Raises: NotFound, TooMany."""
        form = parse(OpenForm, sent)
        await rates.count(tenant, _OPENINGS, str(link.id))
        try:
            async with tenant_tx(tenant) as tx:
                opened = await opening.open_content(tx, link.id, file_id=form.file, address=request.scope["state"]["address"])
        except (UsedUp, Revoked, GivenBack, CannotUseNow):
            return _page(request, await link_or_404(request, tenant, link.id))
        if opened.file is not None:
            return _download(tenant, opened.file)
        return _page(request, await link_or_404(request, tenant, link.id), address=opened.address)


def _page(request: AnyRequest, link: Link, *, address: str = "") -> Response[str]:
    context: dict[str, Any] = {
        "link": link,
        "address": address,
        "path": f"/content/{link.id}/{request.path_params['proof']}",
        "usage": shown(link.usage_html) if link.usage_html else "",
        "support_contact": shelf_in(request).face.support_contact,
    }
    status = _GONE if link.why and link.why != "not_yet" and not address else 200
    if is_partial(request):
        return fragment(request, "storefront/_content.html", status=status, headers=NO_STORE, **context)
    return page(request, "storefront/content.html", status=status, headers=NO_STORE, **context)


def _download(tenant: Tenant, file: File) -> Stream:
    """A file's bytes, to be saved and not shown: no browser runs what is in it."""
    plain = file.name.encode("ascii", "replace").decode().replace("?", "_")
    headers = {
        **NO_STORE,
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file.name)}",
        "Content-Length": str(file.size_bytes),
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return Stream(contents.body_of(tenant, file.id), media_type=file.media_type, headers=headers, status_code=200)
