"""What a link product hands out: an address elsewhere, or files of our own. Files are stored sealed, in pieces, in their tenant's schema."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog import filetypes, minting, queries
from app.catalog.minting import MintingRules
from app.catalog.models import ContentFile, DeliveryKind, Product, ProductState
from app.kernel import audit, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.ids import new_id
from app.kernel.vault import keyring
from tenants.directory import Tenant
from tenants.session import raw, tenant_tx

TOKEN = "{token}"  # noqa: S105  # the place where each unit's own token goes
LARGEST_BYTES = 32 * 1024 * 1024
MOST_FILES = 12
MOST_STORED_BYTES = 1024 * 1024 * 1024
_LONGEST_ADDRESS = 500
_PIECE_BYTES = 128 * 1024
_READ_AT_ONCE = 8
NOT_AN_ADDRESS = N_("Type an address that begins with https://, such as https://school.example/course?key={token}.")
ODD_PLACEHOLDER = N_("Only {token} may stand in braces, and not in the name of the host.")


class NothingToOpen(DomainError):
    status = 422
    message = N_("Say first what buyers open: an address, or at least one file.")


class FileRefused(DomainError):
    status = 422
    message = N_("This kind of file is not sold here. It takes: %(kinds)s.")


class FileEmpty(DomainError):
    status = 422
    message = N_("Choose a file that is not empty.")


class FileTooLarge(DomainError):
    status = 422
    message = N_("This file is larger than %(most)s MB. Split it, or name an address where it lies.")


class TooManyFiles(DomainError):
    status = 422
    message = N_("At most %(most)s files for one product. Put several into one ZIP.")


class StoreFull(DomainError):
    status = 422
    message = N_("All files of this shop together may take %(most)s MB. Remove what is not sold any more.")


class LastContent(DomainError):
    message = N_("People who bought this open it still. Add what takes its place first, then take this away.")


def address_fault(address: str) -> str | None:
    """What is wrong with an outside address, as a msgid; None when nothing is. `{token}` becomes each unit's own token."""
    plain = address.replace(TOKEN, "token")
    if "{" in plain or "}" in plain:
        return ODD_PLACEHOLDER
    try:
        parts = urlsplit(plain)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return NOT_AN_ADDRESS
    if len(address) > _LONGEST_ADDRESS or not address.isascii() or any(sign <= " " or sign in '\\"<>^`|' for sign in address):
        return NOT_AN_ADDRESS
    if parts.scheme != "https" or "." not in host or "@" in parts.netloc or port == 0:
        return NOT_AN_ADDRESS
    return ODD_PLACEHOLDER if TOKEN in urlsplit(address).netloc else None


def personal(address: str, token: str) -> str:
    """A product's address for one unit."""
    return address.replace(TOKEN, token)


async def files_of(session: AsyncSession, product_id: UUID) -> Sequence[ContentFile]:
    """A product's files, in the order they were added."""
    of_product = select(ContentFile).where(ContentFile.product_id == product_id)
    return (await session.scalars(of_product.order_by(ContentFile.created_at, ContentFile.id).limit(MOST_FILES))).all()


async def is_openable(session: AsyncSession, product: Product) -> bool:
    """Whether there is something to open."""
    found = await session.scalar(select(ContentFile.id).where(ContentFile.product_id == product.id).limit(1))
    return bool(product.content_address) or found is not None


async def set_content(session: AsyncSession, product_id: UUID, *, address: str, rules: MintingRules, actor: Actor) -> Product:
    """Say where a link leads, how long and how often it opens. A changed address holds for what was sold before too; days and openings do not.

    Raises: NotFound, LastContent when nothing would be left of what was sold.
    """
    product = await _lock(session, product_id)
    before = product.content_address
    product.content_address, product.minting = address, minting.stored(rules)
    await session.flush()
    if before and not address:
        await _refuse_empty(session, product)
    await history.record(session, Happened("product", product_id, "product.content_changed"), actor=actor)
    facts = {"address": address, "valid_days": rules.valid_days, "most_uses": rules.most_uses}
    await audit.record(session, actor, "product.content_changed", subject=("product", product_id), facts=facts)
    return product


