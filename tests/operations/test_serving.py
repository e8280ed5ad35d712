"""The web server among bad neighbours: slow clients, idle ones, and a log that nobody reads."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx2
import pytest
from uvicorn.config import Config

from app.kernel.log_sink import LogSink
from app.kernel.patience import PatientProtocol
from app.settings import settings
from tests.processes import Web, until, web
from tests.world import World
from torture.proxy import DatabaseProxy

pytestmark = [pytest.mark.anyio]
IDLE, SLOW = 300, 50
FORM = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9000\r\n\r\na="
PIPE_BYTES = 4096


class Hasty(PatientProtocol):
    """As patient as the server's own, in a hundredth of the time."""

    head_within_s = PatientProtocol.head_within_s / 20
    look_every_s = PatientProtocol.look_every_s / 20


def connect(stack: ExitStack, server: Web, words: bytes = b"") -> socket.socket:
    """A client that says this much and no more."""
    client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
    client.sendall(words)
    return client


def was_let_go(client: socket.socket) -> bool:
    """Whether the server ends the connection, with a word or without."""
    with suppress(ConnectionResetError):
        while client.recv(4096):
            continue
    return True


async def statuses(server: Web, count: int, path: str = "/log-in") -> set[int]:
    """Of so many requests, one after the other."""
    host = f"app.quanyi.localhost:{server.port}"
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        return {(await client.get(server.url + path, headers={"Host": host})).status_code for _ in range(count)}


@pytest.mark.case("H17")
async def test_clients_who_are_idle_or_slow_hold_up_nobody_and_are_let_go(world: World, tmp_path: Path) -> None:
    head = b"POST /log-in HTTP/1.1\r\nHost: app.quanyi.localhost\r\n"
    async with web(tmp_path, protocol="tests.operations.test_serving:Hasty") as server:
        with ExitStack() as stack:
            idle = [connect(stack, server) for _ in range(IDLE)]
            in_their_head = [connect(stack, server, head) for _ in range(SLOW)]
            in_their_body = [connect(stack, server, head + FORM) for _ in range(SLOW)]
            assert await statuses(server, 20) == {200}
            for slow in (idle, in_their_head, in_their_body):
                assert all([await asyncio.to_thread(was_let_go, client) for client in slow])
        assert await statuses(server, 5) == {200}


@pytest.mark.case("H17")
async def test_without_patience_a_slow_client_is_waited_for(world: World, tmp_path: Path) -> None:
    """The red control: the server's own protocol keeps the connection for as long as the client likes."""
    async with web(tmp_path, protocol="httptools") as server:
        with ExitStack() as stack:
            client = connect(stack, server, b"POST /log-in HTTP/1.1\r\n")
            assert await statuses(server, 5) == {200}
            client.settimeout(2 * Hasty.head_within_s)
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(client.recv, 1)


def test_the_server_is_started_with_patience(tmp_path: Path) -> None:
    command = Web(tmp_path / "web.log")._command
    config = Config("app.main:app", http=command[command.index("--http") + 1])  # type: ignore[arg-type]
    config.load()
    assert config.http_protocol_class is PatientProtocol


@pytest.mark.case("J06")
async def test_told_to_stop_the_server_answers_what_it_began(world: World, tmp_path: Path) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 1)
    faults = tmp_path / "faults"
    faults.mkdir()
    server = Web(tmp_path / "web.log", QUANYI_FAULTS=str(faults))
    process = await server.start()
    held = faults / "order.committed.held"
    (faults / "order.committed").write_text("pause")
    try:
        buying = asyncio.create_task(buy(world, server, product.id, product.skus[0].listing.id))
        await until(lambda: is_there(held))
        process.terminate()
        held.unlink()
        assert await buying == 303
        assert await server.ended() in (0, -signal.SIGTERM)
    finally:
        server.kill()
    assert await world.value("select count(*) from shop_order") == 1


async def buy(world: World, server: Web, product_id: UUID, listing_id: UUID) -> int:
    """Send a product's form; the status it is answered with."""
    host = f"{world.tenant.slug}.shop.localhost:{server.port}"
    headers = {"Host": host, "Origin": f"http://{host}"}
    async with httpx2.AsyncClient(trust_env=False, timeout=60, headers=headers) as client:
        page = await client.get(f"{server.url}/products/{product_id}")
        form = {name: page.text.split(f'name="{name}" value="')[1].split('"')[0] for name in ("_csrf", "request_id")}
        form |= {"listing": str(listing_id), "quantity": "1", "contact": "13800132046"}
        cookie = "; ".join(line.partition(";")[0] for line in page.headers.get_list("set-cookie"))
        return (await client.post(f"{server.url}/checkout", data=form, headers={"Cookie": cookie})).status_code


async def is_there(file: Path) -> bool:
    return file.exists()  # noqa: ASYNC240  # a small local file


@pytest.mark.case("J01")
async def test_a_server_that_starts_before_its_database_waits_for_it(world: World, tmp_path: Path) -> None:
    """Its parent would take a process that gives up at once for broken, and end the whole server."""
    parts = urlsplit(settings().database_url)
    log = tmp_path / "web.log"
    with DatabaseProxy(target_port=parts.port or 5432) as cable:
        cable.is_open = False
        url = parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{cable.port}").geturl()
        server = Web(log, QUANYI_DATABASE_URL=url, QUANYI_LOG_LEVEL="INFO")
        starting = asyncio.create_task(server.start())
        try:
            await until(lambda: is_said(log, "start.waits"))
            cable.is_open = True
            await starting
            assert await statuses(server, 1) == {200}
        finally:
            server.kill()


async def is_said(log: Path, words: str) -> bool:
    return log.exists() and words in log.read_text()  # noqa: ASYNC240  # a small local file


@pytest.mark.case("J13")
async def test_nobody_reads_the_log_and_requests_go_on(world: World, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    server = Web(tmp_path / "web.log", QUANYI_LOG_LEVEL="INFO")
    try:
        await server.start(stdout=writing)
        assert await statuses(server, 200) == {200}, "each writes a line, and the pipe holds a dozen"
        assert os.read(reading, 2 * PIPE_BYTES).count(b'"event": "request"') < 50, "the pipe was full"
    finally:
        server.kill()
        os.close(reading)
        os.close(writing)


@pytest.mark.case("J13")
def test_lines_nobody_takes_are_dropped_and_counted() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with os.fdopen(writing, "w") as out, os.fdopen(reading, "rb") as pipe:
        sink = LogSink(out, most_lines=10)
        for number in range(200):
            sink.write(f"{number} {'x' * 1000}\n")
        lines: list[bytes] = []
        while not lines or b"lines_dropped" not in lines[-1]:
            lines.append(pipe.readline())
        sink.close()
    written = [line for line in lines if b"xxx" in line]
    assert written[0].startswith(b"0 ")
    assert len(written) < 200
