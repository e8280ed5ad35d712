"""What a machine shows: names and secrets that say which tenant they are of, so that each is only ever looked for in that tenant's own schema. Pure."""

from __future__ import annotations

import base64
import binascii
import secrets
from uuid import UUID

CLIENT, SECRET, TOKEN = "qyc", "qys", "qyt"
"""How a client's name, its secret and an access token begin."""
_LONGEST = 200
_NAME_BYTES, _SECRET_BYTES = 9, 32


def new_client_key(tenant_id: UUID) -> str:
    return _new(CLIENT, tenant_id, _NAME_BYTES)


def new_secret(tenant_id: UUID) -> str:
    """256 random bits: a plain hash keeps them safe at rest."""
    return _new(SECRET, tenant_id, _SECRET_BYTES)


def new_token(tenant_id: UUID) -> str:
    return _new(TOKEN, tenant_id, _SECRET_BYTES)


def _new(kind: str, tenant_id: UUID, size: int) -> str:
    home = base64.urlsafe_b64encode(tenant_id.bytes).decode().rstrip("=")
    return f"{kind}_{home}.{secrets.token_urlsafe(size)}"


def tenant_of(credential: str, kind: str) -> UUID | None:
    """The tenant a credential of this kind says it is of; None for what is none."""
    begin, _, rest = credential.partition("_")
    home, dot, own = rest.partition(".")
    if begin != kind or not dot or not own or len(credential) > _LONGEST or len(home) != 22 or not credential.isascii():
        return None
    try:
        return UUID(bytes=base64.urlsafe_b64decode(home + "=="))
    except (binascii.Error, ValueError):
        return None
