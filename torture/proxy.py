"""A cable between the application and its database that a test can stretch, cut and leave hanging.

with DatabaseProxy(target_port=5433) as cable:
    cable.latency_s = 0.05      # each way
    cable.reset()               # every connection is cut with a reset
    cable.hang()                # every connection goes silent for good, and neither side is told
    cable.is_open = False       # new connections are refused
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset, as a machine that lost its memory would."""


@dataclass(eq=False)
class _Link:
    """One connection through us: both ends, and whether its bytes still arrive."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    hangs: bool = False

    def cut(self) -> None:
        for end in (self.near, self.far):
            if (plug := end.get_extra_info("socket")) is not None and plug.fileno() >= 0:
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            end.transport.abort()


class DatabaseProxy:
    """Runs in a thread of its own, so that it stands whatever its owner does. Its knobs may be turned from any thread."""

    def __init__(self, *, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.latency_s = 0.0
        self.is_open = True
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="database proxy", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def connections(self) -> int:
        """Those whose bytes arrive."""
        return sum(not link.hangs for link in self._links)

    def reset(self) -> int:
        """Cut every connection; how many."""
        return asyncio.run_coroutine_threadsafe(self._reset(), self._loop).result(10)

    def hang(self) -> int:
        """From now on no byte of the connections there are arrives, and nobody is told; how many. New ones are well."""
        return asyncio.run_coroutine_threadsafe(self._hang(), self._loop).result(10)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._reset()
        pumps = asyncio.all_tasks() - {asyncio.current_task()}
        if pumps:
            await asyncio.wait(pumps, timeout=5)

    async def _reset(self) -> int:
        links = list(self._links)
        for link in links:
            link.cut()
        return len(links)

    async def _hang(self) -> int:
        fresh = [link for link in self._links if not link.hangs]
        for link in fresh:
            link.hangs = True
        return len(fresh)

    async def _accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            if not self.is_open:
                raise ConnectionRefusedError
            answers, far = await asyncio.open_connection("127.0.0.1", self.target_port, limit=CHUNK)
        except OSError:
            near.transport.abort()
            return
        link = _Link(near, far)
        self._links.add(link)
        try:
            await asyncio.gather(self._pump(reader, far, link), self._pump(answers, near, link))
        except OSError:
            link.cut()
        finally:
            self._links.discard(link)
            for end in (near, far):
                end.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, link: _Link) -> None:
        """Bytes of one direction, until that side says that it is done."""
        while data := await source.read(CHUNK):
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            if link.hangs:
                continue  # read and thrown away: the sender believes that they are on their way
            sink.write(data)
            await sink.drain()
        if not link.hangs and not sink.is_closing():
            sink.write_eof()
