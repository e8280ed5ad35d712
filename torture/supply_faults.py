"""Every kind of fault around suppliers: what it does, once. Each is done to one of the two companies, by luck."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from app.kernel.errors import DomainError
from torture import purchases
from torture.companies import AIRTIME, CARD, PROMISING, PROTOCOLS, Companies
from torture.stage import Merchant

CALLS: Sequence[Mapping[str, Any]] = (
    {"delay_ms": 2000},
    {"before": "drop"},
    {"drop": True},
    {"hang": True},
    {"http_500_after_effect": True},
    {"body": "html"},
    {"body": "truncated"},
    {"body": "empty"},
)
"""What goes wrong with a call that is true in itself."""
REFUSALS: Sequence[Mapping[str, Any]] = tuple(
    {"refuse": kind} for kind in ("out_of_stock", "no_balance", "not_for_sale", "bad_account", "busy", "undocumented", "internal")
)
UNTRUE: Sequence[Mapping[str, Any]] = tuple(
    {"misstate": what}
    for what in (
        "other_order",
        "fewer_cards",
        "more_cards",
        "empty_card",
        "sold_card",
        "face_value",
        "cost",
        "negative_cost",
        "nan_cost",
    )
)
LATE: Sequence[Mapping[str, Any]] = (
    {"decide_ms": 1500},
    {"decide_ms": 8000},
    {"decide_ms": 2500, "decision": "failure"},
    {"decision": "failure"},
)
CATALOGS: Sequence[Mapping[str, Any]] = (
    {"drop": True},
    {"body": "html"},
    {"misstate": "negative_cost"},
    {"misstate": "nan_cost"},
)
NOTICES: Sequence[Mapping[str, Any]] = (
    {"drop": True},
    {"delay_ms": 1500},
    {"delay_ms": 8000},
    {"repeat": 4},
    {"reorder": True},
    {"forge": "signature"},
    {"forge": "body"},
    {"forge": "other_client"},
    {"misstate": "other_order"},
)
_MOST = 3
_ANSWER_S = 1.5


class SupplyFaults:
    """`luck` decides the details."""

    def __init__(self, companies: Companies, merchants: Sequence[Merchant], luck: random.Random) -> None:
        self.companies, self.merchants, self.luck = companies, merchants, luck

    async def kill(self) -> str:
        """A company loses its process, not its book."""
        protocol, away_s = self.luck.choice(PROTOCOLS), self.luck.uniform(0, 3)
        await asyncio.to_thread(self.companies.kill, protocol, away_s=away_s)
        return f"{protocol} for {away_s:.1f} s"

    async def be_away(self) -> str:
        return await self.companies.be_away(self.luck.choice(PROTOCOLS), self.luck)

    async def misbehave(self, on: str, actions: Sequence[Mapping[str, Any]]) -> str:
        protocol, action, times = self.luck.choice(PROTOCOLS), self.luck.choice(actions), self.luck.randrange(1, 6)
        return await self.companies.misbehave(protocol, on, action, times)

    async def tell_badly(self) -> str:
        """Of the two companies one sends notices."""
        return await self.companies.misbehave(PROMISING, "notice", self.luck.choice(NOTICES), self.luck.randrange(1, 6))

    async def raise_cost(self) -> str:
        protocol, which = self.luck.choice(PROTOCOLS), self.luck.choice((CARD, AIRTIME))
        return await self.companies.raise_cost(protocol, which, self.luck.uniform(2, 8))

    async def deny(self) -> str:
        """A company says, when its word counts at last, that it knows nothing of purchases it made: it is taken at its word, and tells the truth later."""
        merchant, action = (
            self.luck.choice(self.merchants),
            self.luck.choice(({"decide_ms": 6000}, {"http_500_after_effect": True})),
        )
        found = await self._undecided(merchant, action)
        for account in merchant.accounts:
            if account.protocol == PROMISING:
                match = {"client_id": account.client_id}
                await self.companies.misbehave(PROMISING, "query", {"not_found": True}, 4 * _MOST, **match)
        for _ in range(2):
            for purchase in found:
                with suppress(DomainError):
                    await purchases.ask(merchant, purchase, long_after=True)
            await asyncio.sleep(_ANSWER_S)
        return f"{len(found)} of {merchant.tenant.slug} at {PROMISING}"

    async def give_up(self) -> str:
        """Two people say that purchases never took place, and are wrong."""
        merchant = self.luck.choice(self.merchants)
        given_up = 0
        for purchase in await self._undecided(merchant, {"http_500_after_effect": True}):
            with suppress(DomainError):  # it was decided meanwhile
                await purchases.give_up(merchant, purchase)
                given_up += 1
        return f"{given_up} of {merchant.tenant.slug} at {PROMISING}"

    async def _undecided(self, merchant: Merchant, action: Mapping[str, Any]) -> list[purchases.Open]:
        """Purchases that took place and are not known to have: what is bought next is brought about to be so, and waited for a little."""
        await self.companies.misbehave(PROMISING, "place", action, _MOST)
        connections = [account.connection_id for account in merchant.accounts if account.protocol == PROMISING]
        for _ in range(20):
            if found := await purchases.undecided(merchant, connections, most=_MOST):
                return found
            await asyncio.sleep(0.25)
        return []
