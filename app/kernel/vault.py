"""Secrets at rest: AES-256-GCM under a data key per home, which is sealed by a key-encryption key outside the database.

Sealed bytes are: algorithm (1), key version (2, big-endian), nonce (12, random), ciphertext and tag. The associated data is
home, table, column, row id and key version, so bytes moved to another row, column or tenant do not open. Look-ups and duplicate checks use
a blind index: HMAC-SHA-256 under a separate key. Opened values are `Secret`s, which show nothing unless asked by `reveal`.

Source of the nonce bound: NIST SP 800-38D §8.3, at most 2³² random nonces per key; a data key is replaced long before.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.ext.asyncio import AsyncSession

from app.settings import settings
from tenants.session import Tx, raw

_AES_256_GCM: Final = 1
_HEADER: Final = 3
_NONCE: Final = 12
_CACHED_HOMES: Final = 2000


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


class Keyring:
    """The opened keys of one home: it seals, opens and fingerprints. Kept in memory, never written."""

    def __init__(self, home: UUID, seals: dict[int, bytes], index_key: bytes, link_key: bytes) -> None:
        self._home = home.hex
        self._ciphers = {version: AESGCM(key) for version, key in seals.items()}
        self._current = max(seals)
        self._index_key = index_key
        self._link_key = link_key

    def seal(self, table: str, column: str, row_id: UUID, text: str) -> bytes:
        """Encrypt a text for one place: this home, table, column and row."""
        nonce = secrets.token_bytes(_NONCE)
        header = bytes([_AES_256_GCM]) + self._current.to_bytes(2, "big")
        return (
            header
            + nonce
            + self._ciphers[self._current].encrypt(nonce, text.encode(), self._place(table, column, row_id, self._current))
        )

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


_opened: OrderedDict[UUID, Keyring] = OrderedDict()


async def keyring(on: AsyncSession | Tx) -> Keyring:
    """The keyring of the home a transaction is bound to; its keys are made on first use.

    Idempotent. Raises: CannotOpen when no configured key-encryption key opens the home's keys; then nothing is sealed in plain.
    """
    tx = await raw(on)
    if (ring := _opened.get(tx.tenant.id)) is not None:
        _opened.move_to_end(tx.tenant.id)
        return ring
    rows = await tx.fetch("select purpose, version, wrapped, kek_name from data_key")
    if not rows:
        await _make_keys(tx)
        rows = await tx.fetch("select purpose, version, wrapped, kek_name from data_key")
        return _ring_of(tx.tenant.id, rows)  # not kept: this transaction may yet roll back
    ring = _ring_of(tx.tenant.id, rows)
    _opened[tx.tenant.id] = ring
    if len(_opened) > _CACHED_HOMES:
        _opened.popitem(last=False)
    return ring


def opened_keyring(home: UUID) -> Keyring | None:
    """The keyring of a home this process has opened before, without a transaction; None when it has to be asked for."""
    return _opened.get(home)


def forget_keyrings() -> None:
    """Drop the opened keys of this process, so that the next use reads them again."""
    _opened.clear()


async def _make_keys(tx: Tx) -> None:
    name, kek = _keks()[0]
    for purpose in ("seal", "index", "link"):
        wrapped = _wrap(kek, tx.tenant.id, purpose, secrets.token_bytes(32))
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
    return Keyring(home, keys["seal"], keys["index"][max(keys["index"])], keys["link"][max(keys["link"])])


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
