"""One run: merchants open, buyers come, faults are done; then all faults end, everything settles, and the books are read."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress

from app.insight.invariants import INVARIANTS, breaches
from tenants.session import tenant_tx
from torture import checker, operators
from torture.buyers import Crowd
from torture.companies import Companies
from torture.kinds import Tormentor
from torture.outcome import Options, Outcome
from torture.schedule import torment
from torture.stage import Merchant, TorturedSystem, open_merchants, opened_databases

SETTLE_S = 300.0
"""Longer than the longest lease and the longest pause between tries that a fault of a second can lead to."""


async def torture(system: TorturedSystem, options: Options) -> Outcome:
    """Torture a system that is up. The same seed does the same faults at the same times to buyers who want the same."""
    async with opened_databases(system):
        companies = Companies(system)
        merchants = await open_merchants(system, companies, units=int(options.buyers_per_second * options.seconds))
        crowd = Crowd(merchants, web_port=system.ports.web, luck=random.Random(f"buyers {options.seed}"))
        tormentor = Tormentor(system, companies, merchants, random.Random(f"details {options.seed}"))
        watching = asyncio.create_task(tormentor.watch())
        coming = asyncio.create_task(crowd.come(per_second=options.buyers_per_second, seconds=options.seconds))
        done = await torment(
            tormentor, options.kinds, luck=random.Random(options.seed), every_s=options.faults_every_s, seconds=options.seconds
        )
        await tormentor.stop_all()
        await coming
        await crowd.leave()
        left, settled_s = await _settle(system, merchants, companies)
        verdict = await asyncio.to_thread(checker.check, system, merchants, crowd.tally, companies.untrue_costs)
        watching.cancel()
        await companies.aclose()
        verdict.expect(f"Still under way {SETTLE_S:.0f} s after the last fault:", left)
        verdict.expect("Answers that no fault excuses:", crowd.tally.faulty)
        verdict.expect("The web server ended by itself:", tormentor.fallen)
        outcome = Outcome(options, done, crowd, verdict, settled_s)
        for merchant in merchants:
            await _add_rules_of_code(outcome, merchant)
    return outcome


async def _settle(system: TorturedSystem, merchants: list[Merchant], companies: Companies) -> tuple[list[str], float]:
    """What is still under way when the time is over, nothing when all is done; and how many seconds that took."""
    started = time.monotonic()
    tending = asyncio.create_task(operators.tend(merchants, companies))
    left = await asyncio.to_thread(checker.wait_until_settled, system, merchants, within_s=SETTLE_S)
    tending.cancel()
    with suppress(asyncio.CancelledError):
        await tending
    return left, time.monotonic() - started


async def _add_rules_of_code(outcome: Outcome, merchant: Merchant) -> None:
    """The rules that are no query: the audit chain, and the steps of the histories."""
    asked = {rule.number for rule in INVARIANTS}
    async with tenant_tx(merchant.tenant) as tx:
        for breach in await breaches(tx):
            if breach.number not in asked:
                outcome.verdict.expect(f"{breach.number} at {merchant.tenant.slug}: {breach.says}", breach.rows)
