"""The one way out, over real sockets on loopback."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.kernel import http
from app.kernel.http import (
    MAX_BODY_BYTES,
    Call,
    Client,
    ForbiddenDestination,
    NotSent,
    Unanswered,
    check_addresses,
    is_public,
    resolve_by_system,
)

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kind: plain\r\n\r\nok"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Listener:
    """A server that says fixed bytes, or nothing, and remembers what it was asked."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.port = 0


@contextlib.asynccontextmanager
async def listening(answer: bytes | None = OK, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    """With `answer` None the request is read and never answered."""
    listener = Listener()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            listener.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()


@contextlib.asynccontextmanager
async def client(
    *, allow_loopback: bool = True, answers: Sequence[Sequence[str]] = (), tls: ssl.SSLContext | None = None
) -> AsyncIterator[Client]:
    """A client whose resolver gives `answers` one after the other, or is the system's own."""
    left = list(answers)

    async def scripted(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0)

    made = Client(allow_loopback=allow_loopback, resolve=scripted if answers else resolve_by_system, tls=tls)
    try:
        yield made
    finally:
        await made.aclose()


# Where it goes


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "shop.localhost",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
    ],
)
async def test_loopback_in_any_spelling_is_never_reached(host: str) -> None:
    async with listening() as listener, client(allow_loopback=False) as outbound:
        with pytest.raises(NotSent):
            await outbound.send(Call("GET", f"http://{host}:{listener.port}/"))
        assert listener.connections == 0


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:8.8.8.8",
        "::ffff:0:8.8.8.8",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "2001::1",
        "2001:db8::1",
        "2002:808:808::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_address_that_is_not_public_is_refused_even_beside_a_public_one(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(ForbiddenDestination):
        check_addresses("shop.example", ["8.8.8.8", address], allow_loopback=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2400:3200::1"])
def test_public_address_is_allowed(address: str) -> None:
    assert check_addresses("shop.example", [address], allow_loopback=False) == [address]


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fd00::1", "0.0.0.0"])
def test_allowing_loopback_allows_nothing_else(address: str) -> None:
    assert check_addresses("here", ["127.0.0.1", "::1"], allow_loopback=True) == ["127.0.0.1", "::1"]
    with pytest.raises(ForbiddenDestination):
        check_addresses("here", [address], allow_loopback=True)


async def test_name_that_changes_its_answer_is_asked_once_and_the_checked_address_is_used() -> None:
    async with listening() as listener, client(answers=[["127.0.0.1"], ["10.0.0.1"]]) as outbound:
        answer = await outbound.send(Call("GET", f"http://rebinding.example:{listener.port}/"))
        assert answer.status == 200
        assert f"Host: rebinding.example:{listener.port}".encode() in listener.requests[0]
        with pytest.raises(ForbiddenDestination, match="not a public address"):
            await outbound.send(Call("GET", f"http://rebinding.example:{listener.port}/"))


async def test_name_that_resolves_to_loopback_is_refused_before_connecting() -> None:
    async with listening() as listener, client(allow_loopback=False, answers=[["127.0.0.1"]]) as outbound:
        with pytest.raises(ForbiddenDestination):
            await outbound.send(Call("GET", f"http://innocent.example:{listener.port}/"))
        assert listener.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example@127.0.0.1:{port}/",
        "http://user:secret@127.0.0.1:{port}/",
        "ftp://127.0.0.1:{port}/",
        "file:///etc/passwd",
        "//127.0.0.1:{port}/",
        "127.0.0.1:{port}",
        "http:///path",
        "http://127.0.0.1:25/",
        "http://127.0.0.1:99999/",
        "",
        "http://[::1",
    ],
)
async def test_address_that_is_not_plain_http_is_refused(url: str) -> None:
    async with listening() as listener, client() as outbound:
        with pytest.raises(ForbiddenDestination):
            await outbound.send(Call("GET", url.format(port=listener.port)))
        assert listener.connections == 0


async def test_redirect_is_an_answer_and_is_not_followed() -> None:
    async with listening() as inner:
        moved = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{inner.port}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with listening(moved) as outer, client() as outbound:
            answer = await outbound.send(Call("GET", f"http://127.0.0.1:{outer.port}/"))
        assert (answer.status, inner.connections) == (302, 0)


async def test_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as proxy, listening() as listener, client() as outbound:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        await outbound.send(Call("GET", f"http://127.0.0.1:{listener.port}/"))
        assert (listener.connections, proxy.connections) == (1, 0)


# What it says


async def test_process_has_one_client_until_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_process", [])  # whatever another test's application has started stays its own
    started = http.start(allow_loopback=True)
    assert http.shared() is started
    await http.stop()
    await http.stop()
    with pytest.raises(AssertionError):
        http.shared()


