"""Signed notices of suppliers. A notice is a hint: it is checked, bound to its connection and our number, and then the supplier is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import structlog
from litestar import Controller, Request, Response, post
from litestar.params import FromPath

from app.fulfillment import attempts, told_uses
from app.kernel import clock
from app.kernel.errors import NotFound
from app.kernel.tasks import Lane, add_task
from app.suppliers import noticing
from app.suppliers.connecting import Opened, connection_of
from app.suppliers.connectors.port import Connector, Forged, GoodsNotice, OtherNotice, PurchaseNotice, RawNotice, UseNotice
from tenants import routing
from tenants.directory import PLATFORM, Tenant
from tenants.session import Tx, tenant_tx

_log = structlog.get_logger(__name__)
_LARGEST_NOTICE = 64 * 1024
N = TypeVar("N", bound=PurchaseNotice | GoodsNotice | UseNotice | OtherNotice)


class SupplyNotices(Controller):
    """One address per tenant and connection: a notice sent to another connection's address is a forgery there."""

    path = "/hooks/{tenant_slug:str}/supply/{connection_id:uuid}"
    opt = {"signed": True, "public": True}  # noqa: RUF012

    @post(request_max_body_size=_LARGEST_NOTICE, status_code=200)
    async def take(
        self, request: Request[Any, Any, Any], tenant_slug: FromPath[str], connection_id: FromPath[UUID]
    ) -> Response[bytes]:
        """Verify on the raw bytes with this connection's own secrets, have the purchase asked about, then acknowledge. A forgery leaves no row."""
        return await _taken(request, tenant_slug, connection_id, _PURCHASES)

    @post("/goods", request_max_body_size=_LARGEST_NOTICE, status_code=200)
    async def take_goods(
        self, request: Request[Any, Any, Any], tenant_slug: FromPath[str], connection_id: FromPath[UUID]
    ) -> Response[bytes]:
        """As `take`, of what the supplier says of its goods: written down once, applied, then acknowledged. A forgery leaves no row."""
        return await _taken(request, tenant_slug, connection_id, _GOODS)

    @post("/uses", request_max_body_size=_LARGEST_NOTICE, status_code=200)
    async def take_use(
        self, request: Request[Any, Any, Any], tenant_slug: FromPath[str], connection_id: FromPath[UUID]
    ) -> Response[bytes]:
        """As `take`, of what the supplier says was used: written down once, then acknowledged. A forgery leaves no row."""
        return await _taken(request, tenant_slug, connection_id, _USES)


@dataclass(frozen=True, slots=True)
class _Kind(Generic[N]):
    """One kind of message: how it is verified, what follows from a genuine one, and what its sender waits for."""

    verify: Callable[[Connector, RawNotice, datetime], N | Forged]
    act: Callable[[Tx, UUID, N], Awaitable[None]]
    acknowledge: Callable[[Connector], tuple[int, bytes, str]]


async def _taken(request: Request[Any, Any, Any], tenant_slug: str, connection_id: UUID, kind: _Kind[N]) -> Response[bytes]:
    tenant, connection = await _opened(tenant_slug, connection_id)
    if tenant is None or connection is None:
        return Response(b"", status_code=404)
    notice = kind.verify(connection.connector, await _raw(request), clock.now())
    if isinstance(notice, Forged):
        return _forged(request, connection, notice)
    async with tenant_tx(tenant) as tx:
        await kind.act(tx, connection_id, notice)
    _log.info("supply_notice.taken", connection=str(connection_id), kind=type(notice).__name__)
    status, body, media_type = kind.acknowledge(connection.connector)
    return Response(body, status_code=status, media_type=media_type)


async def _raw(request: Request[Any, Any, Any]) -> RawNotice:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return RawNotice(headers, request.url.query, await request.body())


def _forged(request: Request[Any, Any, Any], connection: Opened, notice: Forged) -> Response[bytes]:
    address = request.scope["state"]["address"]
    _log.warning("supply_notice.forged", connection=str(connection.id), reason=notice.says, address=address)
    return Response(b"", status_code=401)


async def _opened(tenant_slug: str, connection_id: UUID) -> tuple[Tenant | None, Opened | None]:
    tenant = await routing.by_slug(tenant_slug)
    if tenant is None or tenant is PLATFORM:
        return None, None
    async with tenant_tx(tenant) as tx:
        try:
            return tenant, await connection_of(tx, connection_id)
        except NotFound:
            return tenant, None


async def _ask(tx: Tx, connection_id: UUID, notice: PurchaseNotice | GoodsNotice | OtherNotice) -> None:
    """Ask about the purchase, where this connection made it under this number; read the goods again. A stranger's number changes nothing."""
    match notice:
        case OtherNotice():
            pass
        case GoodsNotice():
            await add_task(tx, "suppliers.sync", lane=Lane.BULK, subject_id=connection_id)
        case PurchaseNotice():
            attempt_id = await _attempt_of(tx, connection_id, notice)
            if attempt_id is not None:
                await attempts.ask_now(tx, attempt_id)


async def _use(tx: Tx, connection_id: UUID, notice: UseNotice | OtherNotice) -> None:
    if isinstance(notice, UseNotice):
        await told_uses.take(tx, connection_id, notice)


async def _attempt_of(tx: Tx, connection_id: UUID, notice: PurchaseNotice) -> UUID | None:
    """By our number, and the supplier's where both name one; where the supplier names only its own by that one, among those not decided."""
    if notice.out_no:
        found: UUID | None = await tx.fetchval(_BY_OUR_NUMBER, notice.out_no, connection_id, notice.supplier_ref)
    else:
        found = await tx.fetchval(_BY_THEIR_NUMBER, notice.supplier_ref, connection_id)
    return found


_BY_OUR_NUMBER = """
select id
from attempt
where out_no = $1 and connection_id = $2 and coalesce(supplier_ref = $3, true)
"""
_BY_THEIR_NUMBER = """
select id
from attempt
where supplier_ref = $1 and connection_id = $2 and state in ('sending', 'accepted', 'unknown')
order by id
limit 1
"""
_PURCHASES: _Kind[PurchaseNotice | GoodsNotice | OtherNotice] = _Kind(
    lambda one, raw, now: one.verify_notice(raw, now), _ask, lambda one: one.acknowledge()
)
_GOODS: _Kind[GoodsNotice] = _Kind(
    lambda one, raw, now: one.verify_goods_notice(raw, now), noticing.take, lambda one: one.acknowledge_goods()
)
_USES: _Kind[UseNotice | OtherNotice] = _Kind(
    lambda one, raw, now: one.verify_use_notice(raw, now), _use, lambda one: one.acknowledge_use()
)
