"""How a single command comes by an installation's settings: from outside, from the running demo, or from this checkout's own database."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from operations.keys import keys_of
from operations.places import DATA
from operations.ports import Ports
from operations.processes import Plan, System
from operations.record import is_led, read_record
from operations.settings import settings_for, urls_on


def is_configured() -> bool:
    """Whether the environment names an installation's database itself, as in production."""
    return "QUANYI_DATABASE_URL" in os.environ


@contextmanager
def settings_in_environment(**more: str) -> Iterator[None]:
    """Inside, os.environ holds settings of a database that is up.

    They are those given from outside, else the running demo's, else those of this checkout's own database, started for as long.
    """
    if is_configured():
        yield
        return
    with _settings_here() as settings:
        before = dict(os.environ)
        os.environ.update({**settings, **more})
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def _settings_here() -> Iterator[dict[str, str]]:
    record = read_record(DATA)
    if record is not None and is_led(DATA):
        keys = keys_of(DATA)
        yield settings_for(Ports(**record.ports), urls_on(record.server, keys), keys, DATA)
        return
    system = System(DATA, Plan(usual_ports=True, environment="demo", admin_url=os.environ.get("DATABASE_URL")))
    try:
        system.start_database()
        yield system.settings
    finally:
        with suppress(KeyboardInterrupt):
            system.stop()
