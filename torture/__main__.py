"""`./quanyi torture [--case ID] [--seed N] [--minutes M]`: break the running system by a seeded schedule while buyers buy, then count what is left.

It runs in a temporary folder on free ports. Exit 1 when a rule does not hold. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
import time

from operations.signals import ignore_signals, stop_on_signals
from torture import checker, report
from torture.buyers import Crowd
from torture.kinds import CASES, Tormentor
from torture.outcome import Options, Outcome
from torture.schedule import Done, torment
from torture.stage import Merchant, TorturedSystem, make_system, open_merchants

SETTLE_S = 300.0
"""Longer than the longest lease and the longest pause between tries that a fault of a second can lead to."""


def run(arguments: list[str]) -> int:
    """0, or 1 with the breaches."""
    options = read_options(arguments)
    print(f"seed {options.seed}, {options.minutes:g} minutes, {options.case or 'every kind of fault'}", flush=True)
    system = make_system(hold_minutes=1 if options.minutes >= 2 else 15, say=print)
    with stop_on_signals():
        try:
            system.start()
            outcome = asyncio.run(_torture(system, options))
            report.tell(outcome)
            if outcome.verdict.breaches:
                report.keep_logs(system, options.seed)
        finally:
            ignore_signals()
            system.delete()
    return 1 if outcome.verdict.breaches else 0


def read_options(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="./quanyi torture", description=__doc__)
    parser.add_argument("--case", choices=sorted(CASES), help="only the faults of this case; every kind by default")
    parser.add_argument("--seed", type=int, help="draws the schedule; a fresh one by default")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long faults are done, 1 by default")
    parser.add_argument("--buyers", type=float, default=5.0, metavar="N", help="who come in a second, 5 by default")
    parser.add_argument("--every", type=float, default=2.5, metavar="S", help="mean seconds between two faults, 2.5 by default")
    given = parser.parse_args(arguments)
    seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    return Options(given.case, seed, given.minutes, given.buyers, given.every)


async def _torture(system: TorturedSystem, options: Options) -> Outcome:
    wanted = int(options.buyers_per_second * options.seconds)
    merchants = await open_merchants(system, units=wanted)
    crowd = Crowd(merchants, web_port=system.ports.web, luck=random.Random(f"buyers {options.seed}"))
    tormentor = Tormentor(system, random.Random(f"details {options.seed}"))
    watching = asyncio.create_task(tormentor.watch())
    coming = asyncio.create_task(crowd.come(per_second=options.buyers_per_second, seconds=options.seconds))
    done = await torment(
        tormentor, options.kinds, luck=random.Random(options.seed), every_s=options.faults_every_s, seconds=options.seconds
    )
    await tormentor.stop_all()
    await coming
    await crowd.leave()
    outcome = await asyncio.to_thread(_judge, system, merchants, options, done, crowd)
    watching.cancel()
    return outcome


def _judge(system: TorturedSystem, merchants: list[Merchant], options: Options, done: list[Done], crowd: Crowd) -> Outcome:
    started = time.monotonic()
    left = checker.wait_until_settled(system, merchants, within_s=SETTLE_S)
    settled_s = time.monotonic() - started
    verdict = checker.check(system, merchants, crowd.tally)
    verdict.expect(f"Still under way {SETTLE_S:.0f} s after the last fault:", left)
    verdict.expect("Answers that no fault excuses:", crowd.tally.faulty)
    return Outcome(options, done, crowd, verdict, settled_s)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
