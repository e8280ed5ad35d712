"""The one way out: every call to another company's system goes through `Client.send`.

It connects only to an address it has checked, follows no redirect, reads no proxy or certificate setting from the
environment, and bounds connect, read, whole call and body. What went wrong is said by type: `NotSent` means that no byte
of the request left us, so the same call may be made again; `Unanswered` means that it may have taken effect, so its result
has to be asked for.
"""

import asyncio
import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

import httpcore2
import httpx2

CONNECT_S = 3.0
READ_S = 15.0
TOTAL_S = 30.0
MAX_BODY_BYTES = 1_000_000
MAX_CONNECTIONS = 200
MAX_IDLE_CONNECTIONS = 40
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
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls or httpx2.create_ssl_context(trust_env=False),
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_S,
            http1=True,
            http2=False,
            retries=0,
            network_backend=_CheckedBackend(resolve or resolve_by_system, allow_loopback),
        )

    async def send(self, call: Call, *, read_s: float = READ_S, total_s: float = TOTAL_S) -> Answer:
        """Make one call and return its answer, redirects included. At most `total_s` seconds from start to last byte.

        Never repeats a call by itself. Raises: ForbiddenDestination or NotSent before, Unanswered after the first byte.
        """
        request, progress = _request(call, read_s), _Progress()
        request.extensions["trace"] = progress.note
        started = time.monotonic()
        try:
            async with asyncio.timeout(total_s):
                answer = await self._exchange(request)
        except _NETWORK_FAULTS as fault:
            progress.fail(fault, host=request.url.host.decode("ascii"))
        elapsed_ms = (time.monotonic() - started) * 1000
        log.debug("called %s %s: %d in %.0f ms", call.method, request.url.host.decode("ascii"), answer.status, elapsed_ms)
        return answer

    async def _exchange(self, request: httpcore2.Request) -> Answer:
        response = await self._pool.handle_async_request(request)
        try:
            body = await _read_bounded(response)
        finally:
            await response.aclose()
        return Answer(status=response.status, body=body, headers=_headers_of(response))

    async def aclose(self) -> None:
        """Close every connection. Calls under way end as `Unanswered`."""
        await self._pool.aclose()


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


class _CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to the very address it has checked, so a second, different answer of the name server changes nothing."""

    def __init__(self, resolve: Resolver, allow_loopback: bool) -> None:
        self._resolve = resolve
        self._allow_loopback = allow_loopback
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the interface's own parameter
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        assert local_address is None
        async with asyncio.timeout(timeout):
            found = await self._resolve(host, port)
        addresses = check_addresses(host, found, allow_loopback=self._allow_loopback)[:MAX_ADDRESSES_TRIED]
        fault: Exception = NotSent(f"{host} has no address")
        for address in addresses:
            try:
                return await self._sockets.connect_tcp(address, port, timeout=(timeout or CONNECT_S) / len(addresses))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                fault = error
        raise fault

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109  # the interface's own parameter
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise ForbiddenDestination("local sockets are not called")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


# One request, one answer. ---------------------------------------------------------------------------------------------


class _Progress:
    """Knows whether the request had begun to leave, which is all that tells `NotSent` from `Unanswered`."""

    def __init__(self) -> None:
        self.is_sent = False

    async def note(self, event: str, _details: Mapping[str, Any]) -> None:
        if event.endswith(".send_request_headers.started"):
            self.is_sent = True

    def fail(self, fault: Exception, *, host: str) -> NoReturn:
        what = type(fault).__name__
        if self.is_sent:
            raise Unanswered(f"{host} gave no complete answer ({what})") from fault
        raise NotSent(f"{host} could not be reached ({what})") from fault


def _request(call: Call, read_s: float) -> httpcore2.Request:
    url = _plain_url(call.url)
    headers = [("Host", url.netloc.decode("ascii")), ("Accept-Encoding", "identity"), *call.headers.items()]
    if call.body or call.method not in ("GET", "HEAD", "DELETE"):
        headers.append(("Content-Length", str(len(call.body))))
    if any(char in name + value for name, value in headers for char in "\r\n\0"):
        raise NotSent("a header holds a line break")
    return httpcore2.Request(
        method=call.method.encode("ascii"),
        url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=[(name.encode("ascii"), value.encode("utf-8")) for name, value in headers],
        content=call.body,
        extensions={"timeout": {"connect": CONNECT_S, "pool": CONNECT_S, "read": read_s, "write": read_s}},
    )


def _plain_url(text: str) -> httpx2.URL:
    """Raises: ForbiddenDestination unless it is http(s), names a host, carries no user and no privileged odd port."""
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
        raise ForbiddenDestination("the address is not a web address") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ForbiddenDestination("the address is not a web address")
    if url.userinfo:
        raise ForbiddenDestination("the address carries a user name")
    if url.port is not None and url.port not in (80, 443) and not 1024 <= url.port <= 65535:
        raise ForbiddenDestination(f"port {url.port} is not called")
    return url


async def _read_bounded(response: httpcore2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Unanswered(f"the answer is longer than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _headers_of(response: httpcore2.Response) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return MappingProxyType(headers)


_NETWORK_FAULTS = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.UnsupportedProtocol,
    OSError,  # TLS refusals and TimeoutError are among them
)

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
