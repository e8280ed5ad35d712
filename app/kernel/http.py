"""The one way out: every call to another company's system goes through `Client.send`.

It connects only to an address it has checked, follows no redirect, reads no proxy or certificate setting from the
environment, and bounds connect, read, whole call and body. What went wrong is said by type: `NotSent` means that no byte
of the request left us, so the same call may be made again; `Unanswered` means that it may have taken effect, so its result
has to be asked for.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

CONNECT_S = 3.0
"""For connecting, TLS included; as long again to wait for a free place among the connections."""
READ_S = 15.0
TOTAL_S = 30.0
MAX_BODY_BYTES = 1_000_000
MAX_CONNECTIONS = 200
IDLE_S = 3.0
"""Shorter than the five seconds after which many servers close: a call on a connection that ends that moment would have no answer."""
MAX_ADDRESSES_TRIED = 3

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

log = logging.getLogger(__name__)


class CallFailed(Exception):
    """A call to another system has no usable answer. `reason` is a sentence for logs and cases; it holds no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotSent(CallFailed):
    """No byte of the request was handed to the network: resolving, connecting or TLS failed. Safe to send again."""


class ForbiddenDestination(NotSent):
    """The address is one we never call: not public, not http, or not plainly written."""


class Unanswered(CallFailed):
    """The request was sent, wholly or in part, and no complete answer came. Whether it took effect is unknown."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `body` goes out as it is; `Host` and `Content-Length` are ours to set."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer, of whatever status. Header names are in lower case; a repeated header keeps its first value."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class Client:
    """A pool of checked connections for one event loop. Make one per process with `start`, end it with `aclose`."""

    def __init__(self, *, allow_loopback: bool, resolve: Resolver | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._allow_loopback = allow_loopback
        self._resolver = _CheckedResolver(resolve or resolve_by_system, allow_loopback)
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        """The pool, on the loop of the first call."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._resolver,
                use_dns_cache=False,
                ssl=self._tls or ssl.create_default_context(cafile=certifi.where()),
                limit=MAX_CONNECTIONS,
                keepalive_timeout=IDLE_S,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                trust_env=False,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
                trace_configs=[_sending()],
            )
            self._session._retry_connection = (
                False  # no setting for it: else what is asked on a connection that ends is asked twice
            )
        return self._session

    async def send(self, call: Call, *, read_s: float = READ_S, total_s: float = TOTAL_S) -> Answer:
        """Make one call and return its answer, redirects included. At most `total_s` seconds from start to last byte.

        Never repeats a call by itself. Raises: ForbiddenDestination or NotSent before, Unanswered after the first byte.
        """
        url, progress = _plain_url(call.url), _Progress()
        host = str(url.raw_host)
        check_literal(host, allow_loopback=self._allow_loopback)
        _refuse_line_breaks(call.headers)
        started = time.monotonic()
        for _ in range(2):  # so that the loop hears of idle connections that were closed, before one is chosen
            await asyncio.sleep(0)
        try:
            async with asyncio.timeout(total_s):
                answer = await self._exchange(call, url, read_s, progress)
        except (aiohttp.ClientError, OSError) as fault:  # TLS refusals and TimeoutError are among the latter
            what = type(fault).__name__
            if progress.is_sent:
                raise Unanswered(f"{host} gave no complete answer ({what})") from fault
            raise NotSent(f"{host} could not be reached ({what})") from fault
        log.debug("called %s %s: %d in %.0f ms", call.method, host, answer.status, (time.monotonic() - started) * 1000)
        return answer

    async def _exchange(self, call: Call, url: URL, read_s: float, progress: _Progress) -> Answer:
        asked = self._opened().request(
            call.method,
            url,
            data=call.body or None,
            headers={"Accept-Encoding": "identity", **call.headers},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=2 * CONNECT_S, sock_connect=CONNECT_S, sock_read=read_s),
            trace_request_ctx=progress,
        )
        async with asked as response:
            body = await _read_bounded(response)
        return Answer(status=response.status, body=body, headers=_headers_of(response))

    async def aclose(self) -> None:
        """Close every connection. Calls under way end as `Unanswered`."""
        if self._session is not None:
            await self._session.close()


# The process's own client, so that code deep in the domain need not be handed one. ------------------------------------

_process: list[Client] = []


def start(*, allow_loopback: bool) -> Client:
    """Make the process's client, on the running event loop. Called once, by the composition root."""
    assert not _process, "http.start() has been called before in this process"
    _process.append(Client(allow_loopback=allow_loopback))
    return _process[0]


