"""What a run says at its end, for people and, in the last line, for programs."""

from __future__ import annotations

import json
import shutil
from collections import Counter

from operations.places import DATA, make_folder
from torture.outcome import Outcome
from torture.stage import TorturedSystem


def tell(outcome: Outcome) -> None:
    tally, verdict = outcome.crowd.tally, outcome.verdict
    print(f"\nfaults done: {len(outcome.done)}")
    for kind, times in sorted(Counter(one.kind for one in outcome.done).items()):
        print(f"  {times:5}  {kind}")
    print(f"settled {outcome.settled_s:.0f} s after the last buyer left")
    print(f"requests sent: {tally.requests}, without an answer: {tally.lost}")
    print(f"answers: {', '.join(f'{status}: {times}' for status, times in sorted(tally.statuses.items()))}")
    print(f"buyers turned away sold out: {tally.refused}, who gave up: {tally.gave_up}")
    print(f"orders placed: {len(tally.orders)}, paid: {tally.paid}")
    print(f"units delivered: {verdict.delivered}, refunded: {verdict.refunded}")
    print(f"sold by companies: {_counted(verdict.sold)}; sent more than once under their number: {verdict.resent}")
    print(f"of these no buyer's, and cases: {_counted(verdict.lost)}")
    print(f"cases left for a person: {_counted(verdict.cases)}")
    print(f"breaches: {len(verdict.breaches)}")
    for breach in verdict.breaches:
        print(f"  {breach}")
    print(json.dumps(line(outcome)), flush=True)


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name}: {times}" for name, times in sorted(counter.items())) or "none"


def line(outcome: Outcome) -> dict[str, object]:
    """The last line of a run."""
    return {
        "torture": "broken" if outcome.verdict.breaches else "ok",
        "cases": list(outcome.options.cases),
        "seed": outcome.options.seed,
        "faults": len(outcome.done),
        "gave_up": outcome.crowd.tally.gave_up,
        "statuses": {str(status): times for status, times in sorted(outcome.crowd.tally.statuses.items())},
        "requests": outcome.crowd.tally.requests,
        "paid": outcome.crowd.tally.paid,
        "delivered": outcome.verdict.delivered,
        "refunded": outcome.verdict.refunded,
        "sold": dict(sorted(outcome.verdict.sold.items())),
        "lost": dict(sorted(outcome.verdict.lost.items())),
        "breaches": len(outcome.verdict.breaches),
    }


def keep_logs(system: TorturedSystem, seed: int) -> None:
    """The programs' logs of a run that broke something, for whoever looks into it."""
    folder = make_folder(DATA) / f"torture-{seed}"
    shutil.copytree(system.folder / "logs", folder, dirs_exist_ok=True)
    print(f"The logs are in {folder.relative_to(DATA.parent)}.")
