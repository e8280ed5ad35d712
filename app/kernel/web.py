"""What every page uses: rendering, redirects, the sent form, the request's transaction, and the one place refusals become answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, cast
from urllib.parse import urlencode

import structlog
from litestar import MediaType, Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie, UploadFile
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from markupsafe import Markup
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession

from app.kernel import csrf, i18n, templating
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError
from app.kernel.forms import InvalidForm, RawForm, clean
from app.settings import settings
from tenants.directory import Tenant
from tenants.session import AWAY, tenant_session

_log = structlog.get_logger("http")
AnyRequest = Request[Any, Any, Any]
NO_STORE = {"Cache-Control": "no-store"}
READS = frozenset({"GET", "HEAD"})


# Answers


def page(
    request: AnyRequest, template: str, /, *, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any
) -> Response[str]:
    """A full page. The shell (navigation, shop, tenant, actor) is what the surface put in the request's state."""
    html = templating.render(template, **{**_context(request), "status": status, **context})
    return answer(request, html, status=status, headers=headers)


def fragment(
    request: AnyRequest, template: str, /, *, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any
) -> Response[str]:
    """One fragment, for htmx; the page that a plain request gets includes the same one."""
    return answer(
        request, templating.render(template, **{**_context(request), "status": status, **context}), status=status, headers=headers
    )


def answer(request: AnyRequest, html: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[str]:
    """HTML, with the cookies this request was given."""
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=dict(headers or {}), cookies=_cookies(request))


def see_other(request: AnyRequest, url: str, *, flash: str = "", tone: str = "ok", **facts: Any) -> Response[None]:
    """Go and look there: after every change. `flash` is a msgid shown once on the page that follows."""
    cookies = _cookies(request)
    if flash:
        text = i18n.filled(flash, facts)
        cookies.append(_cookie("__Host-q_flash", urlencode({"t": text, "k": tone}), max_age=30))
    return Response(None, status_code=303, headers={"Location": url}, cookies=cookies)


def is_partial(request: AnyRequest) -> bool:
    """Whether htmx asked for a part of a page. Never trusted for rights."""
    return request.headers.get("hx-request-type") == "partial"


def set_cookie(request: AnyRequest, name: str, value: str, *, max_age: int | None = None) -> None:
    """Send a `__Host-` cookie with this request's answer; an empty value takes it away."""
    request.scope["state"].setdefault("cookies", []).append(_cookie(name, value, max_age=0 if not value else max_age))


def _cookie(name: str, value: str, *, max_age: int | None) -> Cookie:
    return Cookie(key=name, value=value, path="/", secure=True, httponly=True, samesite="lax", max_age=max_age)


def _cookies(request: AnyRequest) -> list[Cookie]:
    state = request.scope["state"]
    cookies: list[Cookie] = list(state.get("cookies", ()))
    if bound := state.get("csrf_cookie"):
        cookies.append(_cookie(csrf.COOKIE, bound, max_age=None))
    if state.get("flashes"):
        cookies.append(_cookie("__Host-q_flash", "", max_age=0))
    if (chosen := request.query_params.get("lang")) in i18n.HTML_LANGUAGES:
        cookies.append(Cookie(key="lang", value=chosen, path="/", samesite="lax", max_age=31_536_000, secure=True))
    return cookies


def _context(request: AnyRequest) -> dict[str, Any]:
    state = request.scope["state"]
    token = partial(csrf.token_of, request)
    visible = shown_path(request)
    return {
        "csrf_token": token,
        "csrf_field": partial(_csrf_field, request),
        "request_path": visible,
        "request_id": state["request_id"],
        "lang_switch_url": f"{visible}?lang={'en' if i18n.locale() == i18n.CHINESE else 'zh_CN'}",
        "flashes": _flashes(request),
        "outbox_url": settings().outbox_url,
        "offers_trials": settings().offers_trials,
        **state.get("shell", {}),
    }


def _csrf_field(request: AnyRequest) -> Markup:
    return Markup('<input type="hidden" name="_csrf" value="{}">').format(csrf.token_of(request))


def shown_path(request: AnyRequest) -> str:
    """The path as the browser shows it."""
    path = request.scope["path"]
    return (path.removeprefix("/s") or "/") if request.scope["state"]["is_shop"] else path


def _flashes(request: AnyRequest) -> list[dict[str, str]]:
    raw_cookie = request.cookies.get("__Host-q_flash")
    if not raw_cookie:
        return []
    from urllib.parse import parse_qs

    parts = parse_qs(raw_cookie)
    request.scope["state"]["flashes"] = True
    tone = parts.get("k", ["ok"])[0]
    return [{"text": parts.get("t", [""])[0][:300], "tone": tone if tone in ("ok", "info", "warn", "bad") else "ok"}]


class SparingHandler(HTTPRouteHandler):
    """A route for the busiest addresses: its guards are shown the route itself, where the framework makes a copy of it for every guard and request."""

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]


# What handlers are given


async def provide_sent(request: AnyRequest) -> RawForm:
    """The sent form."""
    multi = await csrf.form_of(request)
    texts: dict[str, list[str]] = {}
    files: dict[str, UploadFile] = {}
    for name, value in multi.multi_items():
        if isinstance(value, UploadFile):
            files[name] = value
        else:
            texts.setdefault(name, []).append(value if isinstance(value, str) else str(value))
    return RawForm(clean(texts), files)


async def provide_tenant(request: AnyRequest) -> Tenant:
    """The tenant of this request: by its host in a shop, by its path in the back office."""
    tenant = request.scope["state"]["tenant"]
    assert tenant is not None, "no guard found this request's tenant"
    return cast("Tenant", tenant)


