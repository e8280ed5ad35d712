"""Every kind of fault: what it does to the system, once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import httpx2
import psycopg

from operations.healthy import is_answering
from operations.processes import READY_WAIT_S
from operations.trouble import Trouble
from tenants.embedded_process import PROC
from torture import acts, supply_faults
from torture.companies import Companies
from torture.stage import Merchant, TorturedSystem
from torture.supply_faults import SupplyFaults

APP_LOGIN = "quanyi_app"
POLL_S = 0.05


class Tormentor:
    """Does the faults, each by a method named in KINDS. `luck` decides the details."""

    def __init__(self, system: TorturedSystem, companies: Companies, merchants: Sequence[Merchant], luck: random.Random) -> None:
        assert system.cable is not None
        self.system, self.merchants, self.luck, self.cable = system, merchants, luck, system.cable
        self.companies, self.supply = companies, SupplyFaults(companies, merchants, luck)
        self.fallen: list[str] = []
        self._gateway = httpx2.AsyncClient(base_url=system.gateway, trust_env=False, timeout=10)

    # Processes

    async def kill_web(self) -> str:
        """SIGKILL to one web process; its parent starts another."""
        there = web_processes(self.system.children["web"].pid)
        if not there:
            return "none was there"
        pid = self.luck.choice(there)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return f"web process {pid}"

    async def kill_worker(self) -> str:
        """`watch` starts another, as it does for one that was told to end."""
        worker = self.luck.choice(self.system.workers)
        worker.kill()
        return worker.name

    async def freeze_worker(self) -> str:
        """Stopped as by a machine that swaps, and woken as if nothing had been."""
        worker, seconds = self.luck.choice(self.system.workers), self.luck.uniform(1, 6)
        os.kill(worker.pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGCONT)
        return f"{worker.name} for {seconds:.1f} s"

    async def replace_web(self) -> str:
        """As a roll-out does: each web process gets a successor, and ends when it has answered what it began."""
        os.kill(self.system.children["web"].pid, signal.SIGHUP)
        return "web processes, one after the other"

    async def replace_worker(self) -> str:
        worker = self.luck.choice(self.system.workers)
        os.kill(worker.pid, signal.SIGTERM)
        return worker.name

    async def kill_gateway(self) -> str:
        """The other company loses its process, not its book."""
        await asyncio.to_thread(self._back_again, "gateway")
        return "gateway"

    async def kill_outbox(self) -> str:
        await asyncio.to_thread(self._back_again, "outbox")
        return "mail and text messages"

    def _back_again(self, name: str) -> None:
        self.system.kill(name)
        time.sleep(self.luck.uniform(0, 1))
        self.system.restart(name)

    # The database

    async def restart_database_fast(self) -> str:
        """As an administrator does: open transactions are rolled back."""
        await asyncio.to_thread(self.system.restart_database)
        return "fast"

    async def restart_database_immediate(self) -> str:
        """Without a checkpoint: it recovers from its log."""
        return await self._crash_database(signal.SIGQUIT)

    async def kill_database(self) -> str:
        return await self._crash_database(signal.SIGKILL)

    async def _crash_database(self, how: signal.Signals) -> str:
        assert self.system.postgres is not None
        if (pid := self.system.postgres.pid) is not None:
            os.kill(pid, how)
        await asyncio.to_thread(self.system.restart_database)
        return how.name

    async def terminate_backends(self) -> str:
        """Connections of the application end at random for a second, ten a second, wherever their transactions are."""
        ended = await asyncio.to_thread(self._terminate, 10)
        return f"{ended} connections"

    def _terminate(self, times: int) -> int:
        ended = 0
        try:
            with psycopg.connect(self.system.admin_url, autocommit=True, connect_timeout=5) as admin:
                for _ in range(times):
                    found = admin.execute(_BACKENDS, [APP_LOGIN]).fetchall()
                    if found:
                        ended += admin.execute("select pg_terminate_backend(%s)", [self.luck.choice(found)[0]]).rowcount
                    time.sleep(0.1)
        except psycopg.OperationalError:
            return ended  # the database went away by another fault
        return ended

    # The cable

    async def stretch_cable(self) -> str:
        """Each way takes a while, for a few seconds."""
        latency_s, seconds = self.luck.uniform(0.005, 0.08), self.luck.uniform(1, 5)
        self.cable.latency_s = latency_s
        await asyncio.sleep(seconds)
        self.cable.latency_s = 0.0
        return f"{latency_s * 1000:.0f} ms each way for {seconds:.1f} s"

    async def cut_cable(self) -> str:
        return f"{self.cable.reset()} connections reset"

    async def hang_cable(self) -> str:
        return f"{self.cable.hang()} connections silent for good"

    async def unplug_cable(self) -> str:
        seconds = self.luck.uniform(0.5, 3)
        self.cable.is_open = False
        self.cable.reset()
        await asyncio.sleep(seconds)
        self.cable.is_open = True
        return f"no connection for {seconds:.1f} s"

    # The gateway

    async def misbehave(self, on: str, *actions: dict[str, Any]) -> str:
        action, times = self.luck.choice(actions), self.luck.randrange(1, 6)
        rule = {"match": {"on": on}, "actions": [action], "times": times}
        with suppress(httpx2.HTTPError):
            await self._gateway.post("/control/script", json=rule)
        return f"{on} {action} × {times}"

    # The fault points

    async def arm(self, point: str, *actions: str) -> str:
        """The next process that comes by the point acts."""
        action = self.luck.choice(actions)
        ready = self.system.faults / f".{point}"
        ready.write_text(action)
        ready.rename(self.system.faults / point)
        return f"{action} at {point}"

    # The merchants

    async def void_keys(self) -> str:
        """Keys that leaked are taken out, while orders that were paid count on them."""
        merchant, count = self.luck.choice(self.merchants), self.luck.randrange(1, 6)
        goods = self.luck.choice(merchant.goods)
        return f"{await acts.void_keys(merchant, goods, count)} of {merchant.tenant.slug}"

    async def refund_orders(self) -> str:
        merchant, count = self.luck.choice(self.merchants), self.luck.randrange(1, 6)
        return f"{await acts.refund_orders(merchant, count)} orders of {merchant.tenant.slug}"

    # Around them

    async def watch(self, *, every_s: float = 0.2) -> None:
        """Start workers again that ended by themselves or by a fault point, as a supervisor does. Runs until cancelled.

        The web server's parent is never killed: that it ended is written down.
        """
        server = self.system.children["web"]
        while True:
            for worker in self.system.workers:
                if not worker.is_running():
                    worker.start()
            if not server.is_running():
                self.fallen.append(server.ending())
                server.start()
            await asyncio.sleep(every_s)

    async def stop_all(self) -> None:
        """No fault is left in force: the gateway and the companies are honest, the cable whole, no point armed, everybody up."""
        for armed in self.system.faults.iterdir():
            armed.unlink(missing_ok=True)
        for worker in self.system.workers:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGCONT)
        self.cable.latency_s, self.cable.is_open = 0.0, True
        for name in ("gateway", "outbox"):
            if not self.system.children[name].is_running():
                await asyncio.to_thread(self.system.restart, name)
        (await self._gateway.delete("/control/script")).raise_for_status()
        await self.companies.calm()
        await asyncio.to_thread(self._await_web)
        await self._gateway.aclose()

    def _await_web(self) -> None:
        ends = time.monotonic() + READY_WAIT_S
        web = self.system.ports.web
        while not is_answering(web, "/readyz", host=f"app.quanyi.localhost:{web}"):
            if time.monotonic() > ends:
                raise Trouble(f"The web processes were not ready {READY_WAIT_S:.0f} s after the last fault.")
            time.sleep(POLL_S)


def web_processes(parent: int) -> list[int]:
    """The processes that serve, not their parent and not the tracker of its resources."""
    found = []
    for entry in PROC.iterdir():
        with suppress(OSError, IndexError, ValueError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and fields[0] not in "ZX" and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return sorted(found)


Fault = Callable[[Tormentor], Awaitable[str]]

NOTICES = (
    {"drop": True},
    {"delay_ms": 1500},
    {"repeat": 4},
    {"behind": 3},
    {"forge": "amount"},
    {"forge": "signature"},
    {"misstate": "amount"},
    {"misstate": "currency"},
    {"nonsense": True},
)
CALLS = (
    {"delay_ms": 2000},
    {"before": "drop"},
    {"drop": True},
    {"http_500_after_effect": True},
    {"misstate": "amount"},
    {"nonsense": True},
)
ANSWERS = ({"delay_ms": 2000}, {"drop": True}, {"http_500_after_effect": True}, {"not_found": True}, {"nonsense": True})
ENDS = ("kill", "raise", "slow 3")
"""What is done at a point where a worker passes; at one of the web's, an error would be the answer to its buyer."""

