"""The two companies that sell to the tortured merchants, at their desks: accounts opened, misbehaviour asked for and ended."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import httpx2

from operations.processes import SUPPLIER, System

PLAIN, PROMISING = "kasushou", "reloadly"
"""One promises nothing about a number that is sent again, and sends no notices; the other buys once under a number, and sends them."""
PROTOCOLS = (PLAIN, PROMISING)
CARD, AIRTIME = "card", "airtime"
SKUS = {PLAIN: {CARD: "20001", AIRTIME: "10005"}, PROMISING: {CARD: "120", AIRTIME: "341"}}
COSTS = {PLAIN: {CARD: "9.6", AIRTIME: "4.8"}, PROMISING: {CARD: "9.85", AIRTIME: "4.55"}}
"""Each is the cheaper one for one of the goods, so that both sell while nothing is wrong."""
BALANCE = 1_000_000
_TOO_DEAR = "40"
_AWAY = ("down", "unavailable", "hanging", "flapping")
_FLAP_MS = 700


class Companies:
    """Their desks, each at its own address. `untrue_costs`: how often at most each may have told a cost of one more than it took."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._desks = {
            protocol: httpx2.AsyncClient(base_url=f"{system.supplier(protocol)}/desk", trust_env=False, timeout=10)
            for protocol in PROTOCOLS
        }
        self.untrue_costs: Counter[str] = Counter()

    async def put_out_goods(self) -> None:
        """Both sell a card and airtime for 5 yuan."""
        for protocol, desk in self._desks.items():
            costs, skus = COSTS[protocol], SKUS[protocol]
            fields = [{"name": "phone", "label": "Phone"}]
            goods = [
                {"sku": skus[CARD], "kind": "card", "cost": costs[CARD], "face_value_minor": 1000},
                {
                    "sku": skus[AIRTIME],
                    "kind": "top_up",
                    "cost": costs[AIRTIME],
                    "face_value_minor": 500,
                    "account_fields": fields,
                },
            ]
            (await desk.post("/goods", json=goods)).raise_for_status()

    async def open_account(self, protocol: str, name: str) -> tuple[int, Mapping[str, str]]:
        """The number a company knows somebody by, and his credentials by the names of a connection's settings."""
        asked = {"name": name, "balance": str(BALANCE), "currency": "CNY"}
        opened = (await self._desks[protocol].post("/clients", json=asked)).raise_for_status().json()
        return opened["client_id"], opened["credentials"]

    async def tell_at(self, protocol: str, client_id: int, url: str) -> None:
        """Where a client wants its notices."""
        (await self._desks[protocol].patch(f"/clients/{client_id}", json={"notice_url": url})).raise_for_status()

    def kill(self, protocol: str, *, away_s: float) -> None:
        """It loses its process, not its book, and is back at its address after so long. What it was asked to do wrong is forgotten."""
        self._system.kill(SUPPLIER + protocol)
        time.sleep(away_s)
        self._system.restart(SUPPLIER + protocol)

    async def be_away(self, protocol: str, luck: random.Random) -> str:
        state, seconds = luck.choice(_AWAY), luck.uniform(1, 8)
        await self._conduct(protocol, state=state, flap_ms=_FLAP_MS)
        await asyncio.sleep(seconds)
        await self._conduct(protocol, state="up")
        return f"{protocol} {state} for {seconds:.1f} s"

    async def misbehave(self, protocol: str, on: str, action: Mapping[str, Any], times: int, **match: Any) -> str:
        """The next so many steps of a kind go wrong in one way."""
        rule = {"match": {"on": on, **match}, "actions": [action], "times": times}
        if action.get("misstate") == "cost":
            self.untrue_costs[protocol] += times
        with suppress(httpx2.HTTPError):
            await self._desks[protocol].post("/script", json=rule)
        return f"{protocol} {on} {dict(action)} × {times}"

    async def raise_cost(self, protocol: str, which: str, seconds: float) -> str:
        """More than the merchants take for it, and back after a while."""
        await self._price(protocol, which, _TOO_DEAR)
        await asyncio.sleep(seconds)
        await self._price(protocol, which, COSTS[protocol][which])
        return f"{protocol} {which} for {seconds:.1f} s"

    async def tell_again(self, protocol: str, out_no: str) -> None:
        """Have the company say once more what became of a purchase."""
        with suppress(httpx2.HTTPError):
            await self._desks[protocol].post("/replay", json={"out_no": out_no})

    async def calm(self) -> None:
        """Both up, honest, and at their usual prices."""
        for protocol, desk in self._desks.items():
            name = SUPPLIER + protocol
            if not self._system.children[name].is_running():
                await asyncio.to_thread(self._system.restart, name)
            (await desk.delete("/script")).raise_for_status()
            (await desk.patch("/conduct", json={"state": "up"})).raise_for_status()
            for which, cost in COSTS[protocol].items():
                (await desk.patch(f"/goods/{SKUS[protocol][which]}", json={"cost": cost})).raise_for_status()

    async def aclose(self) -> None:
        for desk in self._desks.values():
            await desk.aclose()

    async def _conduct(self, protocol: str, **changes: Any) -> None:
        with suppress(httpx2.HTTPError):
            await self._desks[protocol].patch("/conduct", json=changes)

    async def _price(self, protocol: str, which: str, cost: str) -> None:
        with suppress(httpx2.HTTPError):
            await self._desks[protocol].patch(f"/goods/{SKUS[protocol][which]}", json={"cost": str(Decimal(cost))})
