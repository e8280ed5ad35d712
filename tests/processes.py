"""Processes of our own that a test starts, kills and asks: a web server, and workers that die as often as it likes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx2

from operations.web import web_command
from tests.installation import free_port
from tests.simulators import ROOT

STARTS_WITHIN_S = 60.0
STOPS_WITHIN_S = 60.0


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = 60.0) -> None:
    """Poll until it holds; the bound only ends a test that would wait for ever."""
    started = time.monotonic()
    while not await holds():
        assert time.monotonic() - started < within_s, f"not within {within_s} s"
        await asyncio.sleep(0.02)


class Web:
    """A web server on a port of its own, with the test installation's database. `start` it again after it was killed."""

    def __init__(self, log: Path, *, processes: int = 1, protocol: str | None = None, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = web_command(port=self.port, processes=processes)
        if protocol:
            command[command.index("--http") + 1] = protocol
        self._command = [sys.executable, *command]
        self._log, self._environment = log, {**os.environ, **settings}
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, *, stdout: int | None = None) -> subprocess.Popen[bytes]:
        """Returns when it is ready. `stdout` is the writing end of a pipe for its log, else the log is a file."""
        with self._log.open("ab") as log:
            out = log.fileno() if stdout is None else stdout
            self._process = subprocess.Popen(  # noqa: ASYNC220  # returns at once
                self._command, cwd=ROOT, stdout=out, stderr=out, env=self._environment, start_new_session=True
            )
        await until(self.is_ready, STARTS_WITHIN_S)
        return self._process

    async def is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-3000:]
        with suppress(httpx2.HTTPError):
            async with httpx2.AsyncClient(trust_env=False, timeout=5) as client:
                return (await client.get(f"{self.url}/readyz")).status_code == 200
        return False

    async def ended(self) -> int:
        """Its exit code, once it ended."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, STOPS_WITHIN_S)

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)


@asynccontextmanager
async def web(folder: Path, *, processes: int = 1, protocol: str | None = None, **settings: str) -> AsyncIterator[Web]:
    """A web server that is ready. Killed at the end."""
    made = Web(folder / "web.log", processes=processes, protocol=protocol, **settings)
    await made.start()
    try:
        yield made
    finally:
        made.kill()


class Lives:
    """A worker that lives again and again: everything is loaded once, and each life is a process of its own."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self._log = (folder / "lives.log").open("ab")
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.workers.lives"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **settings},
            text=True,
            start_new_session=True,
        )

    def begin(self) -> None:
        """Start a life; returns when there is a process that `stop` would reach."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write("live\n")
        self._parent.stdin.flush()
        self.pid = int(self._parent.stdout.readline())

    def ended(self) -> int:
        """The exit code of the life that began, once it is over; negative for a signal."""
        assert self._parent.stdout is not None
        return int(self._parent.stdout.readline())

    def stop(self) -> None:
        """Tell the life there is that it should end."""
        os.kill(self.pid, signal.SIGTERM)

    def close(self) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        try:
            self._parent.wait(STOPS_WITHIN_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._parent.pid, signal.SIGKILL)  # a life that did not end takes no work from later tests
            self._log.close()
