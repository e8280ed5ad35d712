"""The end of `./quanyi test` says again what failed in any of its rounds."""

import subprocess
import sys
from pathlib import Path

from operations.rounds import tally

ONE_OF_EACH = """
import pytest

def test_that_holds():
    assert True

def test_that_breaks():
    assert 1 == 2, "one is not two"

@pytest.mark.skip
def test_for_later():
    raise NotImplementedError
"""


def run_round(folder: Path, title: str, text: str) -> None:
    """A run of pytest on a file of this text, with its report beside it."""
    file = folder / f"test_{title}.py"
    file.write_text(text)
    reports = [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:anyio",
        "-c",
        "/dev/null",
        f"--rootdir={folder}",
        f"--junitxml={folder / title}.xml",
    ]
    subprocess.run([sys.executable, "-m", "pytest", "-q", *reports, str(file)], cwd=folder, check=False, capture_output=True)


def test_the_end_names_what_failed_in_any_round(tmp_path: Path) -> None:
    run_round(tmp_path, "first", ONE_OF_EACH)
    run_round(tmp_path, "second", "def test_that_holds_too():\n    assert True\n")
    found = tally(tmp_path)
    assert (found.passed, found.skipped, len(found.failures)) == (2, 1, 1)
    assert str(found).endswith("Rounds: 2 passed, 1 failed, 1 skipped")
    assert "FAILED (first) test_first::test_that_breaks" in str(found)
    assert "one is not two" in str(found)


def test_a_round_that_never_reported_counts_nothing(tmp_path: Path) -> None:
    assert str(tally(tmp_path)) == "Rounds: 0 passed, 0 failed, 0 skipped"
