"""The QUANYI_ settings of a system in a data folder."""

import hashlib
import hmac
import os
from pathlib import Path

from operations.keys import Keys
from operations.ports import Ports
from tenants.bootstrap import APP, OWNER, Urls, url_for

DATABASE = "quanyi"


def settings_for(ports: Ports, urls: Urls, keys: Keys, folder: Path, *, environment: str = "demo") -> dict[str, str]:
    """What web, worker, migrations and seed of a data folder are told, all of it by environment variables."""
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
        "QUANYI_AUDIT_HEADS": str(folder / "audit-heads"),
        "QUANYI_AUDIT_KEY": hmac.digest(keys.session_secret.encode(), b"audit heads", hashlib.sha256).hex(),
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