KINDS: dict[str, tuple[int, Fault]] = {
    "web process killed": (4, Tormentor.kill_web),
    "worker killed": (4, Tormentor.kill_worker),
    "worker frozen": (2, Tormentor.freeze_worker),
    "web processes replaced": (1, Tormentor.replace_web),
    "worker replaced": (2, Tormentor.replace_worker),
    "gateway killed": (1, Tormentor.kill_gateway),
    "outbox killed": (1, Tormentor.kill_outbox),
    "database restarted": (1, Tormentor.restart_database_fast),
    "database stopped at once": (1, Tormentor.restart_database_immediate),
    "database killed": (1, Tormentor.kill_database),
    "connections terminated": (3, Tormentor.terminate_backends),
    "cable slow": (2, Tormentor.stretch_cable),
    "cable cut": (3, Tormentor.cut_cable),
    "cable silent": (1, Tormentor.hang_cable),
    "cable unplugged": (1, Tormentor.unplug_cable),
    "notices misbehave": (8, lambda by: by.misbehave("notice", *NOTICES)),
    "payments misbehave": (4, lambda by: by.misbehave("create", *CALLS)),
    "answers misbehave": (3, lambda by: by.misbehave("query", *ANSWERS)),
    "refunds misbehave": (4, lambda by: by.misbehave("refund", *CALLS, {"pending_ms": 3000})),
    "refund answers misbehave": (3, lambda by: by.misbehave("query_refund", *ANSWERS)),
    "keys voided": (3, Tormentor.void_keys),
    "orders refunded": (4, Tormentor.refund_orders),
    "at order.committed": (2, lambda by: by.arm("order.committed", "kill", "slow 3")),
    "at payment.called": (2, lambda by: by.arm("payment.called", "kill", "slow 3")),
    "at capture.before_commit": (2, lambda by: by.arm("capture.before_commit", "kill", "slow 3")),
    "at capture.committed": (2, lambda by: by.arm("capture.committed", "kill", "slow 3")),
    "at task.claimed": (2, lambda by: by.arm("task.claimed", *ENDS)),
    "at task.handled": (2, lambda by: by.arm("task.handled", *ENDS)),
    "at delivery.before_commit": (2, lambda by: by.arm("delivery.before_commit", *ENDS)),
    "at delivery.committed": (2, lambda by: by.arm("delivery.committed", *ENDS)),
    "at refund.intended": (2, lambda by: by.arm("refund.intended", *ENDS)),
    "at refund.called": (2, lambda by: by.arm("refund.called", *ENDS)),
    "at message.handed_over": (2, lambda by: by.arm("message.handed_over", *ENDS)),
    "supplier killed": (3, lambda by: by.supply.kill()),
    "supplier away": (3, lambda by: by.supply.be_away()),
    "purchases misbehave": (6, lambda by: by.supply.misbehave("place", supply_faults.CALLS)),
    "purchases refused": (3, lambda by: by.supply.misbehave("place", supply_faults.REFUSALS)),
    "purchases untrue": (3, lambda by: by.supply.misbehave("place", supply_faults.UNTRUE)),
    "purchases decided late": (3, lambda by: by.supply.misbehave("place", supply_faults.LATE)),
    "purchase answers misbehave": (4, lambda by: by.supply.misbehave("query", (*supply_faults.CALLS, {"not_found": True}))),
    "purchase answers untrue": (4, lambda by: by.supply.misbehave("query", supply_faults.UNTRUE)),
    "purchase notices misbehave": (4, lambda by: by.supply.tell_badly()),
    "purchases denied": (2, lambda by: by.supply.deny()),
    "purchases given up by two": (2, lambda by: by.supply.give_up()),
    "catalogs misbehave": (2, lambda by: by.supply.misbehave("catalog", supply_faults.CATALOGS)),
    "cost raised": (2, lambda by: by.supply.raise_cost()),
    "at purchase.intended": (3, lambda by: by.arm("purchase.intended", *ENDS)),
    "at purchase.called": (3, lambda by: by.arm("purchase.called", *ENDS)),
}
"""Name: how often it comes among the others, and what it does."""

