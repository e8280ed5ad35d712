"""`./quanyi test`: the checks, then all tests on the embedded PostgreSQL 18, then the database's tests on Debian's 15."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from operations.check import check_everything
from operations.doctor import find_caddy, find_chromium, has_chinese_font
from operations.foreground import run_until_stopped
from operations.rounds import tally
from operations.signals import stop_on_signals

OTHER_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
PROGRAMS_VARIABLE = "QUANYI_TEST_PG_BIN"
NOTHING_COLLECTED = 5
EMBEDDED = "Tests on the embedded PostgreSQL"
OTHER_SERVER = "The database's tests on Debian's PostgreSQL 15"
ROUNDS = ((EMBEDDED, "not browser"), ("Tests in a real browser", "browser"), (OTHER_SERVER, "database and not browser"))
INSTALL_WAIT_S = 900
RUNNING_SERVICES = Path("/run/systemd/system")
"""There while systemd runs this machine's services."""


def run(arguments: list[str]) -> int:
    """pytest's code, or 1 when only the checks found something. Arguments go to pytest; with any, only tests run."""
    argparse.ArgumentParser(
        prog="./quanyi test",
        usage="./quanyi test [arguments of pytest]",
        description="Run the checks and all tests. With arguments (tests/tenants -k bell) only the tests they name.",
        epilog="Debian's chromium, a Chinese font and caddy are installed when they are missing and this runs as root.",
    ).parse_known_args(arguments)
    install_programs()
    is_clean = bool(arguments) or check_everything()
    with stop_on_signals():
        code = run_tests(arguments)
    return code or (0 if is_clean else 1)


def run_tests(arguments: list[str]) -> int:
    """Every round runs, so that one report shows everything. The browser's tests keep a process of their own: their event loop never rests."""
    os.environ.pop(PROGRAMS_VARIABLE, None)
    with tempfile.TemporaryDirectory() as folder:
        reports = Path(folder)
        codes = [run_round(title, marks, arguments, reports) for title, marks in ROUNDS if is_due(title, arguments)]
        print(f"\n{tally(reports)}", flush=True)
    return next((code for code in codes if code), 0)


def is_due(title: str, arguments: list[str]) -> bool:
    """Whoever chose marks gets one round of them; the other PostgreSQL is asked where it is installed."""
    if "-m" in arguments:
        return title == EMBEDDED
    return title != OTHER_SERVER or (OTHER_PROGRAMS / "postgres").exists()


def run_round(title: str, marks: str, arguments: list[str], reports: Path) -> int:
    """One run of pytest; a round in which nothing was to run is no failure."""
    print(f"\n{title}", flush=True)
    if title == OTHER_SERVER:
        os.environ[PROGRAMS_VARIABLE] = str(OTHER_PROGRAMS)
    parallel = [] if any(argument.startswith(("-n", "--numprocesses", "--pdb")) for argument in arguments) else ["-n", "2"]
    chosen = [] if "-m" in arguments else ["-m", marks]
    code = run_until_stopped(["-m", "pytest", *parallel, *chosen, f"--junitxml={reports / title}.xml", *arguments])
    return 0 if code == NOTHING_COLLECTED else code


def install_programs() -> None:
    """Debian's chromium, a Chinese font and caddy, when we may; else one line that says what to install.

    Where services run, caddy would begin to serve this machine's ports 80 and 443 once it is installed: there a person decides.
    """
    missing = [] if find_chromium() else ["chromium"]
    missing += [] if has_chinese_font() else ["fonts-noto-cjk"]
    if find_caddy() is None and RUNNING_SERVICES.exists():
        print("Tests over HTTPS are skipped until you run: apt-get install caddy", file=sys.stderr)
    elif find_caddy() is None:
        missing.append("caddy")
    if not missing:
        return
    line = f"apt-get install {' '.join(missing)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"Tests of pages and of HTTPS are skipped until you run: {line}", file=sys.stderr)
        return
    print(f"Installing Debian's {' and '.join(missing)} for the tests ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        code = subprocess.run(
            ["apt-get", *command], env=environment, stdout=subprocess.DEVNULL, timeout=INSTALL_WAIT_S, check=False
        ).returncode
        if code:
            print(
                f"That failed; tests of pages and of HTTPS are skipped until you run: apt-get update && {line}", file=sys.stderr
            )
            return
