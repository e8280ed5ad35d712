"""Where log lines go without anybody waiting: a thread writes them out, and what nobody reads in time is dropped and counted."""

from __future__ import annotations

import atexit
import json
import os
import queue
import threading
import time
from contextlib import suppress
from typing import TextIO

_MOST_LINES = 10_000
_AT_ONCE = 500
_LAST_WORDS_S = 2.0
_GATHER_S = 0.02
"""Lines that come so soon after one another are written together: a thread that wakes for each takes the interpreter from those who answer."""


class LogSink:
    """A stream for whole lines. Writing to it never blocks, not even when the pipe behind it is full."""

    def __init__(self, out: TextIO, *, most_lines: int = _MOST_LINES) -> None:
        self._out = out
        self._lines: queue.Queue[str | None] = queue.Queue(most_lines)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_on, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, line: str) -> int:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1
        return len(line)

    def flush(self) -> None:
        """Lines are written as soon as somebody takes them; nobody waits for that here."""

    def close(self) -> None:
        """Write what is left, if it can be written within two seconds. Idempotent."""
        atexit.unregister(self.close)
        with suppress(queue.Full):
            self._lines.put(None, timeout=_LAST_WORDS_S)
        self._thread.join(_LAST_WORDS_S)

    def _write_on(self) -> None:
        while (first := self._lines.get()) is not None:
            time.sleep(_GATHER_S)
            lines = [first]
            is_last = False
            while len(lines) < _AT_ONCE and not self._lines.empty():
                if (line := self._lines.get()) is None:
                    is_last = True
                    break
                lines.append(line)
            if dropped := self._dropped:
                self._dropped -= dropped
                lines.append(json.dumps({"event": "log.lines_dropped", "level": "warning", "lines": dropped}) + "\n")
            with suppress(OSError, ValueError):  # the reader is gone, or the stream was closed: there is nowhere to say so
                _write_whole(self._out, "".join(lines))
            if is_last:
                return


def _write_whole(out: TextIO, text: str) -> None:
    """Past Python's own buffer, whose lock a writer that is stuck would hold when the process ends."""
    try:
        number = out.fileno()
    except (OSError, AttributeError):
        out.write(text)
        return
    rest = text.encode("utf-8", "backslashreplace")
    while rest:
        rest = rest[os.write(number, rest) :]
