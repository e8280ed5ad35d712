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
FEW = {"migrate": ["--tenants", "4"], "memory": ["--tenants", "3"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_bench_ends_with_its_figures_and_right_counts(name: str) -> None:
    command = [PYTHON, "-m", "operations", "bench", name, "--seconds", "1", *FEW.get(name, [])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert set(found) == KEYS
    assert found["bench"] == name
    assert found["value"] > 0
    assert (found["reference"] is None) == (name in WITHOUT_REFERENCE) == (found["ratio"] is None)
    assert {check: count for check, count in found["checks"].items() if check in ZERO and count} == {}
