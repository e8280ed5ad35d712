"""`./quanyi torture [--case ID] [--seed N] [--minutes M]`: break the running system by a seeded schedule while buyers buy, then count what is left.

It runs in a temporary folder on free ports. Exit 1 when a rule does not hold. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys

from operations.signals import ignore_signals, stop_on_signals
from torture import report
from torture.kinds import CASES
from torture.outcome import Options
from torture.running import torture
from torture.stage import make_system


def run(arguments: list[str]) -> int:
    """0, or 1 with the breaches."""
    options = read_options(arguments)
    print(f"seed {options.seed}, {options.minutes:g} minutes, {' '.join(options.cases) or 'every kind of fault'}", flush=True)
    system = make_system(hold_minutes=1 if options.minutes >= 2 else 15, say=print)
    with stop_on_signals():
        try:
            system.start()
            outcome = asyncio.run(torture(system, options))
            report.tell(outcome)
            if outcome.verdict.breaches:
                report.keep_logs(system, options.seed)
        finally:
            ignore_signals()
            system.delete()
    return 1 if outcome.verdict.breaches else 0


def read_options(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="./quanyi torture", description=__doc__)
    parser.add_argument(
        "--case",
        choices=sorted(CASES),
        action="append",
        default=[],
        help="only the faults of this case, or of several; every kind by default",
    )
    parser.add_argument("--seed", type=int, help="draws the schedule; a fresh one by default")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long faults are done, 1 by default")
    parser.add_argument("--buyers", type=float, default=5.0, metavar="N", help="who come in a second, 5 by default")
    parser.add_argument("--every", type=float, default=2.5, metavar="S", help="mean seconds between two faults, 2.5 by default")
    given = parser.parse_args(arguments)
    seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    return Options(tuple(given.case), seed, given.minutes, given.buyers, given.every)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
