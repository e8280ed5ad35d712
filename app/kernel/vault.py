"""Secrets at rest: AES-256-GCM under a data key per home, which is sealed by a key-encryption key outside the database.

Sealed bytes are: algorithm (1), key version (2, big-endian), nonce (12, random), ciphertext and tag. The associated data is
home, table, column, row id and key version, so bytes moved to another row, column or tenant do not open. Look-ups and duplicate checks use
a blind index: HMAC-SHA-256 under a separate key. Opened values are `Secret`s, which show nothing unless asked by `reveal`.

Keys are changed while everything runs (`rekeying`): a new data key seals only once every process has had the time to read it, and the
old ones open what they sealed for ever.

Source of the nonce bound: NIST SP 800-38D §8.3, at most 2³² random nonces per key. Uses are counted in steps, and half of that is refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

import asyncpg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.ext.asyncio import AsyncSession

from app.settings import settings
from tenants.directory import PLATFORM
from tenants.session import AWAY, Tx, raw, tenant_tx

_AES_256_GCM: Final = 1
_HEADER: Final = 3
_NONCE: Final = 12
_CACHED_HOMES: Final = 2000
FRESH_S: Final = 5.0
"""How long opened keys are believed without reading them again."""
SETTLES_S: Final = 3 * FRESH_S
"""How long a new data key is only opened with: by then every process has read it."""
_COUNTED_BY: Final = 4096
"""Uses of a key are written down in steps of so many."""
MOST_USES: Final = 2**31


class Secret:
    """A value that must not be seen by accident: repr, str, format and JSON show only its mask."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. The caller answers for the audit entry."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(****)"

    def __str__(self) -> str:
        return "****"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not written anywhere")


class CannotOpen(RuntimeError):
    """Sealed bytes were changed, moved to another place, or sealed under a key we do not have."""


class KeyWornOut(RuntimeError):
    """A data key has sealed as much as one may. `./quanyi keys rotate` makes the next."""


class Keyring:
    """The opened keys of one home: it seals, opens and fingerprints. Kept in memory, never written.

    `current` is the version that seals; `uses` of it are those of all processes when it was read, and then our own.
    """

    def __init__(self, home: UUID, seals: dict[int, bytes], current: int, index_key: bytes, link_key: bytes) -> None:
        self._home = home.hex
        self._ciphers = {version: AESGCM(key) for version, key in seals.items()}
        self.current = current
        self.uses = 0
        self.uncounted = 0
        self._index_key = index_key
        self._link_key = link_key

    def seal(self, table: str, column: str, row_id: UUID, text: str) -> bytes:
        """Encrypt a text for one place: this home, table, column and row. Raises: KeyWornOut."""
        if self.uses >= MOST_USES:
            raise KeyWornOut(f"data key {self.current} of {self._home}: run ./quanyi keys rotate")
        self.uses += 1
        self.uncounted += 1
        nonce = secrets.token_bytes(_NONCE)
        header = bytes([_AES_256_GCM]) + self.current.to_bytes(2, "big")
        place = self._place(table, column, row_id, self.current)
        return header + nonce + self._ciphers[self.current].encrypt(nonce, text.encode(), place)

    def open(self, table: str, column: str, row_id: UUID, sealed: bytes) -> Secret:
        """Decrypt bytes sealed for the same place. Raises: CannotOpen."""
        version = int.from_bytes(sealed[1:_HEADER], "big")
        if sealed[:1] != bytes([_AES_256_GCM]) or version not in self._ciphers:
            raise CannotOpen(f"{table}.{column}: unknown key or algorithm")
        nonce, body = sealed[_HEADER : _HEADER + _NONCE], sealed[_HEADER + _NONCE :]
        try:
            return Secret(self._ciphers[version].decrypt(nonce, body, self._place(table, column, row_id, version)).decode())
        except InvalidTag:
            raise CannotOpen(f"{table}.{column}: does not belong here") from None

    def fingerprint(self, purpose: str, text: str) -> bytes:
        """The blind index of a normalised text: equal texts of one purpose give equal bytes, and nothing else is learnt."""
        return hmac.digest(self._index_key, f"{purpose}\x1f{text}".encode(), hashlib.sha256)

    def link_signature(self, purpose: str, subject: UUID) -> str:
        """128 bits that prove a link to a subject was made by us, for links that stand in place of a log-in."""
        return (
            base64.urlsafe_b64encode(hmac.digest(self._link_key, f"{purpose}\x1f{subject.hex}".encode(), hashlib.sha256)[:16])
            .decode()
            .rstrip("=")
        )

    def _place(self, table: str, column: str, row_id: UUID, version: int) -> bytes:
        return f"{self._home}|{table}|{column}|{row_id.hex}|{version}".encode()


_opened: OrderedDict[UUID, tuple[float, Keyring]] = OrderedDict()


async def keyring(on: AsyncSession | Tx) -> Keyring:
    """The keyring of the home a transaction is bound to; its keys are made on first use.

    Idempotent. Raises: CannotOpen when no configured key-encryption key opens the home's keys; then nothing is sealed in plain.
    """
    tx = await raw(on)
    read_at, ring = _opened.get(tx.tenant.id, (0.0, None))
    if ring is not None and ring.uncounted >= _COUNTED_BY:
        await _count_uses(tx, ring)
    if ring is not None and time.monotonic() - read_at < FRESH_S:
        _opened.move_to_end(tx.tenant.id)
        return ring
    rows = await tx.fetch(_KEYS, SETTLES_S)
    if not rows:
        await _make_keys(tx)
        return _ring_of(tx.tenant.id, await tx.fetch(_KEYS, SETTLES_S))  # not kept: this transaction may yet roll back
    return _keep(tx.tenant.id, _ring_of(tx.tenant.id, rows), ring)


