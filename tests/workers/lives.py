"""Forks a worker for every line it reads, says its pid, and when it is over how it ended: `python -m tests.workers.lives`."""

from __future__ import annotations

import os
import signal
import sys

import uvloop

from workers import worker


def main() -> None:
    for _ in sys.stdin:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        pid = os.fork()
        if pid == 0:
            live()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def live() -> None:
    """One worker's life. What it writes goes where its parent's errors go: the parent's answers have the other pipe."""
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # until the worker listens itself
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # told before, it hears of it now
    code = 1
    try:
        uvloop.run(worker.main())
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
