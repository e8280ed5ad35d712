"""Workers whose lives end where a test says."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from tests.processes import Lives, until
from tests.world import World


class Deaths:
    """Lives of a worker, and the fault that ends each."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.faults = world, folder / "faults"
        self.faults.mkdir()
        self.lives = Lives(folder, {"QUANYI_FAULTS": str(self.faults)})

    async def die_at(self, point: str) -> None:
        """A life that ends at this point, as if the machine had been switched off there; its lease is over at once."""
        (self.faults / point).write_text("kill")
        await asyncio.to_thread(self.lives.begin)
        assert await asyncio.to_thread(self.lives.ended) == -signal.SIGKILL
        assert not (self.faults / point).exists()
        await self.world.rows("update task set lease_until = now() where state = 'running' returning id")

    async def live_until(self, query: str, *args: object) -> None:
        """A life without faults, which ends when it is told to."""
        await asyncio.to_thread(self.lives.begin)
        life = asyncio.create_task(asyncio.to_thread(self.lives.ended))

        async def holds() -> bool:
            return life.done() or bool(await self.world.value(query, *args))

        await until(holds)
        self.lives.stop()
        assert await life == 0
