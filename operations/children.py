"""One program that the system runs: started with its log, stopped politely, killed rudely."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from operations.places import ROOT, make_private_folder, shown
from operations.record import Identity, identity_of
from operations.trouble import Trouble

POLL_S = 0.02
TAIL_LINES = 25
TAIL_BYTES = 16_384


@dataclass
class Child:
    """A program in a session of its own, so that Ctrl-C reaches us alone and we stop it in our order."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(repr=False)
    stop_wait_s: float = 15.0
    code: Path = ROOT
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """The log of the run before is kept beside as `.old`."""
        make_private_folder(self.log.parent)
        if self._process is None and self.log.exists():
            self.log.replace(self.log.with_suffix(".old"))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.code,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def identity(self) -> Identity:
        return identity_of(self.pid)

    def exit_code(self) -> int | None:
        """None while it runs, or when it never started."""
        return self._process.poll() if self._process else None

    def ending(self) -> str:
        """How it ended, in words."""
        code = self.exit_code() or 0
        return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for what is left of its session after `stop_wait_s`. Idempotent."""
        if self._process is None:
            return
        if self.is_running():
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(self.stop_wait_s)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to it and all it started, as a crash would."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def tail(self) -> str:
        """The last lines of its log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-TAIL_LINES:])

    def trouble(self, what: str) -> Trouble:
        return Trouble(f"{self.name} {what}. The end of its log, {shown(self.log)}:\n\n{self.tail()}")


def run_to_its_end(child: Child, *, wait_s: float) -> None:
    """Run a program that is expected to finish with 0 within `wait_s`; else Trouble with the end of its log."""
    child.start()
    deadline = time.monotonic() + wait_s
    try:
        while child.is_running():
            if time.monotonic() > deadline:
                raise child.trouble(f"did not finish within {wait_s:.0f} s")
            time.sleep(POLL_S)
    finally:
        child.stop()
    if child.exit_code():
        raise child.trouble(child.ending())
