"""The second factor: one-time codes from an authenticator (TOTP), each used once, and ten recovery codes that stand in for it.

Source: RFC 6238; a code counts for its own 30 seconds and the step before and after.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from uuid import UUID

import pyotp

from app.access import passwords, sessions
from app.access.accounts import record
from app.access.log_ins import prove_password, rotate
from app.access.sessions import Browser, Identity
from app.kernel import rates
from app.kernel.errors import N_, DomainError
from app.kernel.ids import new_id
from app.kernel.rates import Limit
from app.kernel.vault import keyring
from tenants.directory import PLATFORM
from tenants.session import Tx, tenant_tx

STEP_S = 30
RECOVERY_CODES = 10
_TRIES = Limit("second-factor", 10, 900)
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


class WrongCode(DomainError):
    status = 422
    message = N_("That code does not fit or was used already. Wait for the next one and type it.")


class NotBegun(DomainError):
    message = N_("Start turning on the second factor once more; this attempt is over.")


class PasswordTooShortAlone(DomainError):
    status = 422
    message = N_("Without a second factor a password needs 12 characters. Choose a longer one first.")


async def start(identity: Identity, *, password: str) -> None:
    """Draw a secret for an authenticator; it counts once a code has confirmed it. Raises: WrongPassword, TooMany."""
    await prove_password(identity, password)
    async with tenant_tx(PLATFORM) as tx:
        secret = pyotp.random_base32()
        sealed = (await keyring(tx)).seal("app_user", "totp_secret", identity.user_id, secret)
        await tx.execute(_BEGIN, identity.user_id, sealed)


async def uri_of(identity: Identity) -> str:
    """What the authenticator scans while the second factor is being turned on. Raises: NotBegun."""
    async with tenant_tx(PLATFORM) as tx:
        secret = await _secret(tx, identity.user_id, is_confirmed=False)
    if secret is None:
        raise NotBegun
    return pyotp.TOTP(secret).provisioning_uri(name=identity.email, issuer_name="Quanyi")


async def confirm(identity: Identity, *, code: str, browser: Browser) -> tuple[list[str], str]:
    """Turn the second factor on; ten recovery codes, shown this once, and this browser's new session. Raises: WrongCode, NotBegun, TooMany."""
    await rates.count(PLATFORM, _TRIES, str(identity.user_id))
    async with tenant_tx(PLATFORM) as tx:
        secret = await _secret(tx, identity.user_id, is_confirmed=False)
        if secret is None:
            raise NotBegun
        await _use_code(tx, identity.user_id, secret, code)
        await tx.execute("update app_user set totp_confirmed_at = now() where id = $1", identity.user_id)
        codes = await _draw_codes(tx, identity.user_id)
        await record(tx, identity, "account.second_factor_on")
        token = await rotate(tx, identity, browser=browser)
    await rates.give_back(PLATFORM, _TRIES, str(identity.user_id))
    return codes, token


async def renew_codes(identity: Identity, *, password: str) -> list[str]:
    """Ten new recovery codes; the old ones are worth nothing. Raises: WrongPassword, TooMany."""
    await prove_password(identity, password)
    async with tenant_tx(PLATFORM) as tx:
        codes = await _draw_codes(tx, identity.user_id)
        await record(tx, identity, "account.recovery_codes_renewed")
    return codes


async def turn_off(identity: Identity, *, password: str, browser: Browser) -> str:
    """Do without the second factor; this browser's new session. Raises: WrongPassword, PasswordTooShortAlone, TooMany."""
    await prove_password(identity, password)
    if not passwords.is_long_alone(password):
        raise PasswordTooShortAlone
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute(_TURN_OFF, identity.user_id)
        await tx.execute("delete from recovery_code where user_id = $1", identity.user_id)
        await record(tx, identity, "account.second_factor_off")
        return await rotate(tx, identity, browser=browser)


async def answer(identity: Identity, *, code: str, browser: Browser) -> str:
    """The second step of a log-in, by a code or a recovery code: a whole session's token, the half one is dead. Raises: WrongCode, TooMany."""
    await rates.count(PLATFORM, _TRIES, str(identity.user_id))
    async with tenant_tx(PLATFORM) as tx:
        typed = re.sub(r"[\s-]", "", code).lower()
        if typed.isdigit():
            secret = await _secret(tx, identity.user_id, is_confirmed=True)
            if secret is None:
                raise WrongCode
            await _use_code(tx, identity.user_id, secret, typed)
        else:
            await _use_recovery_code(tx, identity.user_id, typed)
        await tx.execute("delete from user_session where id = $1", identity.session_id)
        token = await sessions.open_session(tx, user_id=identity.user_id, browser=browser)
    await rates.give_back(PLATFORM, _TRIES, str(identity.user_id))
    return token


async def codes_left(tx: Tx, user_id: UUID) -> int:
    """How many recovery codes have not been used."""
    left: int = await tx.fetchval("select count(*) from recovery_code where user_id = $1 and used_at is null", user_id)
    return left


async def _secret(tx: Tx, user_id: UUID, *, is_confirmed: bool) -> str | None:
    row = await tx.fetchrow(_SEALED, user_id, is_confirmed)
    if row is None:
        return None
    return (await keyring(tx)).open("app_user", "totp_secret", user_id, row["totp_secret"]).reveal()


async def _use_code(tx: Tx, user_id: UUID, secret: str, code: str) -> None:
    """Each step counts once: of two uses of one code the second changes no row. Locks: the user's row. Raises: WrongCode."""
    plain = re.sub(r"\s", "", code)
    now_step = int(time.time()) // STEP_S
    totp = pyotp.TOTP(secret)
    fitting = [
        step for step in (now_step - 1, now_step, now_step + 1) if pyotp.utils.strings_equal(plain, totp.at(step * STEP_S))
    ]
    if not fitting or not await tx.execute(_USE_STEP, user_id, max(fitting)):
        raise WrongCode


async def _use_recovery_code(tx: Tx, user_id: UUID, code: str) -> None:
    if not await tx.execute(_USE_RECOVERY, user_id, _hash(user_id, code)):
        raise WrongCode


async def _draw_codes(tx: Tx, user_id: UUID) -> list[str]:
    await tx.execute("delete from recovery_code where user_id = $1", user_id)
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(10)) for _ in range(RECOVERY_CODES)]
    codes = [code if not code.isdigit() else "a" + code[1:] for code in codes]
    rows = [(new_id(), user_id, _hash(user_id, code), position) for position, code in enumerate(codes, 1)]
    await tx.executemany("insert into recovery_code (id, user_id, code_hash, position) values ($1, $2, $3, $4)", rows)
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def _hash(user_id: UUID, code: str) -> bytes:
    """SHA-256 is enough for 49 random bits that are tried at most ten times in a quarter of an hour."""
    return hashlib.sha256(f"{user_id}\x1f{code}".encode()).digest()


_BEGIN = "update app_user set totp_secret = $2, totp_last_step = null where id = $1 and totp_confirmed_at is null"
_TURN_OFF = "update app_user set totp_secret = null, totp_confirmed_at = null, totp_last_step = null where id = $1"
_SEALED = """
select totp_secret from app_user
where id = $1 and totp_secret is not null and (totp_confirmed_at is not null) = $2
"""
_USE_STEP = "update app_user set totp_last_step = $2 where id = $1 and (totp_last_step is null or totp_last_step < $2)"
_USE_RECOVERY = """
update recovery_code set used_at = now()
where id = (select id from recovery_code where user_id = $1 and code_hash = $2 and used_at is null for update) and used_at is null
"""
