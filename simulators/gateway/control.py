"""The testers' side: script misbehaviour, pay as a buyer would, read the whole book. Served only with `--control`."""

from typing import Any

from litestar import Response, Router, delete, get, post
from litestar.params import Parameter

from simulators.gateway.book import Refusal
from simulators.gateway.desk import Json, desk_of, refused
from simulators.gateway.faults import AnyRequest
from simulators.gateway.requests import Pay, Replay, Rule

MAX_ROWS = 20_000


@post("/script", status_code=201)
async def add_rule(request: AnyRequest, data: Rule) -> Json:
    return {"rules": desk_of(request).script.add(data)}


@delete("/script")
async def clear_rules(request: AnyRequest) -> None:
    desk_of(request).script.clear()


@post("/pay", status_code=200)
async def pay(request: AnyRequest, data: Pay) -> Response[Json]:
    desk = desk_of(request)
    found = [row for row in desk.book.payments_numbered(data.out_no) if data.merchant_id in (None, row["merchant_id"])]
    if len(found) != 1:
        error = "ambiguous" if found else "no_such_payment"
        return refused(Refusal(404, error, f"{len(found)} payments are numbered {data.out_no}."))
    try:
        return Response(desk.payment_document(desk.book.pay(found[0])))
    except Refusal as refusal:
        return refused(refusal)


@post("/replay", status_code=200)
async def replay(request: AnyRequest, data: Replay) -> Json:
    desk = desk_of(request)
    events = desk.book.events_numbered(data.out_no)
    return {"statuses": [await desk.sender.resend(event, data.times, data.notice_url) for event in events]}


@get("/book")
async def show_book(
    request: AnyRequest, out_no: str | None = None, limit: int = Parameter(default=MAX_ROWS, ge=1, le=MAX_ROWS)
) -> Json:
    """Every effect, newest first, of one payment or of all. Secrets are not shown."""
    return {name: _rows(request, query, out_no, limit) for name, query in BOOK.items()}


@get("/totals")
async def show_totals(request: AnyRequest) -> Json:
    """What a bench or a smoke test counts, without reading the rows."""
    return {name: dict(_rows(request, query, None, 1)[0]) for name, query in TOTALS.items()}


def _rows(request: AnyRequest, query: str, out_no: str | None, limit: int) -> list[dict[str, Any]]:
    rows = desk_of(request).book.db.execute(query, {"out_no": out_no, "limit": limit}).fetchall()
    return [dict(row) for row in rows]


control = Router("/control", route_handlers=[add_rule, clear_rules, pay, replay, show_book, show_totals])

BOOK = {
    "payments": """
select merchant_id, out_no, gateway_ref, amount_minor, currency, subject, state, gateway_txn,
       refunded_minor, created_at, expires_at, paid_at, closed_at, notice_url, return_url
from payment
where :out_no is null or out_no = :out_no
order by id desc
limit :limit
""",
    "captures": """
select payment.merchant_id, payment.out_no, capture.gateway_txn, capture.amount_minor, capture.currency, capture.created_at
from capture
join payment on payment.id = capture.payment_id
where :out_no is null or payment.out_no = :out_no
order by payment.id desc
limit :limit
""",
    "refunds": """
select merchant_id, refund_no, out_no, gateway_refund_ref, amount_minor, currency, reason, state, created_at, succeeded_at
from refund
where :out_no is null or out_no = :out_no
order by id desc
limit :limit
""",
    "notices": """
select event.event_id, event.merchant_id, event.out_no, event.refund_no, event.kind, event.state, event.notice_url,
       sent.at, sent.status, sent.answer, sent.altered
from event
left join sent on sent.event_id = event.event_id
where :out_no is null or event.out_no = :out_no
order by sent.id desc
limit :limit
""",
}

TOTALS = {
    "payments": "select count(*) as count, coalesce(sum(amount_minor), 0) as total_minor from payment",
    "captures": "select count(*) as count, coalesce(sum(amount_minor), 0) as total_minor from capture",
    "refunds": """
select count(*) as count, coalesce(sum(amount_minor), 0) as total_minor
from refund
where state = 'succeeded'
""",
    "events": """
select count(*) as count,
       coalesce(sum(state = 'acknowledged'), 0) as acknowledged,
       coalesce(sum(state = 'open'), 0) as open,
       coalesce(sum(state = 'given_up'), 0) as given_up
from event
""",
    "sent": "select count(*) as count, coalesce(sum(status between 200 and 299), 0) as accepted from sent",
}
