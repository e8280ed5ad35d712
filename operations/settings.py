"""The QUANYI_ settings of a system in a data folder, and how a single command comes by them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from operations.keys import Keys, keys_of
from operations.places import DATA
from operations.ports import Ports
from operations.record import is_led, read_record
from tenants.bootstrap import APP, OWNER, Urls, url_for

DATABASE = "quanyi"


def settings_for(ports: Ports, urls: Urls, keys: Keys, *, environment: str = "demo") -> dict[str, str]:
    """What web, worker, migrations and seed are told, all of it by environment variables."""
    outbox = f"http://127.0.0.1:{ports.outbox}"
    return {
        "QUANYI_ENVIRONMENT": environment,
        "QUANYI_BASE_HOST": f"quanyi.localhost:{ports.web}",
        "QUANYI_SHOPS_HOST": f"shop.localhost:{ports.web}",
        "QUANYI_PUBLIC_SCHEME": "http",
        "QUANYI_DATABASE_URL": urls.app_url,
        "QUANYI_OWNER_DATABASE_URL": urls.owner_url,
        "QUANYI_KEY_ENCRYPTION_KEY": keys.key_encryption_key,
        "QUANYI_SESSION_SECRET": keys.session_secret,
        "QUANYI_SMTP_URL": f"smtp://127.0.0.1:{ports.smtp}",
        "QUANYI_MAIL_FROM": "Quanyi <no-reply@quanyi.localhost>",
        "QUANYI_SMS_URL": f"{outbox}/sms",
        "QUANYI_SMS_SECRET": keys.sms_secret,
        "QUANYI_SANDBOX_GATEWAY_URL": f"http://127.0.0.1:{ports.gateway}",
        "QUANYI_ALLOW_LOOPBACK_CALLS": "true",
        "QUANYI_OUTBOX_URL": outbox,
    }


def clean_environment(folder: Path) -> dict[str, str]:
    """The environment of our programs, without settings of another installation and without the administrator's login."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUANYI_") and name != "DATABASE_URL"}
    return {**kept, "PYTHONUNBUFFERED": "1", "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics")}


def urls_on(server: str, keys: Keys) -> Urls:
    """The addresses of a database that was prepared before."""
    return Urls(
        app_url=url_for(server, user=APP, password=keys.app_password, database=DATABASE),
        owner_url=url_for(server, user=OWNER, password=keys.owner_password, database=DATABASE),
    )


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
    from operations.processes import Plan, System

    record = read_record(DATA)
    if record is not None and is_led(DATA):
        keys = keys_of(DATA)
        yield settings_for(Ports(**record.ports), urls_on(record.server, keys), keys)
        return
    system = System(DATA, Plan(usual_ports=True, environment="demo", admin_url=os.environ.get("DATABASE_URL")))
    try:
        system.start_database()
        yield system.settings
    finally:
        with suppress(KeyboardInterrupt):
            system.stop()
