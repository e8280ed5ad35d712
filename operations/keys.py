"""The generated secrets of one data folder, in `secrets.json`, readable by its owner alone."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from operations.trouble import Trouble
from tenants.bootstrap import Passwords


@dataclass(frozen=True)
class Keys:
    """Each is made at random the first time and kept: without `key_encryption_key` the stored card-keys cannot be read."""

    owner_password: str = field(repr=False)
    app_password: str = field(repr=False)
    key_encryption_key: str = field(repr=False)
    session_secret: str = field(repr=False)
    sms_secret: str = field(repr=False)

    @property
    def passwords(self) -> Passwords:
        return Passwords(owner=self.owner_password, app=self.app_password)


def keys_of(folder: Path) -> Keys:
    """The folder's secrets. Idempotent: made once, read ever after."""
    file = folder / "secrets.json"
    try:
        return Keys(**json.loads(file.read_text()))
    except FileNotFoundError:
        return _make(file)
    except (ValueError, TypeError) as problem:
        raise Trouble(f"{file} is damaged ({problem}). Restore it, or start over with ./quanyi reset.") from None


def _make(file: Path) -> Keys:
    keys = Keys(
        owner_password=secrets.token_urlsafe(24),
        app_password=secrets.token_urlsafe(24),
        key_encryption_key="k1:" + base64.b64encode(secrets.token_bytes(32)).decode(),
        session_secret=secrets.token_urlsafe(32),
        sms_secret=secrets.token_urlsafe(32),
    )
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(asdict(keys), out, indent=2)
    unfinished.rename(file)
    return keys
