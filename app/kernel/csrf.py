"""Every unsafe request proves that it comes from our own page: a token bound to the session or browser, and an Origin that is ours."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection, Request
from litestar.datastructures import FormMultiDict
from litestar.handlers import BaseRouteHandler

from app.kernel.errors import BadRequest, PageExpired
from app.settings import settings

STAFF_COOKIE = "__Host-q_staff"
BUYER_COOKIE = "__Host-q_buyer"
COOKIE = "__Host-q_form"
"""Binds the forms of a browser that has no session."""
FIELD = "_csrf"
HEADER = "x-csrf-token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def token_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The token for a page shown to this connection; a browser without a binding gets one with the answer."""
    state = connection.scope["state"]
    if "csrf_token" not in state:
        bound = next(iter(_bindings(connection)), None)
        if bound is None:
            bound = secrets.token_urlsafe(24)
            state["csrf_cookie"] = bound
        state["csrf_token"] = _sign(bound)
    return str(state["csrf_token"])


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse an unsafe request without a right token or from a foreign page. Routes signed otherwise say `signed=True`. Raises: PageExpired."""
    if connection.scope["method"] in _SAFE or handler.opt.get("signed"):  # type: ignore[typeddict-item]
        return
    request = (
        Request[Any, Any, Any](connection.scope, receive=connection.receive)
        if not isinstance(connection, Request)
        else connection
    )
    _check_origin(request)
    sent = request.headers.get(HEADER)
    if sent is None:
        form = await form_of(request)
        sent = form.get(FIELD)
    if not isinstance(sent, str) or not any(
        hmac.compare_digest(sent.encode(), _sign(bound).encode()) for bound in _bindings(request)
    ):
        raise PageExpired


async def form_of(request: Request[Any, Any, Any]) -> FormMultiDict:
    """The sent form. Raises: BadRequest when a part of it is not text in the encoding it names."""
    try:
        return await request.form()
    except (UnicodeDecodeError, LookupError):
        raise BadRequest from None


def _check_origin(request: Request[Any, Any, Any]) -> None:
    """A browser names the page's origin on every unsafe request. One from elsewhere, or from nowhere, is refused even with a token."""
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        raise PageExpired
    origin = request.headers.get("origin", "")
    if urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise PageExpired


def _bindings(connection: ASGIConnection[Any, Any, Any, Any]) -> list[str]:
    """What a token may be bound to, the session first: a token from before a log-in is worth nothing after it."""
    cookies = connection.cookies
    session = [cookies[name] for name in (STAFF_COOKIE, BUYER_COOKIE) if cookies.get(name)]
    return session or ([cookies[COOKIE]] if cookies.get(COOKIE) else [])


def _sign(bound: str) -> str:
    return hmac.digest(settings().session_secret.encode(), f"form\x1f{bound}".encode(), hashlib.sha256).hex()
