"""The buyers' side: one page, which works without scripts."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from babel.numbers import get_currency_precision
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Response, get, post
from litestar.response import Redirect

from simulators.gateway.book import PAID_STATES, Refusal, Row
from simulators.gateway.desk import desk_of
from simulators.gateway.faults import AnyRequest

PAGES = Path(__file__).parent / "pages"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@get("/pay/{token:str}")
async def show_pay(request: AnyRequest, token: str) -> Response[str]:
    return _page(request, desk_of(request).book.payment_of_token(token))


@post("/pay/{token:str}", status_code=303)
async def pay(request: AnyRequest, token: str) -> Response[Any]:
    """Pay, and go back to the shop. Paying twice is paying once; what has expired is shown instead."""
    book = desk_of(request).book
    payment = book.payment_of_token(token)
    if payment is None:
        return _page(request, None)
    try:
        paid = book.pay(payment)
    except Refusal:
        return _page(request, book.payment_of_token(token))
    return Redirect(paid["return_url"], status_code=303)


@post("/pay/{token:str}/cancel", status_code=303)
async def cancel(request: AnyRequest, token: str) -> Response[Any]:
    """Go back unpaid. The payment stays open: the buyer may still change his mind."""
    payment = desk_of(request).book.payment_of_token(token)
    return _page(request, None) if payment is None else Redirect(payment["return_url"], status_code=303)


@get("/pay.css", media_type="text/css", sync_to_thread=False)
def style() -> Response[bytes]:
    return Response(_STYLE, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


def _page(request: AnyRequest, payment: Row | None) -> Response[str]:
    language = _language(request)
    situation = _situation(payment)
    html = _TEMPLATES.get_template("pay.html").render(
        words=WORDS[language],
        language=language,
        situation=situation,
        payment=payment,
        amount="" if payment is None else amount_text(payment["amount_minor"], payment["currency"]),
    )
    status = {"open": 200, "paid": 200, "closed": 410, "missing": 404}[situation]
    return Response(html, media_type=MediaType.HTML, status_code=status, headers=HEADERS)


def _situation(payment: Row | None) -> str:
    if payment is None:
        return "missing"
    if payment["state"] in PAID_STATES:
        return "paid"
    return "open" if payment["state"] == "created" else "closed"


def _language(request: AnyRequest) -> str:
    asked = request.query_params.get("lang", "") or request.headers.get("accept-language", "")
    return "en" if asked.lower().startswith("en") else "zh"


def amount_text(amount_minor: int, currency: str) -> str:
    places = get_currency_precision(currency)
    amount = Decimal(amount_minor).scaleb(-places)
    return f"¥{amount:,.{places}f}" if currency == "CNY" else f"{currency} {amount:,.{places}f}"


WORDS = {
    "zh": {
        "title": "沙箱收银台",
        "test": "测试环境，不会真的扣款。",
        "to_pay": "应付",
        "pay": "支付",
        "cancel": "取消",
        "number": "单号",
        "paid": "已支付",
        "paid_more": "款项已收到，可以回到店铺了。",
        "back": "回到店铺",
        "closed": "付款已关闭",
        "closed_more": "这笔付款已超时或已取消，没有扣款。请回店铺重新下单。",
        "missing": "找不到这笔付款",
        "missing_more": "链接不完整或已失效。请从店铺重新打开。",
        "other": "English",
    },
    "en": {
        "title": "Sandbox Pay",
        "test": "This is a test company: no real money moves.",
        "to_pay": "To pay",
        "pay": "Pay",
        "cancel": "Cancel",
        "number": "Number",
        "paid": "Paid",
        "paid_more": "The money has arrived. You can go back to the shop.",
        "back": "Back to the shop",
        "closed": "This payment is closed",
        "closed_more": "It has expired or was cancelled, and nothing was charged. Go back to the shop and order again.",
        "missing": "There is no such payment",
        "missing_more": "The link is incomplete or out of date. Open it from the shop again.",
        "other": "中文",
    },
}

_TEMPLATES = Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined)
_STYLE = (PAGES / "pay.css").read_bytes()
