"""Named places where a test may break this process: stop here, fail here, die here. Nothing at all unless a folder of faults is set.

Who tortures puts a file named after a point into the folder; its text is the action. The first process that comes by takes the file and acts, so
each fault happens once, and a file that is gone says that it did. A production start refuses the setting.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

POINTS = frozenset(
    {
        "order.committed",  # placed, and its buyer not answered yet
        "payment.called",  # the gateway knows the payment, we have not written down where it is paid
        "capture.before_commit",
        "capture.committed",  # the money is booked, and the notice not acknowledged yet
        "task.claimed",  # under lease, its handler has not begun
        "task.handled",  # its handler has ended, its row is still there
        "delivery.before_commit",  # keys claimed
        "delivery.committed",
        "issuing.placed",  # a chunk of a batch is ordered and committed
        "purchase.intended",  # on its way by our books, the supplier not called yet
        "purchase.called",  # the supplier answered, its answer not written down
        "refund.intended",  # on its way by our books, the gateway not called yet
        "refund.called",  # the gateway was called, its answer not written down
        "message.handed_over",  # at the mail server, not written down
    }
)
HELD = ".held"
LONGEST_S = 60.0
_POLL_S = 0.01

_folder: Path | None = None


class FaultRaised(RuntimeError):
    """What the action `raise` raises. A bug as far as the code around it knows."""


def use_faults(folder: str | None) -> None:
    """Look for faults in this folder from now on, or nowhere; the composition root calls it once."""
    global _folder  # noqa: PLW0603  # one folder per process
    _folder = Path(folder) if folder else None


async def fault(point: str) -> None:
    """Do here what somebody asked for, if anybody did.

    Actions: `kill` (SIGKILL to this process), `raise`, `slow SECONDS`, and `pause`: wait while the file POINT.held is there, a minute at most.
    """
    if _folder is None:
        return
    match _take(_folder, point):
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["raise"]:
            raise FaultRaised(point)
        case ["slow", seconds]:
            await asyncio.sleep(min(float(seconds), LONGEST_S))
        case ["pause"]:
            async with asyncio.timeout(LONGEST_S):
                while _is_held(_folder, point):  # noqa: ASYNC110  # another process lets go
                    await asyncio.sleep(_POLL_S)


def _take(folder: Path, point: str) -> list[str]:
    """The action asked for at this point, for us alone; empty when there is none. What is to be held stays as POINT.held."""
    assert point in POINTS, point
    held = folder / f"{point}{HELD}"
    try:
        (folder / point).rename(held)
    except FileNotFoundError:
        return []
    action = held.read_text().split()
    if action != ["pause"]:
        held.unlink()
    return action


def _is_held(folder: Path, point: str) -> bool:
    return (folder / f"{point}{HELD}").exists()