def _keep(home: UUID, ring: Keyring, before: Keyring | None) -> Keyring:
    """Remember a ring that was just read, with the uses of the one before that nobody wrote down yet."""
    if before is not None and before.current == ring.current:
        ring.uncounted = before.uncounted
        ring.uses += before.uncounted
    _opened[home] = (time.monotonic(), ring)
    if len(_opened) > _CACHED_HOMES:
        _opened.popitem(last=False)
    return ring


async def _count_uses(tx: Tx, ring: Keyring) -> None:
    """Write our uses down, unless another transaction is just doing it. A step that is rolled back is not counted, which the bound allows for."""
    if await tx.fetchval("select current_setting('transaction_read_only')") == "off":
        ring.uncounted -= await tx.fetchval(_COUNT_USES, ring.current, ring.uncounted) or 0


def opened_keyring(home: UUID) -> Keyring | None:
    """The keyring of a home this process has opened before, without a transaction; None when it has to be asked for.

    It may be some time old: for signing links, whose key never changes.
    """
    return _opened.get(home, (0.0, None))[1]


async def refuse_wrong_keys() -> None:
    """Asked of the platform when a process starts, so that one with a wrong key-encryption key does not start. Raises: CannotOpen.

    While the database is away nothing can be asked; what needs a key later is refused then.
    """
    with suppress(*AWAY):
        async with tenant_tx(PLATFORM) as tx:
            if await tx.fetchval("select to_regclass('data_key')"):
                await keyring(tx)


def forget_keyrings() -> None:
    """Drop the opened keys of this process, so that the next use reads them again."""
    _opened.clear()


async def _make_keys(tx: Tx) -> None:
    for purpose in ("seal", "index", "link"):
        name, wrapped = new_wrapped(tx.tenant.id, purpose, secrets.token_bytes(32))
        await tx.execute(
            "insert into data_key (purpose, version, wrapped, kek_name) values ($1, 1, $2, $3) on conflict do nothing",
            purpose,
            wrapped,
            name,
        )


def _ring_of(home: UUID, rows: Sequence[asyncpg.Record]) -> Keyring:
    keks = dict(_keks())
    keys: dict[str, dict[int, bytes]] = {"seal": {}, "index": {}, "link": {}}
    for row in rows:
        name, purpose = row["kek_name"], row["purpose"]
        if name not in keks:
            raise CannotOpen(f"data key {purpose} {row['version']} needs the key-encryption key {name!r}")
        keys[purpose][row["version"]] = _unwrap(keks[name], home, purpose, row["wrapped"])
    uses = {row["version"]: row["uses"] for row in rows if row["purpose"] == "seal" and row["is_settled"]}
    current = max(uses, default=min(keys["seal"]))
    ring = Keyring(home, keys["seal"], current, keys["index"][max(keys["index"])], keys["link"][max(keys["link"])])
    ring.uses = uses.get(current, 0)
    return ring


def is_wrapped_by_old(row: asyncpg.Record) -> bool:
    """Whether a data key is wrapped by another key-encryption key than the one that wraps now."""
    return bool(row["kek_name"] != _keks()[0][0])


def wrapped_anew(home: UUID, row: asyncpg.Record) -> tuple[bytes, str]:
    """A home's data key under the key-encryption key that wraps now, and that key's name. Raises: CannotOpen."""
    if (old := dict(_keks()).get(row["kek_name"])) is None:
        raise CannotOpen(f"data key {row['purpose']} {row['version']} needs the key-encryption key {row['kek_name']!r}")
    name, wrapped = new_wrapped(home, row["purpose"], _unwrap(old, home, row["purpose"], row["wrapped"]))
    return wrapped, name


def new_wrapped(home: UUID, purpose: str, key: bytes) -> tuple[str, bytes]:
    """The name of the key-encryption key that wraps now, and a home's key under it."""
    name, kek = _keks()[0]
    return name, _wrap(kek, home, purpose, key)


def _keks() -> list[tuple[str, bytes]]:
    parts = (part.partition(":") for part in settings().key_encryption_key.split(","))
    return [(name, base64.b64decode(encoded)) for name, _, encoded in parts]


def _wrap(kek: bytes, home: UUID, purpose: str, key: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(kek).encrypt(nonce, key, f"{home.hex}|{purpose}".encode())


def _unwrap(kek: bytes, home: UUID, purpose: str, wrapped: bytes) -> bytes:
    try:
        return AESGCM(kek).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], f"{home.hex}|{purpose}".encode())
    except InvalidTag:
        raise CannotOpen(f"data key {purpose}: the configured key-encryption key does not open it") from None


_KEYS = """
select purpose, version, wrapped, kek_name, uses, created_at < now() - make_interval(secs => $1) as is_settled from data_key
"""
_COUNT_USES = """
update data_key set uses = uses + $2
where (purpose, version) = (select purpose, version from data_key where purpose = 'seal' and version = $1 for update skip locked)
returning $2::bigint
"""
