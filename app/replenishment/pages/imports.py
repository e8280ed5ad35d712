"""Taking a line's card-keys in, at the cost that was agreed."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import asyncpg
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.catalog.pages.shared import base
from app.inventory.forms import ExpiryForm
from app.inventory.pages.uploading import MOST_BODY_BYTES, upload, upload_problem
from app.kernel.actor import Actor
from app.kernel.forms import LONGEST_VALUE, InvalidForm, RawForm, invalid, parse
from app.kernel.web import AnyRequest, page, see_other
from app.replenishment import queries, receiving
from app.replenishment.pages.asking import home, shared
from app.replenishment.receiving import File
from tenants.directory import Tenant
from tenants.session import raw

_FORM: Final = "replenishment/import.html"


class ReplenishmentImportPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/replenishments/{replenishment_no:str}/lines/{wanted_id:uuid}/imports"
    guards = (may(Permission.INVENTORY_IMPORT),)

    @get()
    async def new(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        replenishment_no: FromPath[str],
        wanted_id: FromPath[UUID],
    ) -> Response[str]:
        """The form that takes a line's keys in, at the agreed cost."""
        row = await queries.one_or_404(await raw(session), replenishment_no)
        return page(request, _FORM, **await _import_context(request, session, tenant, (row, wanted_id)))

    @post(request_max_body_size=MOST_BODY_BYTES)
    async def create(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        replenishment_no: FromPath[str],
        wanted_id: FromPath[UUID],
    ) -> Response[Any]:
        """Have the keys checked; the batch's own page shows the result and asks. Raises: NotFound, TakesNothingNow."""
        row = await queries.one_or_404(await raw(session), replenishment_no, lock=True)
        context = await _import_context(request, session, tenant, (row, wanted_id))
        file = await read_file(sent, _FORM, context)
        batch = await receiving.take_in(session, row, wanted_id, file, actor=actor)
        return see_other(request, f"{base(tenant)}/imports/{batch.batch_no}")


async def read_file(sent: RawForm, retry: str, context: dict[str, Any]) -> File:
    """The keys that were sent, and their last valid day. Raises: InvalidForm with every fault."""
    faults: dict[str, str] = {}
    form = None
    try:
        form = parse(ExpiryForm, sent)
    except InvalidForm as refusal:
        faults = refusal.errors
    body, name = await upload(sent)
    problem = upload_problem(sent, body)
    if problem or form is None:
        more = invalid(sent, {"file": problem} if problem else {}, retry=retry, **context)
        raise InvalidForm({**more.errors, **faults}, more.values, retry, context)
    return File(body, name, form.expires_on)


async def _import_context(
    request: AnyRequest, session: AsyncSession, tenant: Tenant, of: tuple[asyncpg.Record, UUID]
) -> dict[str, Any]:
    row, wanted_id = of
    return {
        **shared(request, tenant),
        "row": row,
        "line": await queries.line_or_404(await raw(session), row["id"], wanted_id),
        "here": f"{home(tenant)}/{row['replenishment_no']}",
        "longest_paste": LONGEST_VALUE,
    }
