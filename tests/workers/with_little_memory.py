"""A worker that may not have much memory, with a kind of task that wants all there is: `python -m tests.workers.with_little_memory`."""

from __future__ import annotations

import resource

import uvloop

from app.kernel.tasks import Lane, TaskRow, handles
from tenants.directory import Tenant
from workers import worker

ROOM = 300 * 2**20
PIECE = 2**12


@handles("tests.leak", lane=Lane.ORDERS, timeout_s=60)
async def _leak(_tenant: Tenant, _tasks: list[TaskRow]) -> None:
    held = []
    while True:
        held.append(bytearray(PIECE))


def used() -> int:
    """Bytes of address space this process has."""
    with open("/proc/self/statm") as figures:
        return int(figures.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    most = used() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    uvloop.run(worker.main())
