"""`./quanyi check`: everything that judges the code without running it. All of it runs; one line each."""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from operations.places import PYTHON, ROOT

CHECK_WAIT_S = 600
AT_ONCE = 2


@dataclass(frozen=True)
class Check:
    """One judge: `command` are arguments of Python."""

    name: str
    command: Sequence[str]


CHECKS = (
    Check("mypy", ("-m", "mypy")),
    Check("ruff check", ("-m", "ruff", "check", ".")),
    Check("ruff format", ("-m", "ruff", "format", "--check", ".")),
    Check("imports", ("-c", "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())")),
    Check("spelling", ("-m", "codespell_lib")),
    Check("templates", ("-m", "djlint", "web/templates", "--lint", "--quiet")),
    Check("environment", ("-c", "import sys; from operations.reference import check; sys.exit(chr(10).join(check()) or 0)")),
    Check("translations", ("-c", "import sys; from operations.translations import check; sys.exit(chr(10).join(check()) or 0)")),
)


@dataclass(frozen=True)
class Verdict:
    name: str
    is_good: bool
    seconds: float
    words: str


def run(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="./quanyi check", description="Judge the code without running it.").parse_args(arguments)
    return 0 if check_everything() else 1


def check_everything() -> bool:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        verdicts = []
        for verdict in threads.map(judge, CHECKS):
            print(f"{'ok ' if verdict.is_good else 'BAD'}  {verdict.name:<14} {verdict.seconds:6.1f} s", flush=True)
            verdicts.append(verdict)
    for verdict in verdicts:
        if not verdict.is_good:
            print(f"\n{verdict.name}:\n{verdict.words}", file=sys.stderr)
    return all(verdict.is_good for verdict in verdicts)


def judge(check: Check) -> Verdict:
    started = time.monotonic()
    try:
        answer = subprocess.run(
            [PYTHON, *check.command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=CHECK_WAIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Verdict(check.name, False, time.monotonic() - started, f"It did not finish within {CHECK_WAIT_S} s.")
    words = f"{answer.stdout}{answer.stderr}".strip()
    return Verdict(check.name, answer.returncode == 0, time.monotonic() - started, words)
