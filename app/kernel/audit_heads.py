"""Heads of the audit chains, signed and kept outside the database: they show what a chain alone cannot, that it was made anew or cut.

One line of JSON per head, appended to a file per month. Who can rewrite the database can compute a chain that fits; he cannot sign its heads,
and the heads written before no longer fit. A restore from a backup writes down where the chain goes on, so that what it lost is no forgery.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

from app.kernel import audit, clock
from app.settings import settings
from tenants.session import Tx

_FILES = "heads-*.jsonl"


@dataclass(frozen=True, slots=True)
class Head:
    """Where a home's chain stood. After `restored` the chain goes on from here, whatever stood beyond before."""

    home: str
    seq: int
    hash: str
    at: str
    kind: Literal["head", "restored"] = "head"

    @property
    def signature(self) -> str:
        """HMAC-SHA-256 over the head under the key that the database never sees."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hmac.digest(settings().audit_key.encode(), text.encode(), hashlib.sha256).hex()


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a chain, and the first entry that shows it."""

    seq: int
    says: str


async def head_of(tx: Tx, kind: Literal["head", "restored"] = "head") -> Head | None:
    """Where the chain of a transaction's home stands; None while it is empty."""
    row = await tx.fetchrow("select seq, hash from audit_entry order by seq desc limit 1")
    if row is None:
        return None
    return Head(tx.tenant.id.hex, row["seq"], row["hash"].hex(), clock.now().isoformat(timespec="seconds"), kind)


def keep(folder: Path, heads: Iterable[Head]) -> None:
    """Append heads to this month's file, each in one write."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / f"heads-{clock.now():%Y%m}.jsonl").open("a", encoding="utf-8") as file:
        for head in heads:
            file.write(json.dumps({**asdict(head), "signature": head.signature}) + "\n")
            file.flush()


class ForgedHead(RuntimeError):
    """A line among the heads that our key did not sign."""


def kept(folder: Path, homes: Collection[UUID]) -> dict[UUID, list[Head]]:
    """The heads of some homes, each home's oldest first. Raises: ForgedHead for a line that we did not sign."""
    found: dict[str, list[Head]] = {home.hex: [] for home in homes}
    for file in sorted(folder.glob(_FILES)):
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                head = _read(line, f"{file.name}, line {number}")
                if head.home in found:
                    found[head.home].append(head)
    return {UUID(home): heads for home, heads in found.items()}


def _read(line: str, place: str) -> Head:
    try:
        fields = json.loads(line)
        signature = fields.pop("signature")
        head = Head(**fields)
    except (ValueError, KeyError, TypeError):
        raise ForgedHead(place) from None
    if not hmac.compare_digest(head.signature, str(signature)):
        raise ForgedHead(place)
    return head


async def first_fault(tx: Tx, heads: Sequence[Head]) -> Fault | None:
    """The first thing wrong with a home's chain, by itself and against its heads; None when all of it holds."""
    if (seq := await audit.first_broken(tx)) is not None:
        return Fault(seq, "the entry does not fit the one before it: something here was edited, deleted or moved")
    last: int = await tx.fetchval("select coalesce(max(seq), 0) from audit_entry")
    proven = 0
    for head in _standing(heads):
        found = await tx.fetchval("select hash from audit_entry where seq = $1", head.seq)
        if found is None:
            return Fault(
                last + 1, f"entries up to {head.seq} were signed on {head.at} and are gone: the end of the chain was cut off"
            )
        if found.hex() != head.hash:
            return Fault(
                proven + 1,
                f"the chain fits itself, but not the head {head.seq} signed on {head.at}: it was made anew from here on",
            )
        proven = head.seq
    return None


def _standing(heads: Sequence[Head]) -> list[Head]:
    """The heads that must fit, by their place in the chain: without those that a restore took back."""
    standing: list[Head] = []
    for head in heads:
        if head.kind == "restored":
            standing = [earlier for earlier in standing if earlier.seq <= head.seq]
        standing.append(head)
    return sorted(standing, key=lambda head: head.seq)
