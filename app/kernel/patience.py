"""How long a web process waits for a client that sends or reads slowly: long enough for a bad line, not so long that strangers can hold it.

The server's own protocol waits for ever for the first byte of a request, for the rest of its head, for its body, and for a reader.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class PatientProtocol(HttpToolsProtocol):
    """Given to the server by name. A connection has one timer: what it waits for is what the client owes next."""

    head_within_s = 15.0
    """From the connection, or from the first byte of the next request, to the end of its head."""
    look_every_s = 10.0
    least_bytes = 1024
    """Of a body, each time it is looked at."""
    read_within_s = 60.0
    """How long an answer may wait for a reader who takes none of it."""

    _timer: asyncio.TimerHandle | None = None
    _came = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(self.head_within_s, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait(self.head_within_s, self._head_is_late)

    def on_headers_complete(self) -> None:
        self._came = 0
        self._wait(self.look_every_s, self._look_at_body)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._came += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._wait_no_more()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait(self.read_within_s, self._cut)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._wait_no_more()

    def _look_at_body(self) -> None:
        """A body that we do not take in ourselves is not its sender's fault."""
        if self._came < self.least_bytes and not self.flow.read_paused:
            self._cut()
            return
        self._came = 0
        self._wait(self.look_every_s, self._look_at_body)

    def _head_is_late(self) -> None:
        self.transport.write(_TOO_SLOW)
        self.transport.close()

    def _cut(self) -> None:
        self.transport.abort()

    def _wait(self, seconds: float, then: Any) -> None:
        self._wait_no_more()
        self._timer = self.loop.call_later(seconds, then)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def allow_many_connections() -> None:
    """As many open sockets as the administrator lets this process have: the usual 1,024 are soon taken by people who are idle."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
