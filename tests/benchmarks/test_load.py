"""The load, sent by wrk where there is one and by our own client, to a server that writes down what came."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks import load
from benchmarks.load import Load


class Server(ThreadingHTTPServer):
    """Answers 303 to every form, and 409 to those for a listing called `gone`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.came: list[tuple[dict[str, str], str]] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.came.append((dict(self.headers), body))
        self.send_response(409 if "listing=gone" in body else 303)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.mark.parametrize("has_wrk", [True, False])
def test_every_request_is_another_buyer_s(server: Server, monkeypatch: pytest.MonkeyPatch, has_wrk: bool) -> None:
    if has_wrk and shutil.which("wrk") is None:
        pytest.skip("wrk is not installed")
    if not has_wrk:
        monkeypatch.setattr(load.shutil, "which", lambda _name: None)
    body = "listing={listing}&contact={phone}&request_id={request_id}"
    headers = {"Host": "a.shop.localhost", "X-Forwarded-For": "{address}"}
    told = load.run(Load(server.server_port, "POST", "/checkout", headers, body, ("on-sale", "gone"), 2, 1.0))
    assert told.requests > 0
    assert told.lost == 0
    assert 0 < told.refused < told.requests
    came = server.came
    assert {head["Host"] for head, _ in came} == {"a.shop.localhost"}
    assert len({sent.rpartition("request_id=")[2] for _, sent in came}) == len(came)
    assert len({head["X-Forwarded-For"] for head, _ in came}) > 1
    assert all(len(sent.partition("contact=")[2].partition("&")[0]) == 11 for _, sent in came)
