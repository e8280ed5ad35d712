"""`./quanyi demo`: everything up, with demo data, until it is told to stop."""

import argparse
import json
import os
import sys
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from operations.demo_data import SUPPLIERS
from operations.leftovers import clear_leftovers
from operations.places import DATA, shown
from operations.preparation import logins_file
from operations.processes import Plan, System
from operations.record import read_record
from operations.signals import StopAsked, ignore_signals, stop_on_signals
from operations.trouble import Trouble

WATCH_S = 0.3


def run(arguments: list[str]) -> int:
    options = _options(arguments)
    started = time.monotonic()
    _refuse_second_demo()
    clear_leftovers(DATA, say=_say)
    plan = Plan(
        usual_ports=True,
        admin_url=os.environ.get("DATABASE_URL"),
        environment="demo",
        web_processes=options.processes,
        seeded=not options.empty,
        suppliers=SUPPLIERS,
        spares_suppliers=True,
    )
    system = System(DATA, plan, say=_say)
    with stop_on_signals():
        try:
            system.start()
            print(welcome(system, ready_s=time.monotonic() - started), flush=True)
            return _watch(system)
        except StopAsked:
            _say("\nStopping ...")
            return 0
        finally:
            ignore_signals()
            system.stop()
            _say("Stopped.")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./quanyi demo", description="Start everything with demo data; Ctrl-C stops it.")
    parser.add_argument("--empty", action="store_true", help="put no demo data in")
    parser.add_argument("--processes", type=int, default=2, choices=range(1, 17), metavar="N", help="web processes, 2 by default")
    return parser.parse_args(arguments)


def _refuse_second_demo() -> None:
    record = read_record(DATA)
    if record is not None and record.leader.is_alive():
        raise Trouble(
            f"The demo of this checkout runs already, at http://app.quanyi.localhost:{record.ports['web']} "
            f"(process {record.leader.pid}). ./quanyi stop ends it."
        )


def _watch(system: System) -> int:
    """Until a signal comes. A part that ends by itself takes all down, with the end of its log."""
    while (ended := system.first_ended()) is None:
        time.sleep(WATCH_S)
    if ended in system.children:
        child = system.children[ended]
        raise child.trouble(child.ending())
    assert system.postgres is not None
    raise Trouble(f"The database ended by itself. See {shown(system.postgres.log)}.")


# What is printed


def welcome(system: System, *, ready_s: float) -> str:
    """Addresses, log-ins and how to stop."""
    ports = system.ports
    places = [
        ("Merchants and operators", system.app_url),
        ("Shops", system.shop_url("NAME").replace("NAME", "<shop>")),
        ("Mail and text messages", system.outbox),
        ("Group chats", f"{system.outbox}/robots"),
        ("Payment gateway", system.gateway),
        *((f"Supplier {protocol}: its book", f"{system.supplier(protocol)}/desk/book") for protocol in system.supplier_ports),
        ("Database", f"127.0.0.1:{ports.postgres}" if system.postgres else "the server of DATABASE_URL"),
        ("Logs, secrets, data", shown(system.folder)),
    ]
    lines = ["", f"Quanyi runs (ready in {ready_s:.1f} s).", "", *_table(places)]
    if logins := _logins(system):
        lines += ["", "Log-ins", "", *_table(logins)]
    return "\n".join([*lines, "", "Ctrl-C stops everything; so does ./quanyi stop from another terminal.", ""])


def _logins(system: System) -> list[tuple[str, ...]]:
    return [
        (entry["who"], _address(system, entry), entry.get("login", ""), entry.get("password", ""))
        for entry in read_logins(logins_file(system.folder))
    ]


def read_logins(file: Path) -> list[dict[str, str]]:
    """What the seed wrote: who, surface (`app` or `shop:<slug>`), path, and login and password where there are any."""
    try:
        found: list[dict[str, str]] = json.loads(file.read_text())
    except (OSError, ValueError):
        return []
    return found


def _address(system: System, entry: dict[str, str]) -> str:
    surface, _, slug = entry.get("surface", "app").partition(":")
    origin = system.shop_url(slug) if surface == "shop" else system.app_url
    return origin + entry.get("path", "/")


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)]
    padded = [[cell + " " * (width - _columns(cell)) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return ["  " + "   ".join(row).rstrip() for row in padded]


def _columns(text: str) -> int:
    """How wide a text is in a terminal: a Han character takes two columns."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
