"""The faults and attacks we are tried with, and the tests that show each: docs/cases.md and the count in SECURITY.md, from tests/cases.toml and the marker `case`."""

import argparse
import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from operations.places import ROOT

TESTS = ROOT / "tests"
DATA = TESTS / "cases.toml"
FILE = ROOT / "docs" / "cases.md"
SUMMARY = ROOT / "SECURITY.md"
"""Holds the count of cases between two marks."""
BEGINS, ENDS = "<!-- made by python -m operations.cases -->\n", "<!-- end -->\n"
MARKER = "pytest.mark.case"
HEAD = """# Faults and attacks

Made by `python -m operations.cases` from `tests/cases.toml` and the marker `case` of the tests. A race is shown together with the run that breaks
without its guard.
"""


@dataclass
class Case:
    """What must hold, and the tests that show it: (file, name). `missing` says why there is none."""

    number: str
    says: str
    missing: str = "no test yet"
    tests: list[tuple[Path, str]] = field(default_factory=list)


def run(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="cases", description=__doc__).parse_args(arguments)
    cases = listed()
    FILE.write_text(document(cases), encoding="utf-8")
    SUMMARY.write_text(summarised(cases), encoding="utf-8")
    shown = sum(bool(case.tests) for case in cases.values())
    print(f"{shown} of {len(cases)} cases are shown by {len({test for case in cases.values() for test in case.tests})} tests.")
    return 0


def listed() -> dict[str, Case]:
    """Every case with its tests. Raises: KeyError for a marker that names a case nobody listed."""
    cases = {number: Case(number, **words) for number, words in read()["cases"].items()}
    for file in sorted(TESTS.rglob("test_*.py")):
        for number, name in marked(ast.parse(file.read_text(encoding="utf-8"))):
            cases[number].tests.append((file.relative_to(ROOT), name))
    return cases


def marked(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The cases a file's tests name, each with the test's name: by a decorator, a parameter's marks, or for the whole file."""
    everywhere = [number for node in tree.body if is_for_all(node) for number in named(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            own = [number for decorator in node.decorator_list for number in named(decorator)]
            yield from ((number, node.name) for number in dict.fromkeys([*everywhere, *own]))
        elif isinstance(node, ast.ClassDef):
            yield from ((number, node.name) for decorator in node.decorator_list for number in named(decorator))


def is_for_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(name, ast.Name) and name.id == "pytestmark" for name in node.targets)


def named(node: ast.AST) -> Iterator[str]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == MARKER:
            yield from (str(ast.literal_eval(argument)) for argument in call.args)


def document(cases: dict[str, Case]) -> str:
    """The page as the tests of today say it."""
    parts = [HEAD]
    for letter, title in read()["groups"].items():
        parts.append(f"\n## {letter} · {title}\n\n| Case | What must hold | Shown by |\n|---|---|---|\n")
        parts += [row(case) for case in cases.values() if case.number.startswith(letter)]
    return "".join(parts)


def summarised(cases: dict[str, Case]) -> str:
    """SECURITY.md with the count of today: by group how many are listed and shown, and why the others are not."""
    lines = ["| Group | Listed | Shown | Tests | Not shown, and why |\n|---|---|---|---|---|\n"]
    for letter, title in read()["groups"].items():
        group = [case for case in cases.values() if case.number.startswith(letter)]
        tests = {test for case in group for test in case.tests}
        missing = "; ".join(f"{case.number}: {case.missing}" for case in group if not case.tests)
        lines.append(
            f"| {letter} · {title} | {len(group)} | {sum(bool(case.tests) for case in group)} | {len(tests)} | {missing or '–'} |\n"
        )
    before, _, rest = SUMMARY.read_text(encoding="utf-8").partition(BEGINS)
    return before + BEGINS + "".join(lines) + ENDS + rest.partition(ENDS)[2]


def row(case: Case) -> str:
    return f"| {case.number} | {case.says} | {shown_by(case.tests) or f'Not shown: {case.missing}.'} |\n"


def shown_by(tests: list[tuple[Path, str]]) -> str:
    """Each file once, with the names of its tests."""
    files = {file: [name for other, name in tests if other == file] for file, _ in tests}
    return "<br>".join(f"[{file}](../{file}): " + ", ".join(f"`{name}`" for name in names) for file, names in files.items())


def read() -> dict[str, Any]:
    return tomllib.loads(DATA.read_text(encoding="utf-8"))


def check() -> list[str]:
    """What is wrong with the file, as sentences."""
    cases = listed()
    wanted = {FILE: document(cases), SUMMARY: summarised(cases)}
    stale = [file.name for file, text in wanted.items() if not file.is_file() or file.read_text(encoding="utf-8") != text]
    return [f"{name} is not what the tests say: run python -m operations.cases" for name in stale]


if __name__ == "__main__":
    raise SystemExit(run([]))