def shared() -> Client:
    """The process's client."""
    assert _process, "http.start() has not been called in this process"
    return _process[0]


async def stop() -> None:
    """Close the process's client. Idempotent."""
    while _process:
        await _process.pop().aclose()


# Where we may connect. ------------------------------------------------------------------------------------------------


def is_public(address: IPAddress) -> bool:
    """Whether an address is one plain public host. Tunnels and mappings are refused whole, whatever they carry."""
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return not any(address in network for network in _NEVER if network.version == address.version)


def check_literal(host: str, *, allow_loopback: bool) -> None:
    """Refuse a host that is written as an address we never call. Raises: ForbiddenDestination."""
    if _is_address(host):
        check_addresses(host, [host], allow_loopback=allow_loopback)


def check_addresses(host: str, found: Iterable[str], *, allow_loopback: bool) -> list[str]:
    """The addresses of a host, IPv4 first; refused whole if a single one is not allowed.

    Raises: ForbiddenDestination for such an address, NotSent if there is none.
    """
    addresses = [ipaddress.ip_address(text) for text in found]
    if not addresses:
        raise NotSent(f"{host} has no address")
    for address in addresses:
        if not (is_public(address) or (allow_loopback and address.is_loopback)):
            raise ForbiddenDestination(f"{host} leads to {address}, which is not a public address")
    return [str(address) for address in sorted(addresses, key=lambda address: address.version)]


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver. Names under `.localhost` are loopback without asking. Source: RFC 6761, 6.3."""
    if host == "localhost" or host.endswith(".localhost"):
        return ["127.0.0.1"]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise NotSent(f"{host} cannot be resolved") from error
    return [str(entry[4][0]) for entry in found]


class _CheckedResolver(AbstractResolver):
    """Has connected the very addresses it has checked, so a second, different answer of the name server changes nothing."""

    def __init__(self, resolve: Resolver, allow_loopback: bool) -> None:
        self._resolve = resolve
        self._allow_loopback = allow_loopback

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        found = check_addresses(host, await self._resolve(host, port), allow_loopback=self._allow_loopback)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found[:MAX_ADDRESSES_TRIED]
        ]

    async def close(self) -> None:
        """There is nothing to close."""


# One request, one answer. ---------------------------------------------------------------------------------------------


@dataclass
class _Progress:
    """Whether the request had begun to leave, which is all that tells `NotSent` from `Unanswered`."""

    is_sent: bool = False


def _sending() -> aiohttp.TraceConfig:
    """Notes on a call's `_Progress` that its head is about to leave."""

    async def note(_session: aiohttp.ClientSession, context: SimpleNamespace, _what: object) -> None:
        context.trace_request_ctx.is_sent = True

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(note)
    return tracing


def _refuse_line_breaks(headers: Mapping[str, str]) -> None:
    if any(char in name + value for name, value in headers.items() for char in "\r\n\0"):
        raise NotSent("a header holds a line break")


def _is_address(host: str) -> bool:
    """Whether a host is written as an address, for which no resolver is asked."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _plain_url(text: str) -> URL:
    """Raises: ForbiddenDestination unless it is http(s), names a host, carries no user and no privileged odd port.

    What is plain ASCII goes out letter by letter, because suppliers sign it.
    """
    if any(char <= " " or char == "\x7f" for char in text):
        raise ForbiddenDestination("the address is not a web address")
    try:
        url = URL(text, encoded=text.isascii())
        port = url.explicit_port
    except (UnicodeError, ValueError) as error:
        raise ForbiddenDestination("the address is not a web address") from error
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise ForbiddenDestination("the address is not a web address")
    if url.raw_user is not None or url.raw_password is not None:
        raise ForbiddenDestination("the address carries a user name")
    if port is not None and port not in (80, 443) and not 1024 <= port <= 65535:
        raise ForbiddenDestination(f"port {port} is not called")
    return url


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            response.close()
            raise Unanswered(f"the answer is longer than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _headers_of(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.raw_headers:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return MappingProxyType(headers)


# Addresses the standard library calls global, or did in some version, and which still lead inside or in disguise.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",  # carrier-grade NAT, and one cloud's metadata service
        "168.63.129.16/32",  # one cloud's host agent
        "192.0.0.0/24",  # protocol assignments, and one cloud's metadata service
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",  # benchmarks
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # local NAT64
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fec0::/10",  # site-local
    )
)
