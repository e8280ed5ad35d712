"""Torture in small: a few seconds of faults on a system of its own, and the same judgement as after a long run."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from operations.places import PYTHON, ROOT
from torture.kinds import CASES, KINDS

pytestmark = pytest.mark.xdist_group("torture")
SEED = 20261122


def torture(*cases: str, seconds: float, every_s: float) -> dict[str, Any]:
    """Run the command; its last line. Nothing of it runs in this process, whose application has settings of its own."""
    named = [word for case in cases for word in ("--case", case)]
    options = ["--seed", str(SEED), "--minutes", str(seconds / 60), "--buyers", "4", "--every", str(every_s), *named]
    done = subprocess.run(
        [PYTHON, "-m", "operations", "torture", *options], cwd=ROOT, capture_output=True, text=True, timeout=560, check=False
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    assert (told["torture"], told["seed"], told["breaches"]) == ("ok", SEED, 0)
    assert min(told["faults"], told["paid"], told["delivered"]) > 0
    return told


@pytest.mark.case("J06")
def test_processes_are_replaced_under_load_and_no_buyer_notices() -> None:
    told = torture("J06", seconds=12, every_s=3)
    assert told["gave_up"] == 0
    assert set(told["statuses"]) <= {"200", "303", "409"}


@pytest.mark.case("J01", "J02", "J11")
def test_under_every_kind_of_fault_nothing_is_lost() -> None:
    """The database goes away and is cut off, workers and web processes die, the gateway lies."""
    torture(seconds=20, every_s=1.5)


@pytest.mark.case("B02", "B03", "B06", "B07")
def test_whatever_companies_do_each_unit_is_bought_once() -> None:
    """They sell and do not answer, tell untruths, send forged notices; workers die around the call."""
    told = torture("B02", "B03", "B06", "B07", seconds=12, every_s=0.8)
    assert min(told["sold"].values()) > 0


def test_every_case_names_kinds_that_are_there() -> None:
    assert {kind for kinds in CASES.values() for kind in kinds} <= set(KINDS)
