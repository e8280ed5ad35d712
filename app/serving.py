"""The web server: `python -m app.serving [uvicorn's options]`, whose processes are forks of one that has the application loaded.

So two start as fast as one, share what they loaded, and one that died is there again at once. New code needs a new server, not a signal.
"""

from __future__ import annotations

import multiprocessing
import signal
from socket import socket

from uvicorn.config import Config
from uvicorn.main import main
from uvicorn.supervisors import multiprocess

from app.kernel.loading import load

_FORK = multiprocessing.get_context("fork")


class ForkedProcess(multiprocess.Process):
    """A process of uvicorn's supervisor that starts as a copy of it."""

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        self.config = config
        self._server = None
        self.parent_conn, self.child_conn = _FORK.Pipe()
        self.process = _FORK.Process(target=self.target, args=(sockets,))  # type: ignore[assignment]

    def target(self, sockets: list[socket] | None = None) -> None:
        """Serve. The supervisor's handlers of signals, which only note them, stay with it."""
        for number in multiprocess.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        super().target(sockets)


if __name__ == "__main__":
    multiprocess.Process = ForkedProcess  # type: ignore[misc]
    load("app.main")
    main()
