"""What a bench found: printed for people, kept as JSON, and one JSON object as the last line."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from operations.places import DATA

LIBRARIES = ("litestar", "uvicorn", "uvloop", "asyncpg", "sqlalchemy", "saq", "jinja2", "cryptography")


@dataclass(frozen=True)
class Figures:
    """One value with its reference. `checks` are counted by plain SQL; `wrong` names the ones that are not as they must be."""

    value: float
    unit: str
    reference: float | None
    goal: str
    checks: Mapping[str, int]
    wrong: Sequence[str] = ()
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        return round(self.value / self.reference, 3) if self.reference else None


def must_be_zero(checks: Mapping[str, int], *names: str) -> list[str]:
    """The checks among these that found something."""
    return [name for name in names if checks[name]]


def machine() -> dict[str, object]:
    """Where this was measured."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(terse=True),
    }


def versions(tools: Mapping[str, str]) -> dict[str, str]:
    """What it was measured with."""
    return {**tools, "python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def report(bench: str, figures: Figures, about: Mapping[str, object]) -> int:
    """Print and keep the figures; 1 when a check is wrong. A missed goal is said, and is no failure: machines differ."""
    for name, fact in {**about, **figures.details}.items():
        print(f"{name}: {_shown(fact)}")
    print(f"goal: {figures.goal}")
    for name in figures.wrong:
        print(f"WRONG: {name} is {figures.checks[name]}")
    line = {
        "bench": bench,
        "value": round(figures.value, 3),
        "unit": figures.unit,
        "reference": None if figures.reference is None else round(figures.reference, 3),
        "ratio": figures.ratio,
        "checks": dict(figures.checks),
    }
    _keep(bench, {**line, "goal": figures.goal, **about, "details": dict(figures.details)})
    print(json.dumps(line), flush=True)
    return 1 if figures.wrong else 0


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _keep(bench: str, found: Mapping[str, object]) -> None:
    folder = DATA / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    at = datetime.now(UTC)
    (folder / f"{bench}-{at:%Y%m%dT%H%M%S}.json").write_text(json.dumps({"at": at.isoformat(), **found}, indent=2, default=str))


def _shown(fact: object) -> str:
    if isinstance(fact, Mapping):
        return ", ".join(f"{name} {value}" for name, value in fact.items())
    return f"{fact:,.2f}" if isinstance(fact, float) else str(fact)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
