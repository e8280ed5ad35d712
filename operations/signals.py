"""Being told to stop: Ctrl-C, `kill` and a closed terminal all unwind the stack once, so that `finally` does the stopping."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopAsked(BaseException):
    """Somebody wants this command to end. Not an Exception, so that no handler swallows it."""


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Inside, the first signal raises StopAsked; more of them change nothing, since stopping is under way and bounded."""
    before = {number: signal.getsignal(number) for number in STOPPING}

    def ask(number: int, frame: FrameType | None) -> None:
        ignore_signals()
        raise StopAsked

    for number in STOPPING:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """By a handler that does nothing: SIG_IGN would be inherited by programs started later."""
    for number in STOPPING:
        signal.signal(number, lambda *_: None)
