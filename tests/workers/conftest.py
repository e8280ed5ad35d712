"""What the tests of workers share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.workers.deaths import Deaths
from tests.world import World


@pytest.fixture
async def deaths(world: World, tmp_path: Path) -> AsyncIterator[Deaths]:
    made = Deaths(world, tmp_path)
    yield made
    made.lives.close()
