"""Simulated suppliers for benches: processes with books of their own, each as fast as it is told to be."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2

from operations.places import ROOT

STOP_WAIT_S = 5
GOODS = "MONTH"


class Company:
    """One supplier process that speaks Tango's protocol and sells one item."""

    def __init__(self, book: Path) -> None:
        command = [sys.executable, "-m", "simulators.supplier", "127.0.0.1", "0", str(book), "--protocol", "tango"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert self.process.stdout is not None
        self.url: str = json.loads(self.process.stdout.readline())["supplier"]
        self.desk = httpx2.Client(base_url=f"{self.url}/desk", trust_env=False, timeout=30)

    def open(self, *, latency_ms: int) -> dict[str, str]:
        """Put its item on sale and open a client; the client's credentials."""
        self.desk.post("/goods", json=[{"sku": GOODS, "kind": "card", "cost": "10", "currency": "CNY"}]).raise_for_status()
        self.desk.patch("/conduct", json={"latency_ms": latency_ms}).raise_for_status()
        opened = self.desk.post("/clients", json={"balance": "100000000", "currency": "CNY"}).raise_for_status().json()
        credentials: dict[str, str] = opened["credentials"]
        return credentials

    def totals(self) -> dict[str, Any]:
        """Counts from its own book."""
        found: dict[str, Any] = self.desk.get("/totals").raise_for_status().json()
        return found

    def stop(self) -> None:
        self.desk.close()
        self.process.terminate()
        self.process.wait(STOP_WAIT_S)


@contextmanager
def companies(number: int) -> Iterator[list[Company]]:
    """So many suppliers, stopped at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quanyi-bench-")))
        started = []
        for place in range(number):
            company = Company(folder / f"{place}.sqlite3")
            stack.callback(company.stop)
            started.append(company)
        yield started
