"""Runs one simulator: listens first, says where in one line of JSON, then serves until it is told to stop."""

import asyncio
import gc
import json
import socket

import uvicorn
from litestar.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class CuttableProtocol(HttpToolsProtocol):
    """Lets a handler cut its connection without an answer, as a failing network would."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"sandbox.cut": self.transport.abort}  # type: ignore[dict-item]


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Connections wait in it until the server is up."""
    listener = socket.create_server((host, port), backlog=2048)
    listener.set_inheritable(True)
    return listener


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


def announce(**addresses: str | int) -> None:
    """The line a launcher or a test waits for."""
    print(json.dumps(addresses), flush=True)  # noqa: T201


def serve(app: ASGIApp, listener: socket.socket, *, loop: str) -> None:
    """Serve until SIGINT or SIGTERM; running requests get 1 second."""
    gc.freeze()
    gc.enable()
    config = uvicorn.Config(
        app,
        loop=loop,
        http=CuttableProtocol,
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=30,
    )
    server = uvicorn.Server(config)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listener]))
