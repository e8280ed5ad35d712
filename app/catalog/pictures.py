"""Uploaded pictures: decoded and encoded again by us, so that what we store is a picture of bounded size and nothing else."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog.models import Picture
from app.kernel.errors import N_, DomainError
from app.kernel.ids import new_id

MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_PIXELS: Final = 40_000_000
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF")


class NotAPicture(DomainError):
    status = 422
    message = N_("This file is not a picture we can read. Upload a PNG, JPEG, WebP or GIF of at most 8 MB.")


@dataclass(frozen=True, slots=True)
class _Encoded:
    media_type: str
    body: bytes
    width: int
    height: int


async def store(session: AsyncSession, upload_bytes: bytes, *, most_px: int) -> Picture:
    """Store an upload, its longer side at most `most_px`: upright, without metadata, as WebP. Raises: NotAPicture."""
    encoded = await asyncio.to_thread(_encode, upload_bytes, most_px)
    picture = Picture(id=new_id(), media_type=encoded.media_type, body=encoded.body, width=encoded.width, height=encoded.height)
    session.add(picture)
    await session.flush()
    return picture


def _encode(upload: bytes, most_px: int) -> _Encoded:
    if not upload or len(upload) > MOST_BYTES:
        raise NotAPicture
    try:
        with Image.open(io.BytesIO(upload), formats=_FORMATS) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise NotAPicture
            upright = ImageOps.exif_transpose(opened).convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError, EOFError):
        raise NotAPicture from None
    upright.thumbnail((most_px, most_px), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    upright.save(out, "WEBP", quality=86, method=4)
    return _Encoded("image/webp", out.getvalue(), upright.width, upright.height)