CASES: dict[str, tuple[str, ...]] = {
    "A03": ("at delivery.before_commit", "at task.claimed"),
    "A04": ("at delivery.committed", "at message.handed_over", "at task.handled"),
    "B01": ("purchases misbehave", "purchases decided late"),
    "B02": ("purchases misbehave",),
    "B03": ("at purchase.intended", "at purchase.called"),
    "B04": ("supplier away", "supplier killed"),
    "B05": ("purchase answers misbehave", "purchases denied"),
    "B06": ("purchase notices misbehave",),
    "B07": ("purchases untrue", "purchase answers untrue", "purchase answers misbehave"),
    "B08": ("cost raised",),
    "B10": ("purchases untrue", "purchase answers untrue"),
    "B13": ("supplier away",),
    "B14": ("purchases refused",),
    "B17": ("purchases given up by two",),
    "C01": ("notices misbehave",),
    "C11": ("notices misbehave", "answers misbehave"),
    "C14": ("at capture.before_commit", "at capture.committed"),
    "J01": ("database restarted", "database stopped at once", "database killed"),
    "J02": ("connections terminated",),
    "J05": ("cable slow", "cable silent", "cable unplugged", "cable cut"),
    "J06": ("web processes replaced", "worker replaced"),
    "J11": ("worker killed", "worker frozen"),
}
"""Case: the kinds of fault that make it."""

_BACKENDS = "select pid from pg_stat_activity where usename = %s and pid <> pg_backend_pid()"
