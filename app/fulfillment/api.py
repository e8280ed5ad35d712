"""Codes at tills: looking one up, using it once under the till's own reference, taking the last use back, and the list of uses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import BaseModel, StringConstraints

from app.access import repeats
from app.access.machines import machine
from app.access.models import Scope
from app.fulfillment import minting, redeeming, uses
from app.fulfillment.minting import CannotUseNow, GivenBack, NoSuchCode, ReferenceReused, Revoked, UsedUp
from app.fulfillment.redeeming import NotTheLastUse, TooLateToVoid
from app.kernel import api
from app.kernel.actor import Actor
from app.kernel.api import ROOT, Body, InvalidBody, operation
from app.kernel.errors import N_, NotFound
from app.kernel.i18n import gettext
from app.kernel.rates import Limit, count
from app.kernel.web import AnyRequest
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_WRONG_CODES = Limit("api.wrong_code", 300, 600)
"""For one client: eighty bits are not guessed, and who tries shall not try for ever."""
Code = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"[0-9A-Za-z]")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f]*$")]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-~]*$")]
_NOT_A_CURSOR = N_("This is not where a page of the list ended.")
_NOT_A_LIMIT = N_("From 1 to %(most)s.")


class CodeLookUp(Body):
    """A code as it was typed or scanned: blanks, dashes and small letters are forgiven. With a place, its rules are asked too."""

    code: Code
    place: Words | None = None


class FirstUse(BaseModel):
    at: datetime
    place: str


class CodeFound(BaseModel):
    masked: str
    state: Literal["usable", "not_now", "used_up", "revoked", "given_back"]
    why: str
    product: str
    sku: str
    kind: str
    order_no: str
    most_uses: int
    uses_left: int
    places: list[str]
    last_day: date | None
    first_use: FirstUse | None


class NewRedemption(Body):
    """One use, here and now. `reference` is the till's own number of it, another for each."""

    code: Code
    place: Words
    reference: Reference


class Redemption(BaseModel):
    id: UUID
    masked: str
    product: str
    sku: str
    order_no: str
    use_no: int
    most_uses: int
    at: datetime
    place: str
    reference: str
    who: str
    voidable_until: datetime
    voided_at: datetime | None
    void_reason: str


class Redemptions(BaseModel):
    """A page of uses, oldest first. `next` asks for the one after it; there is none when it is null."""

    items: list[Redemption]
    next: UUID | None


class VoidOrder(Body):
    reason: Words


_USING = (NoSuchCode, UsedUp, CannotUseNow, Revoked, GivenBack, ReferenceReused)
_PAGE = {
    "after": {"type": "string", "format": "uuid"},
    "limit": {"type": "integer", "minimum": 1, "maximum": uses.MOST_LISTED},
    "reference": {"type": "string", "maxLength": 64},
}


class RedemptionApi(Controller):
    path = ROOT

    @post(
        "/code-look-ups",
        guards=[machine(Scope.REDEMPTIONS_READ)],
        opt=operation(
            "What a code is good for; nothing is used",
            scope=Scope.REDEMPTIONS_READ.value,
            body=CodeLookUp,
            answer=CodeFound,
            refusals=(NoSuchCode,),
        ),
    )
    async def look_up(self, request: AnyRequest, tenant: Tenant, actor: Actor) -> Response[Any]:
        body = await api.read(request, CodeLookUp)
        try:
            async with tenant_tx(tenant) as tx:
                found = await redeeming.look_up(tx, typed=body.code, place=body.place or "")
        except NoSuchCode:
            await count(tenant, _WRONG_CODES, str(actor.id))
            raise
        return api.answered(CodeFound(**found))

    @post(
        "/redemptions",
        guards=[machine(Scope.REDEMPTIONS_WRITE)],
        opt=operation(
            "Use a code once, at a place",
            scope=Scope.REDEMPTIONS_WRITE.value,
            body=NewRedemption,
            answer=Redemption,
            refusals=_USING,
            is_idempotent=True,
        ),
    )
    async def redeem(self, request: AnyRequest, tenant: Tenant, actor: Actor) -> Response[Any]:
        """A refusal of what was used up says when and where that was, under `details`."""
        body = await api.read(request, NewRedemption)

        async def use(tx: Tx) -> Redemption:
            used = await minting.use(tx, typed=body.code, place=body.place, actor=actor, reference=body.reference)
            return _redemption(await uses.use_or_404(tx, used.use_id))

        return await repeats.once(request, tenant, body, use)

    @post(
        "/redemptions/{use_id:uuid}/void",
        guards=[machine(Scope.REDEMPTIONS_WRITE)],
        opt=operation(
            "Take the last use of a code back, within half an hour",
            scope=Scope.REDEMPTIONS_WRITE.value,
            body=VoidOrder,
            answer=Redemption,
            refusals=(NotFound, NotTheLastUse, TooLateToVoid),
            is_idempotent=True,
        ),
    )
    async def void(self, request: AnyRequest, tenant: Tenant, actor: Actor, use_id: FromPath[UUID]) -> Response[Any]:
        body = await api.read(request, VoidOrder)

        async def take_back(tx: Tx) -> Redemption:
            return _redemption(await redeeming.void(tx, use_id, reason=body.reason, actor=actor))

        return await repeats.once(request, tenant, body, take_back)

    @get(
        "/redemptions",
        guards=[machine(Scope.REDEMPTIONS_READ)],
        opt=operation(
            "Uses of codes, oldest first; those taken back among them",
            scope=Scope.REDEMPTIONS_READ.value,
            answer=Redemptions,
            refusals=(InvalidBody,),
            query=_PAGE,
        ),
    )
    async def index(self, request: AnyRequest, tenant: Tenant) -> Response[Any]:
        after, limit = _page(request.query_params)
        reference = request.query_params.get("reference", "").replace("\x00", "")[:64]
        async with tenant_tx(tenant) as tx:
            rows = await uses.listed(tx, after=after, reference=reference, limit=limit + 1)
        items = [_redemption(row) for row in rows[:limit]]
        return api.answered(Redemptions(items=items, next=items[-1].id if len(rows) > limit else None))


def _page(query: Mapping[str, str]) -> tuple[UUID | None, int]:
    """Where a page begins and how long it is. Raises: InvalidBody."""
    faults, after, limit = [], None, query.get("limit", str(uses.MOST_LISTED))
    if named := query.get("after"):
        try:
            after = UUID(named)
        except ValueError:
            faults.append({"path": "/after", "message": gettext(_NOT_A_CURSOR)})
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= uses.MOST_LISTED):
        faults.append({"path": "/limit", "message": gettext(_NOT_A_LIMIT) % {"most": uses.MOST_LISTED}})
    if faults:
        raise InvalidBody(faults)
    return after, int(limit)


def _redemption(row: Any) -> Redemption:
    return Redemption(
        id=row["id"],
        masked=row["masked"],
        product=row["product_name"],
        sku=row["sku_name"],
        order_no=row["order_no"],
        use_no=row["use_no"],
        most_uses=row["most_uses"],
        at=row["at"],
        place=row["place"],
        reference=row["reference"],
        who=row["who"],
        voidable_until=redeeming.voidable_until(row["at"]),
        voided_at=row["voided_at"],
        void_reason=row["void_reason"],
    )
