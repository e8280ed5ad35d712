"""The name system, as a test says it is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.kernel import dns
from tests.app.settings.nameserver import NameServer, name_server


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NameServer]:
    """A name server that the application asks."""
    async with name_server() as server:
        monkeypatch.setattr(dns, "name_servers", lambda: dns.NameServers(server.address))
        monkeypatch.setattr(dns, "TIMEOUT_S", 0.3)
        yield server
