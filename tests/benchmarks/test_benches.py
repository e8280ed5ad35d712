"""Every bench runs to its end in a second of measuring, ends with its JSON, and finds its counts right. No figure is judged here."""

from __future__ import annotations

import json
import subprocess

import pytest

from benchmarks.__main__ import NAMES
from operations.places import PYTHON, ROOT

KEYS = {"bench", "value", "unit", "reference", "ratio", "checks"}
WITHOUT_REFERENCE = {"deliver", "memory"}
ZERO = ("oversold", "duplicates", "unbalanced", "incomplete", "misreserved", "unsold", "refused", "undelivered", "not_shown")
RUNS = (
    ["order-many", "order-hot", "deliver", "page", "signup", "topup"],
    ["card-claim", "bind", "migrate", "--tenants", "4"],
    ["memory", "--tenants", "3"],
)
"""The benches of one run stand on one system, or on one database."""


def test_the_runs_hold_every_bench() -> None:
    assert sorted(name for run in RUNS for name in run if name in NAMES) == sorted(NAMES)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run[0])
def test_benches_end_with_their_figures_and_right_counts(run: list[str]) -> None:
    command = [PYTHON, "-m", "operations", "bench", *run, "--seconds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [found["bench"] for found in lines] == [name for name in run if name in NAMES]
    assert done.stdout.strip().splitlines()[-1].startswith("{"), "the last line is the last bench's"
    for found in lines:
        name = found["bench"]
        assert set(found) == KEYS
        assert found["value"] > 0, name
        assert (found["reference"] is None) == (name in WITHOUT_REFERENCE) == (found["ratio"] is None), name
        assert {check: count for check, count in found["checks"].items() if check in ZERO and count} == {}, name
