"""Opening what a link's unit is for: who holds its address sees what is left of it; each opening of the outside address or of a file counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from app.catalog import contents
from app.catalog import minting as rules
from app.fulfillment import minting
from app.fulfillment.models import MintedState
from app.kernel import clock
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import NotFound
from app.kernel.vault import keyring
from app.ordering.models import UnitState
from tenants.session import Tx

_MARK_BYTES = 4


@dataclass(frozen=True, slots=True)
class File:
    """One file to fetch."""

    id: UUID
    name: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Link:
    """A link's unit as its holder sees it. `why` says why it does not open, empty while it does."""

    id: UUID
    order_no: str
    what: str
    has_address: bool
    files: tuple[File, ...]
    uses: int
    most_uses: int
    ends_on: date | None
    why: str
    revoked_at: datetime | None
    rules: rules.MintingRules
    usage_html: str
    contact_masked: str

    @property
    def left(self) -> int:
        return 0 if self.why else self.most_uses - self.uses


@dataclass(frozen=True, slots=True)
class Opened:
    """What an opening gave: the unit's own address elsewhere, or a file."""

    address: str = field(default="", repr=False)
    file: File | None = None


async def link_or_404(tx: Tx, minted_id: UUID) -> Link:
    """A link's unit. Raises: NotFound."""
    row = await tx.fetchrow(_LINK, minted_id)
    if row is None:
        raise NotFound
    files = tuple(File(*one) for one in await tx.fetch(_FILES, row["product_id"]))
    own = rules.rules_of(json.loads(row["rules"]))
    return Link(
        id=minted_id,
        order_no=row["order_no"],
        what=f"{row['product_name']} {row['sku_name']}",
        has_address=bool(row["content_address"]),
        files=files,
        uses=row["uses"],
        most_uses=row["most_uses"],
        ends_on=row["ends_on"],
        why=_why(row, own),
        revoked_at=row["revoked_at"],
        rules=own,
        usage_html=row["usage_html"],
        contact_masked=row["contact_masked"],
    )


def _why(row: asyncpg.Record | Mapping[str, Any], own: rules.MintingRules) -> str:
    """revoked, given_back, over, not_yet or used_up: the first that holds."""
    today = clock.business_day()
    if row["state"] == MintedState.REVOKED:
        return "revoked"
    if row["unit_state"] != UnitState.DELIVERED:
        return "given_back"
    if row["ends_on"] and today > row["ends_on"]:
        return "over"
    if own.valid_from and today < own.valid_from:
        return "not_yet"
    return "used_up" if row["uses"] >= row["most_uses"] else ""


async def open_content(tx: Tx, minted_id: UUID, *, file_id: UUID | None, address: str) -> Opened:
    """Open a link's address, or one of its files, and count it; `address` is the network's it is asked from. The file's bytes are read later.

    Locks: the minted good and its unit. Raises: NotFound, and what `minting.open_link` raises.
    """
    link = await link_or_404(tx, minted_id)
    file = next((one for one in link.files if one.id == file_id), None)
    if file is None and (file_id is not None or not link.has_address):
        raise NotFound
    ring = await keyring(tx)
    mark = ring.fingerprint("content_address", address).hex()[: 2 * _MARK_BYTES]
    buyer = Actor(ActorKind.BUYER, None, link.contact_masked)
    await minting.open_link(tx, minted_id, what=file.name if file else "", mark=mark, actor=buyer)
    if file is not None:
        return Opened(file=file)
    outside = await tx.fetchval(_ADDRESS, minted_id)
    return Opened(address=contents.personal(outside, (await minting.open_code(tx, minted_id)).reveal()))


_LINK = """
select m.state, m.uses, m.most_uses, m.rules::text as rules, m.ends_on, m.revoked_at, u.state as unit_state,
       l.product_id, l.product_name, l.sku_name, o.order_no, o.contact_masked, p.content_address, p.usage_html
from minted_good m
join delivery_unit u on u.order_line_id = m.order_line_id and u.unit_no = m.unit_no
join order_line l on l.id = m.order_line_id
join shop_order o on o.id = l.order_id
join product p on p.id = l.product_id
where m.id = $1 and m.kind = 'link'
"""
_FILES = "select id, name, media_type, size_bytes from content_file where product_id = $1 order by created_at, id limit 100"
_ADDRESS = """
select p.content_address
from minted_good m join order_line l on l.id = m.order_line_id join product p on p.id = l.product_id
where m.id = $1
"""
