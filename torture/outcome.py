"""What was asked of a run, and what it found out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torture.buyers import Crowd
from torture.kinds import CASES, KINDS
from torture.schedule import Done
from torture.verdict import Verdict


@dataclass(frozen=True)
class Options:
    """What was asked for. `faults_every_s` is the mean pause between faults."""

    cases: tuple[str, ...]
    seed: int
    minutes: float
    buyers_per_second: float
    faults_every_s: float

    @property
    def seconds(self) -> float:
        return self.minutes * 60

    @property
    def kinds(self) -> Sequence[str]:
        """Those of the cases, or every kind when none is named."""
        return list(dict.fromkeys(kind for case in self.cases for kind in CASES[case])) or list(KINDS)


@dataclass
class Outcome:
    """Everything a run found out."""

    options: Options
    done: list[Done]
    crowd: Crowd
    verdict: Verdict
    settled_s: float
