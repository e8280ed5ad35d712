"""The real worker with two more kinds of task: `python -m tests.workers.with_slow_kinds FOLDER [GRACE_S]`.

`tests.slow` takes two seconds and says in FOLDER when it began and ended; `tests.hang` never ends by itself.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from app.kernel.tasks import Lane, TaskRow, handles
from tenants.directory import Tenant
from workers import worker

FOLDER = Path(sys.argv[1])


@handles("tests.slow", lane=Lane.ORDERS, timeout_s=60)
async def _slow(_tenant: Tenant, _tasks: list[TaskRow]) -> None:
    (FOLDER / "began").touch()
    await asyncio.sleep(2)
    (FOLDER / "ended").touch()


@handles("tests.hang", lane=Lane.ORDERS, timeout_s=60)
async def _hang(_tenant: Tenant, _tasks: list[TaskRow]) -> None:
    (FOLDER / "began").touch()
    await asyncio.sleep(60)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        worker._GRACE_S = int(sys.argv[2])
    uvloop.run(worker.main())
