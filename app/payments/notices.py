"""Signed notices of payment gateways. Answered only after the commit: what is acknowledged has happened."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from litestar import Controller, Request, Response, post
from litestar.params import FromPath

from app.kernel import clock
from app.kernel.batching import Batcher
from app.kernel.faults import fault
from app.payments.capturing import NoticeAnswer, take_notices
from app.payments.gateways.port import Forged, Gateway, PaymentNotice, RefundNotice
from app.payments.refunding import take_refund_notice
from app.payments.service import NoGateway, connection_of
from tenants import routing
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx

_log = structlog.get_logger(__name__)
_LARGEST_NOTICE = 16 * 1024
_KEPT_OPEN = 1000
_GATHER_MS = 10
"""How long notices wait for more of the same merchant: ten booked together cost little more than two."""


class Notices(Controller):
    """One address per tenant and connection: a notice sent to another connection's address is a forgery there."""

    path = "/hooks/{tenant_slug:str}/{connection_id:uuid}"
    opt = {"signed": True, "public": True}  # noqa: RUF012

    @post(request_max_body_size=_LARGEST_NOTICE, status_code=200)
    async def take(
        self, request: Request[Any, Any, Any], tenant_slug: FromPath[str], connection_id: FromPath[UUID]
    ) -> Response[bytes]:
        """Verify on the raw bytes with this connection's own key, record, then acknowledge. A forgery leaves no row."""
        tenant = await routing.by_slug(tenant_slug)
        if tenant is None or tenant is PLATFORM:
            return Response(b"", status_code=404)
        try:
            gateway = await _gateway(tenant, connection_id)
        except NoGateway:
            return Response(b"", status_code=404)
        notice = gateway.verify_notice(dict(request.headers), await request.body(), clock.now())
        if isinstance(notice, Forged):
            _log.warning(
                "notice.forged", connection=str(connection_id), reason=notice.reason, address=request.scope["state"]["address"]
            )
            return Response(b"", status_code=401)
        if not await _record(tenant, connection_id, notice):
            return Response(b"", status_code=422)
        status, body = gateway.acknowledge()
        return Response(body, status_code=status, media_type="application/json")


_gateways: dict[tuple[UUID, UUID], Gateway] = {}


async def _gateway(tenant: Tenant, connection_id: UUID) -> Gateway:
    """A connection's gateway, kept open: its credentials never change, new ones are a new connection. Raises: NoGateway."""
    key = (tenant.id, connection_id)
    if key not in _gateways:
        if len(_gateways) > _KEPT_OPEN:
            _gateways.clear()
        async with tenant_tx(tenant) as tx:
            _gateways[key] = (await connection_of(tx, connection_id)).gateway
    return _gateways[key]


async def _record(tenant: Tenant, connection_id: UUID, notice: PaymentNotice | RefundNotice) -> bool:
    match notice:
        case PaymentNotice():
            answer = await _line(tenant).ask((connection_id, notice))
            is_taken = answer in (NoticeAnswer.TAKEN, NoticeAnswer.REPEATED)
        case RefundNotice():
            async with tenant_tx(tenant) as tx:
                is_taken = await take_refund_notice(tx, connection_id, notice.refund_no, notice.amount_minor)
    _log.info("notice.taken" if is_taken else "notice.refused", connection=str(connection_id), number=notice.out_no)
    return is_taken


_Told = tuple[UUID, PaymentNotice]
_lines: dict[UUID, Batcher[_Told, NoticeAnswer]] = {}


def _line(tenant: Tenant) -> Batcher[_Told, NoticeAnswer]:
    """The payment notices of a tenant wait in one line; two about one payment never share a transaction."""
    if tenant.id not in _lines:
        if len(_lines) > _KEPT_OPEN:
            _lines.clear()
        _lines[tenant.id] = Batcher(
            together=partial(_take_together, tenant),
            alone=partial(_take_alone, tenant),
            key=lambda told: told[1].out_no,
            at_once=1,
            gather_s=_GATHER_MS / 1000,
        )
    return _lines[tenant.id]


async def _take_together(tenant: Tenant, told: Sequence[_Told]) -> list[NoticeAnswer]:
    async with tenant_tx(tenant) as tx:
        answers = await take_notices(tx, told)
        await fault("capture.before_commit")
    await fault("capture.committed")
    return answers


async def _take_alone(tenant: Tenant, told: _Told) -> NoticeAnswer:
    return (await _take_together(tenant, [told]))[0]
