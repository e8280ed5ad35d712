"""`./quanyi test`: the checks, then all tests on the embedded PostgreSQL 18, then the database's tests on Debian's 15."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from operations.check import check_everything
from operations.doctor import find_chromium, has_chinese_font
from operations.foreground import run_until_stopped
from operations.signals import stop_on_signals

OTHER_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
PROGRAMS_VARIABLE = "QUANYI_TEST_PG_BIN"
NOTHING_COLLECTED = 5
INSTALL_WAIT_S = 900


def run(arguments: list[str]) -> int:
    """pytest's code, or 1 when only the checks found something. Arguments go to pytest; with any, only tests run."""
    argparse.ArgumentParser(
        prog="./quanyi test",
        usage="./quanyi test [arguments of pytest]",
        description="Run the checks and all tests. With arguments (tests/tenants -k bell) only the tests they name.",
        epilog="Debian's chromium and a Chinese font are installed when they are missing and this runs as root.",
    ).parse_known_args(arguments)
    install_browser()
    is_clean = bool(arguments) or check_everything()
    with stop_on_signals():
        code = run_tests(arguments)
    return code or (0 if is_clean else 1)


def run_tests(arguments: list[str]) -> int:
    """Both rounds always run, so that one report shows everything."""
    parallel = [] if any(argument.startswith(("-n", "--numprocesses", "--pdb")) for argument in arguments) else ["-n", "2"]
    os.environ.pop(PROGRAMS_VARIABLE, None)
    print("\nTests on the embedded PostgreSQL", flush=True)
    first = run_until_stopped(["-m", "pytest", *parallel, *arguments])
    if not (OTHER_PROGRAMS / "postgres").exists() or "-m" in arguments:
        return first
    print("\nThe database's tests on Debian's PostgreSQL 15", flush=True)
    os.environ[PROGRAMS_VARIABLE] = str(OTHER_PROGRAMS)
    second = run_until_stopped(["-m", "pytest", *parallel, "-m", "database", *arguments])
    return first or (0 if second == NOTHING_COLLECTED else second)


def install_browser() -> None:
    """Debian's chromium and a Chinese font, when we may; else one line that says what to install."""
    missing = [] if find_chromium() else ["chromium"]
    missing += [] if has_chinese_font() else ["fonts-noto-cjk"]
    if not missing:
        return
    line = f"apt-get install {' '.join(missing)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"Browser tests are skipped until you run: {line}", file=sys.stderr)
        return
    print(f"Installing Debian's {' and '.join(missing)} for the browser tests ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        code = subprocess.run(
            ["apt-get", *command], env=environment, stdout=subprocess.DEVNULL, timeout=INSTALL_WAIT_S, check=False
        ).returncode
        if code:
            print(f"That failed; browser tests are skipped until you run: apt-get update && {line}", file=sys.stderr)
            return