async def test_answer_has_status_headers_and_body_and_shows_neither_when_printed() -> None:
    async with listening() as listener, client() as outbound:
        call = Call("POST", f"http://127.0.0.1:{listener.port}/a?b=c", {"X-Secret": "s3cret"}, b'{"key":"s3cret"}')
        answer = await outbound.send(call)
    assert (answer.status, answer.body, answer.headers["x-kind"]) == (200, b"ok", "plain")
    assert "s3cret" not in repr(call)
    assert "plain" not in repr(answer)
    assert listener.requests[0].startswith(b"POST /a?b=c HTTP/1.1\r\n")
    assert b"Content-Length: 16\r\n" in listener.requests[0]


async def test_nobody_listening_means_not_sent() -> None:
    async with listening() as listener:
        pass
    async with client() as outbound:
        with pytest.raises(NotSent):
            await outbound.send(Call("POST", f"http://127.0.0.1:{listener.port}/", body=b"x"))


async def test_name_without_address_means_not_sent() -> None:
    async with client(answers=[[]]) as outbound:
        with pytest.raises(NotSent):
            await outbound.send(Call("GET", "http://nowhere.example/"))


async def test_header_with_a_line_break_means_not_sent() -> None:
    async with listening() as listener, client() as outbound:
        with pytest.raises(NotSent):
            await outbound.send(Call("GET", f"http://127.0.0.1:{listener.port}/", {"X-Key": "a\r\nX-Admin: 1"}))
        assert listener.connections == 0


@pytest.mark.parametrize("bounds", [{"read_s": 0.2, "total_s": 5.0}, {"read_s": 5.0, "total_s": 0.2}], ids=str)
async def test_silence_after_the_request_means_unanswered_within_the_bound(bounds: dict[str, float]) -> None:
    async with listening(None) as listener, client() as outbound:
        started = asyncio.get_running_loop().time()
        with pytest.raises(Unanswered):
            await outbound.send(Call("POST", f"http://127.0.0.1:{listener.port}/", body=b"x"), **bounds)
        assert asyncio.get_running_loop().time() - started < 10
        assert len(listener.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000],
    ids=["nothing", "cut short", "another protocol", "endless header"],
)
async def test_broken_answer_means_unanswered(answer: bytes) -> None:
    async with listening(answer) as listener, client() as outbound:
        with pytest.raises(Unanswered):
            await outbound.send(Call("GET", f"http://127.0.0.1:{listener.port}/"))


@pytest.mark.parametrize("size", [MAX_BODY_BYTES, MAX_BODY_BYTES + 1])
@pytest.mark.parametrize("head", [b"Content-Length: %d\r\n", b"X-Announced: %d is not said\r\nConnection: close\r\n"])
async def test_body_is_bounded_whether_or_not_its_length_is_announced(size: int, head: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + head % size + b"\r\n" + b"x" * size
    async with listening(answer) as listener, client() as outbound:
        call = Call("GET", f"http://127.0.0.1:{listener.port}/")
        if size <= MAX_BODY_BYTES:
            assert len((await outbound.send(call)).body) == size
        else:
            with pytest.raises(Unanswered, match="longer than"):
                await outbound.send(call)


async def test_slow_drip_ends_at_the_total_deadline() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with client() as outbound:
        with pytest.raises(Unanswered):
            await outbound.send(Call("GET", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"), read_s=1.0, total_s=0.3)
    server.close()


# TLS


@pytest.fixture
def certified(tmp_path: Path) -> Callable[[str], tuple[ssl.SSLContext, ssl.SSLContext]]:
    """Makes, for a host name, the server's side and a client's side that trusts exactly it."""

    def make(host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        file = tmp_path / "server.pem"
        plain = serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, form, plain) + certificate.public_bytes(serialization.Encoding.PEM)
        )
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(file)
        return server, ssl.create_default_context(cafile=str(file))

    return make


async def test_certificate_is_checked_against_the_host_and_not_the_address(
    certified: Callable[[str], tuple[ssl.SSLContext, ssl.SSLContext]],
) -> None:
    server, trusting = certified("supplier.example")
    answers = [["127.0.0.1"], ["127.0.0.1"]]
    async with listening(tls=server) as listener, client(answers=answers, tls=trusting) as outbound:
        assert (await outbound.send(Call("GET", f"https://supplier.example:{listener.port}/"))).status == 200
        with pytest.raises(NotSent):
            await outbound.send(Call("GET", f"https://other.example:{listener.port}/"))
        assert len(listener.requests) == 1


async def test_unknown_certificate_means_not_sent(
    certified: Callable[[str], tuple[ssl.SSLContext, ssl.SSLContext]],
) -> None:
    server, _ = certified("supplier.example")
    async with listening(tls=server) as listener, client(answers=[["127.0.0.1"]]) as outbound:
        with pytest.raises(NotSent):
            await outbound.send(Call("POST", f"https://supplier.example:{listener.port}/", body=b"x"))
        assert listener.requests == []
