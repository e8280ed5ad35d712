"""What several rounds of tests found, told once more at the end, where a log that was cut still has it."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHOWN_LINES = 12


@dataclass(frozen=True, slots=True)
class Tally:
    """How many tests passed and were skipped; each that failed with the end of what it said."""

    passed: int
    skipped: int
    failures: tuple[str, ...]

    def __str__(self) -> str:
        closing = f"Rounds: {self.passed} passed, {len(self.failures)} failed, {self.skipped} skipped"
        return "\n\n".join((*self.failures, closing))


def tally(reports: Path) -> Tally:
    """Reads pytest's JUnit reports (one `*.xml` a round) of this folder; a round that died before it wrote one is not in it."""
    cases = [(path.stem, case) for path in sorted(reports.glob("*.xml")) for case in ET.parse(path).iter("testcase")]  # noqa: S314 our own file
    failures = tuple(text for title, case in cases for text in failures_of(title, case))
    failed = {id(case) for title, case in cases if any(failures_of(title, case))}
    skipped = sum(case.find("skipped") is not None for _, case in cases)
    return Tally(len(cases) - len(failed) - skipped, skipped, failures)


def failures_of(title: str, case: ET.Element) -> Iterator[str]:
    """A test may fail twice: in itself and when it was cleaned up after."""
    for found in (*case.iterfind("failure"), *case.iterfind("error")):
        end = "\n".join((found.text or found.get("message") or "").strip().splitlines()[-SHOWN_LINES:])
        yield f"FAILED ({title}) {case.get('classname')}::{case.get('name')}\n{end}"
