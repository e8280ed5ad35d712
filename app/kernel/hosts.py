"""From host to surface: the outermost ASGI layer. The application host keeps its paths, a shop's host leads under `/s`, any other host is refused.

It also gives each request its id, its language and its caller's address, and puts the headers on every answer that no page may forget.
"""

from __future__ import annotations

import re
import secrets
import time
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any
from urllib.parse import parse_qs

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from app.kernel import i18n, metrics
from app.kernel.errors import N_
from app.settings import settings
from tenants import routing
from tenants.directory import Tenant
from tenants.session import AWAY

_log = structlog.get_logger("http")
SHOP_PREFIX = "/s"
_CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "form-action 'self'{pay}; base-uri 'none'; frame-ancestors 'none'"
)
_ANYWHERE = ("/static/", "/healthz", "/readyz", "/internal/may-serve")
_UNREADABLE = "\ufffd"
"""What stands for a sign in an address that cannot be read."""
_NOT_IN_A_PATH = re.compile(r"\x00|(?![0-9])\d")
"""What no database takes, and digits of other scripts: they would be a second address of the same number."""
_NO_SHOP = N_("No shop lives at this address.")
_BUSY = N_("We are very busy this second. Nothing was changed; try again in a moment.")
_TWO_COOKIES = N_("This browser sent one of our cookies twice. Delete the cookies of this site and open the page again.")


class Hosts:
    """Wraps the application. Unknown hosts get a plain 421 and never reach a page."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner
        pay = f" {settings().sandbox_gateway_url}" if settings().sandbox_gateway_url else ""
        self._headers = _headers(_CSP.format(pay=pay), is_https=settings().public_scheme == "https")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._inner(scope, receive, send)
            return
        request_id = secrets.token_hex(6)
        host = host_of(scope)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=request_id)
        state: dict[str, Any] = {
            "request_id": request_id,
            "address": address_of(scope),
            "tenant": None,
            "is_shop": False,
            "host": host,
        }
        scope = {**scope, "state": {**scope.get("state", {}), **state}}
        i18n.speak(_language(scope))
        answer = self._answering(send, scope, time.perf_counter())
        scope["path"] = _NOT_IN_A_PATH.sub(_UNREADABLE, scope["path"])
        if _names_a_cookie_twice(scope):
            await _refuse(answer, 400, _TWO_COOKIES)
        elif scope["path"].startswith(_ANYWHERE):
            await self._inner(scope, receive, answer)
        elif host == settings().app_host.partition(":")[0]:
            await self._on_app_host(scope, receive, answer)
        else:
            await self._on_shop_host(scope, receive, answer)

    async def _on_shop_host(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            tenant = await tenant_of_host(scope["state"]["host"])
        except AWAY as error:
            _log.warning("directory.unreachable", error=type(error).__name__)
            await _refuse(send, 503, _BUSY, (b"retry-after", b"2"))
            return
        if tenant is None:
            await _refuse(send, 421, _NO_SHOP)
            return
        _move_to_shop(scope, tenant)
        await self._inner(scope, receive, send)

    async def _on_app_host(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == SHOP_PREFIX or scope["path"].startswith(SHOP_PREFIX + "/"):
            scope["path"] = "/_"  # shop pages exist on shop hosts alone
            scope["raw_path"] = b"/_"
        await self._inner(scope, receive, send)

    def _answering(self, send: Send, scope: HTTPScope, started: float) -> Send:
        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [pair for pair in message["headers"] if pair[0].lower() != b"server"]
                names = {name.lower() for name, _ in headers}
                headers += [pair for pair in self._headers if pair[0] not in names]
                headers.append((b"x-request-id", scope["state"]["request_id"].encode()))
                message["headers"] = headers
                _write_log(scope, message["status"], started)
            await send(message)

        return answering


def _headers(csp: str, *, is_https: bool) -> tuple[tuple[bytes, bytes], ...]:
    """What every answer has unless it says otherwise."""
    return (
        (b"content-security-policy", csp.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
        (b"cache-control", b"no-store"),
        *([(b"strict-transport-security", b"max-age=31536000")] if is_https else []),
    )


def host_of(scope: Scope) -> str:
    """The host a request names: lower case, without port or final dot; empty when it is missing or named twice."""
    named = [value for name, value in scope["headers"] if name == b"host"]
    return named[0].decode("latin-1").lower().partition(":")[0].rstrip(".") if len(named) == 1 else ""


def address_of(scope: Scope) -> str:
    """The caller's network address: the hop our own proxies vouch for, IPv6 by its /64. What a stranger writes in a header is not believed."""
    client = scope.get("client")
    address = client[0] if client else "unknown"
    if trusted := settings().trusted_proxies:
        forwarded = [
            part.strip()
            for name, value in scope["headers"]
            if name == b"x-forwarded-for"
            for part in value.decode("latin-1").split(",")
        ]
        address = forwarded[-trusted] if len(forwarded) >= trusted else address
    return _subject_of(address)


@lru_cache(maxsize=10_000)
def _subject_of(address: str) -> str:
    """An address as counters know it, however it is spelled: IPv4 alone, also where IPv6 carries it, IPv6 by its /64."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv4Address) or parsed.is_loopback:
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))


async def tenant_of_host(host: str) -> Tenant | None:
    """The tenant whose shop lives at a host, in whatever state it is: under the shops' host, or a verified domain of its own."""
    shops = "." + settings().shops_host.partition(":")[0]
    if host.endswith(shops):
        slug = host.removesuffix(shops)
        return await routing.by_slug(slug) if slug and "." not in slug else None
    return await routing.by_domain(host) if host else None


def _move_to_shop(scope: Scope, tenant: Tenant) -> None:
    scope["state"]["tenant"] = tenant
    scope["state"]["is_shop"] = True
    structlog.contextvars.bind_contextvars(tenant=tenant.slug)
    scope["path"] = SHOP_PREFIX + scope["path"]
    scope["raw_path"] = SHOP_PREFIX.encode() + scope["raw_path"]


def _names_a_cookie_twice(scope: HTTPScope) -> bool:
    """Whether one of our own cookies came twice. A browser keeps one `__Host-` cookie of a name, so the second was planted."""
    names = [
        name
        for header, value in scope["headers"]
        if header == b"cookie"
        for part in value.split(b";")
        if (name := part.partition(b"=")[0].strip()).startswith(b"__Host-")
    ]
    return len(names) != len(set(names))


async def _refuse(send: Send, status: int, message: str, *more: tuple[bytes, bytes]) -> None:
    body = i18n.gettext(message).encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _language(scope: Scope) -> str:
    headers = dict(scope["headers"])
    chosen = None
    if b"lang=" in headers.get(b"cookie", b""):
        try:
            morsel = SimpleCookie(headers[b"cookie"].decode("latin-1")).get("lang")
            chosen = morsel.value if morsel else None
        except CookieError:
            chosen = None
    if b"lang=" in scope["query_string"]:
        named = parse_qs(scope["query_string"].decode("latin-1")).get("lang")
        chosen = named[0] if named else chosen
    return i18n.negotiate(chosen, headers.get(b"accept-language", b"").decode("latin-1"))


def _write_log(scope: HTTPScope, status: int, started: float) -> None:
    seconds = time.perf_counter() - started
    route = scope.get("path_template") or "unmatched"
    metrics.REQUESTS.labels(scope["method"], route, status).observe(seconds)
    level = _log.error if status >= 500 else _log.info
    level("request", method=scope["method"], route=route, status=status, ms=round(seconds * 1000, 1))
