"""How the refusals of the gates are shown: those that have a way on lead there."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from litestar import Response

from app.access.addresses import way_back
from app.access.guards import LogInFirst, SecondFactorFirst, VerifyFirst
from app.access.one_time import LinkOver
from app.kernel import web
from app.kernel.errors import DomainError
from app.kernel.web import AnyRequest, page, see_other


def on_log_in_first(request: AnyRequest, refusal: DomainError) -> Response[Any]:
    """A page leads to the log-in and back; htmx is told to go there; anything that was sent gets the refusal itself."""
    return _lead(request, refusal, "/log-in?next=")


def on_verify_first(request: AnyRequest, refusal: DomainError) -> Response[Any]:
    """The page that waits for the verification mail, with a button to have it sent again."""
    return _lead(request, refusal, "/sign-up/sent?next=")


def on_second_factor_first(request: AnyRequest, refusal: DomainError) -> Response[Any]:
    return page(request, "access/second_factor_first.html", status=refusal.status)


def on_link_over(request: AnyRequest, refusal: DomainError) -> Response[Any]:
    return page(request, "access/link_over.html", status=refusal.status)


def _lead(request: AnyRequest, refusal: DomainError, to: str) -> Response[Any]:
    path, query = request.scope["path"], request.scope["query_string"].decode("latin-1")
    if "hx-request" in request.headers:
        if web.is_partial(request) or request.method not in web.READS:
            shown = urlsplit(request.headers.get("hx-current-url", ""))
            path, query = shown.path, shown.query
        return Response(None, status_code=refusal.status, headers={"HX-Redirect": _to(to, path, query)})
    wants = request.headers.get("accept", "")
    if request.method in web.READS and ("text/html" in wants or "*/*" in wants or not wants):
        return see_other(request, _to(to, path, query))
    return web.on_refusal(request, refusal)


def _to(to: str, path: str, query: str) -> str:
    back = way_back(f"{path}?{query}" if query else path) or way_back(path)
    return to + quote(back, safe="/") if back else to.partition("?")[0]


HANDLERS: dict[int | type[Exception], Any] = {
    LogInFirst: on_log_in_first,
    VerifyFirst: on_verify_first,
    SecondFactorFirst: on_second_factor_first,
    LinkOver: on_link_over,
}
"""For the composition root: the nearest class of a refusal decides."""
