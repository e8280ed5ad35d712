"""Verbs on a shop's face: what it is called, its colour and logo, what its buyers are asked for and told."""

from __future__ import annotations

import html
import re
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog import pictures, queries, richtext
from app.catalog.models import ContactRule, Storefront
from app.kernel import audit
from app.kernel.actor import Actor

LOGO_PX = 512


@dataclass(frozen=True, slots=True)
class Face:
    """What a merchant decides about his shop. The notice is plain text or simple HTML; it is sanitised when it is stored."""

    name: str
    tagline: str
    brand_color: str
    contact_rule: ContactRule
    mails_keys: bool
    support_contact: str
    notice_html: str


async def shop_of(session: AsyncSession) -> Storefront:
    """The tenant's storefront."""
    shop = await queries.storefront(session)
    assert shop is not None, "a tenant has a storefront from its first day"
    return shop


def notice_as_typed(shop: Storefront) -> str:
    """The notice for its form: lines again when it is nothing but paragraphs, else the HTML it was given as."""
    without = re.sub(r"</?p>", "", shop.notice_html)
    if "<" in without:
        return shop.notice_html
    return html.unescape("\n".join(re.findall(r"<p>(.*?)</p>", shop.notice_html, re.S)))


async def change_face(session: AsyncSession, face: Face, *, actor: Actor) -> Storefront:
    """Change a shop's face. What changed is in the audit chain with what was before. Idempotent: nothing changed, nothing is written."""
    shop = await shop_of(session)
    wanted = {**asdict(face), "contact_rule": face.contact_rule.value, "notice_html": richtext.from_plain(face.notice_html)}
    changes = {name: (getattr(shop, name), value) for name, value in wanted.items() if getattr(shop, name) != value}
    for name, (_, value) in changes.items():
        setattr(shop, name, value)
    await session.flush()
    if changes:
        await _record(session, shop, actor, changes)
    return shop


async def set_logo(session: AsyncSession, upload: bytes, *, actor: Actor) -> Storefront:
    """Put an uploaded picture on the shop. Raises: NotAPicture."""
    shop = await shop_of(session)
    before = shop.logo_id
    shop.logo_id = (await pictures.store(session, upload, most_px=LOGO_PX)).id
    await session.flush()
    await _record(session, shop, actor, {"logo": (before, shop.logo_id)})
    return shop


async def drop_logo(session: AsyncSession, *, actor: Actor) -> Storefront:
    """Take the picture off the shop; its initial stands in for it. Idempotent."""
    shop = await shop_of(session)
    if shop.logo_id is not None:
        before, shop.logo_id = shop.logo_id, None
        await session.flush()
        await _record(session, shop, actor, {"logo": (before, None)})
    return shop


async def _record(session: AsyncSession, shop: Storefront, actor: Actor, changes: dict[str, tuple[Any, Any]]) -> None:
    facts = {name: {"before": _short(before), "after": _short(after)} for name, (before, after) in changes.items()}
    await audit.record(session, actor, "storefront.changed", subject=("storefront", shop.id), facts=facts)


def _short(value: object) -> object:
    return value if value is None or isinstance(value, bool) else str(value)[:200]