async def provide_actor(request: AnyRequest) -> Actor:
    """Who acts, as the guard found him."""
    return cast("Actor", request.scope["state"]["actor"])


async def provide_session(request: AnyRequest, sent: RawForm) -> AsyncIterator[AsyncSession]:
    """The request's transaction in its tenant's schema: read-only on GET, committed before the answer is sent.

    It asks for the sent form so that a form that cannot be read is refused before the transaction begins: dependencies that fail together leave
    the others' generators open, and a connection with them.
    """
    tenant = await provide_tenant(request)
    if request.method not in READS:
        await provide_sent(request)  # what cannot be read is refused here too: no transaction is then left open behind it
    async with tenant_session(tenant, read_only=request.method in READS) as session:
        yield session


# Refusals and bugs


class ServiceBusy(DomainError):
    status = 503
    message = N_("We are very busy this second. Nothing was changed; try again in a moment.")


def on_refusal(request: AnyRequest, refusal: DomainError) -> Response[Any]:
    """A refusal as this caller understands it: the form with its faults, a fragment for htmx, a problem for machines, or a page."""
    if isinstance(refusal, InvalidForm) and refusal.retry:
        return page(
            request, refusal.retry, status=refusal.status, errors=refusal.errors, values=refusal.values, **refusal.context
        )
    headers = _retry_after(refusal)
    if _is_for_machines(request):
        return _document(problem_of(request, refusal), headers=headers)
    return _problem(request, refusal.status, i18n.said(refusal), headers=headers)


def problem_of(request: AnyRequest, refusal: DomainError) -> dict[str, Any]:
    """A refusal as a program understands it: a stable code, a sentence, the fields that are wrong, the facts, the request's id."""
    errors = getattr(refusal, "errors", None)
    listed = [{"path": f"/{name}", "message": said} for name, said in errors.items()] if isinstance(errors, dict) else errors
    body = _problem_body(request, refusal.status, i18n.said(refusal), code=refusal.code())
    plain = {name: value for name, value in refusal.facts.items() if isinstance(value, str | int)}
    return {**body, **({"errors": listed} if listed else {}), **({"details": plain} if plain else {})}


def _is_for_machines(request: AnyRequest) -> bool:
    return not request.scope["state"]["is_shop"] and request.scope["path"].startswith("/api/")


def _problem_body(request: AnyRequest, status: int, sentence: str, *, code: str) -> dict[str, Any]:
    request_id = request.scope["state"]["request_id"]
    return {"type": "about:blank", "status": status, "title": sentence, "code": code, "request_id": request_id}


def _document(body: dict[str, Any], *, headers: dict[str, str]) -> Response[Any]:
    if body["status"] == 401:
        headers = {**headers, "WWW-Authenticate": "Bearer"}
    return Response(body, status_code=body["status"], media_type="application/problem+json", headers={**NO_STORE, **headers})


def on_http_exception(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """What the framework refused before a handler ran: unknown path, wrong method, too large, not readable."""
    message = _FRAMEWORK.get(error.status_code, _FRAMEWORK[400] if error.status_code < 500 else _FRAMEWORK[500])
    return _problem(request, error.status_code, i18n.gettext(message), headers=dict(error.headers or {}))


def on_busy(request: AnyRequest, error: Exception) -> Response[Any]:
    """The database is away or every connection is taken: say so, and when to come back. Trouble with a file of ours is a bug."""
    if isinstance(error, OSError) and error.filename is not None:
        return on_bug(request, error)
    _log.warning("database.unreachable", error=type(error).__name__)
    return _problem(request, 503, i18n.gettext(ServiceBusy.message), headers={"Retry-After": "2"})


def on_database_fault(request: AnyRequest, error: DBAPIError) -> Response[Any]:
    """What the back office's sessions make of the driver's errors: the database is away, or a bug."""
    cause = error.orig.__cause__ if error.orig else None
    if error.connection_invalidated or isinstance(cause, BUSY):
        return on_busy(request, error)
    return on_bug(request, error)


def on_bug(request: AnyRequest, error: Exception) -> Response[Any]:
    """A bug: logged with its trace, shown without it."""
    _log.error("bug", error=type(error).__name__, exc_info=error)
    return _problem(request, 500, i18n.gettext(_FRAMEWORK[500]), headers={})


_FRAMEWORK = {
    400: N_("We could not read what was sent. Nothing was changed."),
    404: N_("There is nothing here. The address may be mistyped, or it belongs to somebody else."),
    405: N_("This address does not take that kind of request."),
    413: N_("What was sent is too large. Nothing was changed."),
    500: N_("This page did not open. Nothing was changed; you can try again."),
}


def _problem(request: AnyRequest, status: int, sentence: str, *, headers: dict[str, str]) -> Response[Any]:
    wants = request.headers.get("accept", "")
    if _is_for_machines(request) or ("text/html" not in wants and "*/*" not in wants and "json" in wants):
        return _document(_problem_body(request, status, sentence, code=_CODES.get(status, "refused")), headers=headers)
    if is_partial(request):
        retarget = {"HX-Retarget": "#flash", "HX-Reswap": "beforeend"}
        return fragment(request, "_problem.html", status=status, headers={**headers, **retarget}, message=sentence)
    return page(request, "error.html", status=status, headers=headers, message=sentence)


_CODES = {
    400: "bad_request",
    401: "not_authorised",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    500: "fault",
    503: "busy",
}


def _retry_after(refusal: DomainError) -> dict[str, str]:
    seconds = refusal.facts.get("seconds")
    return {"Retry-After": str(seconds)} if seconds else {}


BUSY: tuple[type[Exception], ...] = (*AWAY, PoolTimeout)