async def add_file(session: AsyncSession, product_id: UUID, *, named: str, body: bytes, actor: Actor) -> ContentFile:
    """Store a file, sealed piece by piece. What it is, its bytes say. Locks: the product.

    Raises: NotFound, FileEmpty, FileTooLarge, FileRefused, TooManyFiles, StoreFull.
    """
    kind = _checked(body)
    await _lock(session, product_id)
    if len(await files_of(session, product_id)) >= MOST_FILES:
        raise TooManyFiles(most=MOST_FILES)
    stored = await session.scalar(select(func.coalesce(func.sum(ContentFile.size_bytes), 0)))
    if int(stored or 0) + len(body) > MOST_STORED_BYTES:
        raise StoreFull(most=MOST_STORED_BYTES // 1024**2)
    digest = await asyncio.to_thread(hashlib.sha256, body)
    made = ContentFile(
        id=new_id(),
        product_id=product_id,
        name=filetypes.shown_name(named, kind),
        media_type=kind.media_type,
        size_bytes=len(body),
        sha256=digest.hexdigest(),
    )
    session.add(made)
    await session.flush()
    await _store(session, made.id, body)
    await history.record(session, Happened("product", product_id, "product.file_added"), actor=actor)
    facts = {"name": made.name, "bytes": made.size_bytes, "sha256": made.sha256}
    await audit.record(session, actor, "product.file_added", subject=("product", product_id), facts=facts)
    return made


def _checked(body: bytes) -> filetypes.FileType:
    if not body:
        raise FileEmpty
    if len(body) > LARGEST_BYTES:
        raise FileTooLarge(most=LARGEST_BYTES // 1024**2)
    kind = filetypes.sniffed(body)
    if kind is None:
        raise FileRefused(kinds=filetypes.SOLD_AS)
    return kind


async def _store(session: AsyncSession, file_id: UUID, body: bytes) -> None:
    tx = await raw(session)
    ring = await keyring(tx)
    for seq, start in enumerate(range(0, len(body), _PIECE_BYTES)):
        row_id, piece = new_id(), body[start : start + _PIECE_BYTES].decode("latin-1")
        sealed = await asyncio.to_thread(ring.seal, "content_piece", "body", row_id, piece)
        await tx.execute(_PIECE, file_id, seq, row_id, sealed)


async def remove_file(session: AsyncSession, product_id: UUID, file_id: UUID, *, actor: Actor) -> None:
    """Take a file away, also from those who bought it before. Locks: the product. Raises: NotFound, LastContent."""
    product = await _lock(session, product_id)
    file = await session.get(ContentFile, file_id)
    if file is None or file.product_id != product_id:
        raise NotFound
    await session.delete(file)
    await session.flush()
    await _refuse_empty(session, product)
    await history.record(session, Happened("product", product_id, "product.file_removed"), actor=actor)
    facts = {"name": file.name, "sha256": file.sha256}
    await audit.record(session, actor, "product.file_removed", subject=("product", product_id), facts=facts)


async def _lock(session: AsyncSession, product_id: UUID) -> Product:
    product = await queries.product_or_404(session, product_id)
    if product.delivery_kind != DeliveryKind.LINK:
        raise NotFound
    await session.execute(text("select 1 from product where id = :id for update"), {"id": product_id})
    return product


async def _refuse_empty(session: AsyncSession, product: Product) -> None:
    """A draft may be empty; what was ever on sale is opened by those who bought it."""
    if product.state != ProductState.DRAFT and not await is_openable(session, product):
        raise LastContent


async def body_of(tenant: Tenant, file_id: UUID) -> AsyncIterator[bytes]:
    """A file's bytes, a piece at a time, no transaction open between them: a slow reader holds no connection."""
    seq = 0
    while True:
        async with tenant_tx(tenant) as tx:
            ring = await keyring(tx)
            rows = await tx.fetch(_PIECES, file_id, seq, _READ_AT_ONCE)
        if not rows:
            return
        for row in rows:
            opened = await asyncio.to_thread(ring.open, "content_piece", "body", row["row_id"], row["body"])
            yield opened.reveal().encode("latin-1")
        seq += len(rows)


_PIECE = "insert into content_piece (file_id, seq, row_id, body) values ($1, $2, $3, $4)"
_PIECES = "select row_id, body from content_piece where file_id = $1 and seq >= $2 order by seq limit $3"
