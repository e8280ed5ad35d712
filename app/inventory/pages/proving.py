"""Counting a key that staff want to see, on whatever page they ask: the first few on the log-in alone, further ones with the password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.access import log_ins
from app.access.log_ins import WrongPassword
from app.access.pages.me import me
from app.inventory import revealing
from app.kernel.actor import Actor
from app.kernel.forms import RawForm, invalid
from app.kernel.web import AnyRequest
from tenants.directory import Tenant


async def count_reveal(
    request: AnyRequest, tenant: Tenant, *, actor: Actor, sent: RawForm, retry: str, context: Mapping[str, Any]
) -> None:
    """Count one reveal before it is made. Raises: InvalidForm while the password is wanted or wrong, TooManyReveals, TooMany."""
    password = sent.get("password")
    try:
        if password:
            await log_ins.prove_password(await me(request), password)
        await revealing.count_reveal(tenant, actor, is_proved=bool(password))
    except (WrongPassword, revealing.ProofWanted) as refusal:
        raise invalid(sent, {"password": refusal.message}, retry=retry, **context) from None
