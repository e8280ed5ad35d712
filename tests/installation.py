"""One installation for a test process: an embedded PostgreSQL, migrated once, with the settings every process would have."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from operations.leftovers import delete_killed
from operations.ports import free_ports
from operations.record import Record, identity_of
from tenants.bootstrap import Passwords, Urls, prepare_database
from tenants.embedded import EmbeddedPostgres

SETTINGS = {
    "shared_buffers": "64MB",
    "max_locks_per_transaction": "256",
    "fsync": "off",
    "synchronous_commit": "off",
    "max_connections": "150",
}


def pg_bin() -> Path | None:
    """Another PostgreSQL's programs, when the suite is run on it."""
    named = os.environ.get("QUANYI_TEST_PG_BIN")
    return Path(named) if named else None


def free_port() -> int:
    """A port nobody listens on this moment."""
    return free_ports(1)[0]


class Installation:
    """The database and its settings. They are in the environment before anything of the application is imported."""

    def __init__(self, *, gateway_url: str, outbox_url: str, smtp_port: int) -> None:
        delete_killed()
        self.folder = Path(tempfile.mkdtemp(prefix="quanyi-test-"))
        self.folder.chmod(0o711)
        self.port = free_port()
        Record(identity_of(os.getpid()), "embedded", {}).write(self.folder)
        self.postgres = EmbeddedPostgres(self.folder / "postgres", bin_dir=pg_bin(), settings=SETTINGS).start()
        self.urls: Urls = prepare_database(
            self.postgres.admin_url(), name="quanyi", passwords=Passwords(owner="o" * 12, app="a" * 12)
        )
        os.environ.update(
            {
                "QUANYI_ENVIRONMENT": "test",
                "QUANYI_BASE_HOST": f"quanyi.localhost:{self.port}",
                "QUANYI_SHOPS_HOST": f"shop.localhost:{self.port}",
                "QUANYI_PUBLIC_SCHEME": "http",
                "QUANYI_DATABASE_URL": self.urls.app_url,
                "QUANYI_OWNER_DATABASE_URL": self.urls.owner_url,
                "QUANYI_KEY_ENCRYPTION_KEY": "k1:" + base64.b64encode(secrets.token_bytes(32)).decode(),
                "QUANYI_SESSION_SECRET": secrets.token_hex(32),
                "QUANYI_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
                "QUANYI_SMS_URL": f"{outbox_url}/sms",
                "QUANYI_SMS_SECRET": "sms-secret",
                "QUANYI_SANDBOX_GATEWAY_URL": gateway_url,
                "QUANYI_ALLOW_LOOPBACK_CALLS": "true",
                "QUANYI_OUTBOX_URL": outbox_url,
                "QUANYI_SPARE_TENANTS": "5",
                "QUANYI_CHECKOUTS_PER_MINUTE": "100000",
                "QUANYI_SIGN_UPS_PER_HOUR": "100000",
                "QUANYI_LOG_LEVEL": "WARNING",
            }
        )

    def delete(self) -> None:
        self.postgres.delete()
        shutil.rmtree(self.folder)
