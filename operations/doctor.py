"""`./quanyi doctor`: looks at what the demo needs; each line says ok or bad, and how to mend it."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from operations.healthy import is_answering
from operations.keys import keys_of
from operations.leftovers import orphan_database
from operations.places import DATA, ROOT
from operations.ports import USUAL, is_free
from operations.record import is_led, read_record
from operations.settings import urls_on
from tenants.embedded_files import DatabaseUnavailable, find_programs, major_version

NEEDED_MB = 1500
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Finding:
    """`mend` is empty when all is well; `is_needed` is false where only tests miss it."""

    what: str
    words: str
    mend: str = ""
    is_needed: bool = True


def run(arguments: list[str]) -> int:
    """1 when something the demo needs is bad."""
    argparse.ArgumentParser(prog="./quanyi doctor", description="Look at what the demo needs.").parse_args(arguments)
    looks: list[Callable[[], Finding]] = [python, disk, ports, programs, database, web, orphans, chromium, fonts, caddy]
    findings = [look() for look in looks]
    for finding in findings:
        state = "ok " if not finding.mend else "BAD"
        print(f"{state}  {finding.what:<9} {finding.words}" + (f" Mend: {finding.mend}" if finding.mend else ""))
    return 1 if any(finding.mend and finding.is_needed for finding in findings) else 0


def python() -> Finding:
    """The launcher has refused what is too old before this runs."""
    return Finding("python", f"{'.'.join(map(str, sys.version_info[:3]))} in {sys.prefix}.")


def disk() -> Finding:
    free_mb = shutil.disk_usage(ROOT).free // 2**20
    mend = "" if free_mb >= NEEDED_MB else f"make room: {NEEDED_MB:,} MB are needed."
    return Finding("disk", f"{free_mb:,} MB are free here.", mend)


def ports() -> Finding:
    """Taken ports are no fault: the demo takes others."""
    if is_led(DATA):
        record = read_record(DATA)
        assert record is not None
        return Finding("ports", "The demo has " + ", ".join(f"{name} {port}" for name, port in record.ports.items()) + ".")
    taken = [f"{port} ({name})" for name, port in USUAL.as_dict().items() if not is_free(port)]
    return Finding("ports", f"Taken: {', '.join(taken)}; the demo will choose others." if taken else "All usual ones are free.")


def programs() -> Finding:
    if os.environ.get("DATABASE_URL"):
        return Finding("postgres", "The server of DATABASE_URL is used.")
    try:
        found = find_programs()
    except DatabaseUnavailable as trouble:
        return Finding("postgres", str(trouble), "as it says.")
    return Finding("postgres", f"Programs of version {major_version(found)} in {found}.")


def database() -> Finding:
    if admin_url := os.environ.get("DATABASE_URL"):
        return _reach(admin_url, "correct DATABASE_URL, or unset it to use the embedded database.")
    record = read_record(DATA)
    if record is None or not record.leader.is_alive():
        return Finding("database", "Not running; the demo starts it.")
    return _reach(urls_on(record.server, keys_of(DATA)).app_url, "./quanyi stop, then ./quanyi demo.")


def _reach(url: str, mend: str) -> Finding:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            version = connection.info.server_version // 10_000
    except psycopg.OperationalError as problem:
        return Finding("database", f"It does not answer: {str(problem).strip().splitlines()[-1]}.", mend)
    return Finding("database", f"PostgreSQL {version} answers.")


def web() -> Finding:
    record = read_record(DATA)
    if record is None or not record.leader.is_alive():
        return Finding("web", "Not running.")
    host = f"app.quanyi.localhost:{record.ports['web']}"
    if is_answering(record.ports["web"], "/readyz", host=host):
        return Finding("web", f"Ready at http://{host}.")
    return Finding("web", "Running, but not ready.", f"look into {DATA / 'logs' / 'web.log'}; ./quanyi stop, then ./quanyi demo.")


def orphans() -> Finding:
    record = read_record(DATA)
    if record is not None and record.leader.is_alive():
        return Finding("leftovers", "None.")
    left = [f"{name} ({process.pid})" for name, process in (record.living() if record else {}).items()]
    if not left and orphan_database(DATA):
        left = ["postgres"]
    if left:
        return Finding("leftovers", f"Running without a leader: {', '.join(left)}.", "./quanyi stop")
    return Finding("leftovers", "None.")


def chromium() -> Finding:
    if found := find_chromium():
        return Finding("chromium", f"{found}.")
    return Finding("chromium", "Missing; browser tests are skipped.", "apt-get install chromium", is_needed=False)


def fonts() -> Finding:
    if has_chinese_font():
        return Finding("fonts", "A Chinese font is there.")
    return Finding("fonts", "No Chinese font; pictures of pages show boxes.", "apt-get install fonts-noto-cjk", is_needed=False)


def caddy() -> Finding:
    if found := find_caddy():
        return Finding("caddy", f"{found}.")
    return Finding("caddy", "Missing; tests over HTTPS are skipped.", "apt-get install caddy", is_needed=False)


def find_caddy() -> str | None:
    return shutil.which("caddy")


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def has_chinese_font() -> bool:
    if shutil.which("fc-list") is None:
        return False
    answer = subprocess.run(["fc-list", ":lang=zh-cn"], capture_output=True, text=True, timeout=30, check=False)
    return bool(answer.stdout.strip())
