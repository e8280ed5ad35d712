"""The merchants' side: signed requests, each with the misbehaviour the script has for it."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from litestar import Response, get, post

from simulators.gateway.book import Refusal, no_such_payment, no_such_refund
from simulators.gateway.desk import Desk, Json, asker, desk_of, refused
from simulators.gateway.faults import AnyRequest, Dropped, after_effect, before_effect, untrue
from simulators.gateway.requests import Action, NewPayment, NewRefund, Step

Asked = TypeVar("Asked")
MAX_BODY_BYTES = 64 * 1024
NONSENSE: Any = "<html><body><h1>Welcome</h1></body></html>"
"""What a captive portal or a load balancer would say in our place, with 200."""


@post("/accounts", status_code=201)
async def open_account(request: AnyRequest) -> Json:
    """Anybody gets a fresh account: nothing real is at stake here."""
    return dict(desk_of(request).book.open_account())


@post("/payments", status_code=200)
async def create_payment(request: AnyRequest) -> Response[Json]:
    desk = desk_of(request)
    return await _answer(
        request,
        "create",
        read=lambda body: _read(body, NewPayment),
        number=lambda asked: asked.out_no,
        effect=lambda merchant_id, asked, _action: desk.payment_document(desk.book.create_payment(merchant_id, asked)),
    )


@get("/payments/{out_no:str}")
async def show_payment(request: AnyRequest, out_no: str) -> Response[Json]:
    def found(merchant_id: str, _asked: str, action: Action) -> Json:
        desk = desk_of(request)
        if action.not_found:
            raise no_such_payment(out_no)
        return desk.payment_document(desk.book.payment(merchant_id, out_no))

    return await _answer(request, "query", read=lambda _body: out_no, number=str, effect=found)


@post("/payments/{out_no:str}/close", status_code=200)
async def close_payment(request: AnyRequest, out_no: str) -> Response[Json]:
    desk = desk_of(request)
    return await _answer(
        request,
        "close",
        read=lambda _body: out_no,
        number=str,
        effect=lambda merchant_id, _asked, _action: desk.payment_document(desk.book.close_payment(merchant_id, out_no)),
    )


@post("/refunds", status_code=200)
async def create_refund(request: AnyRequest) -> Response[Json]:
    desk = desk_of(request)

    def given(merchant_id: str, asked: NewRefund, action: Action) -> Json:
        refund = desk.book.create_refund(merchant_id, asked, pending_s=action.pending_ms / 1000)
        return desk.refund_document(refund)

    return await _answer(
        request, "refund", read=lambda body: _read(body, NewRefund), number=lambda asked: asked.out_no, effect=given
    )


@get("/refunds/{refund_no:str}")
async def show_refund(request: AnyRequest, refund_no: str) -> Response[Json]:
    def found(merchant_id: str, _asked: str, action: Action) -> Json:
        desk = desk_of(request)
        if action.not_found:
            raise no_such_refund(refund_no)
        return desk.refund_document(desk.book.refund(merchant_id, refund_no))

    return await _answer(request, "query_refund", read=lambda _body: refund_no, number=str, effect=found)


async def _answer(
    request: AnyRequest,
    step: Step,
    *,
    read: Callable[[bytes], Asked],
    number: Callable[[Asked], str],
    effect: Callable[[str, Asked, Action], Json],
) -> Response[Json]:
    """Check who asks, misbehave as scripted, and do what is asked in between."""
    desk: Desk = desk_of(request)
    try:
        merchant_id = await asker(request, desk.book)
        asked = read(await request.body())
    except Refusal as refusal:
        return refused(refusal)
    action = desk.script.take(step, merchant_id, number(asked))
    try:
        await before_effect(action, request)
        answer = _effect(action, lambda: effect(merchant_id, asked, action))
        await after_effect(action, request)
    except Dropped:
        return Response({}, status_code=503)  # goes nowhere: the connection is gone
    if action.http_500_after_effect:
        return Response({"error": "internal", "message": "Something went wrong here."}, status_code=500)
    if action.nonsense:
        return Response(NONSENSE, media_type="text/html")
    return answer


def _effect(action: Action, effect: Callable[[], Json]) -> Response[Json]:
    if action.decline:
        return refused(Refusal(422, "declined", action.decline))
    try:
        return Response(untrue(effect(), action.misstate))
    except Refusal as refusal:
        return refused(refusal)


def _read(body: bytes, kind: type[Asked]) -> Asked:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(400, "invalid", f"{error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, "invalid", "The body is not JSON.") from error
