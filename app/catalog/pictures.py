"""Uploaded pictures: decoded and encoded again by us, so that what is stored is a picture, of bounded size, without what was hidden in it."""

from __future__ import annotations

import asyncio
import io

from PIL import Image, ImageOps, UnidentifiedImageError
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog.models import Picture
from app.kernel.errors import N_, DomainError
from app.kernel.ids import new_id

LARGEST_BYTES = 5 * 1024 * 1024
MOST_PIXELS = 40_000_000
LONGEST_SIDE = 960
_FORMATS = ("PNG", "JPEG", "WEBP")
_QUALITY = 82
Image.MAX_IMAGE_PIXELS = MOST_PIXELS


class NotAPicture(DomainError):
    status = 422
    message = N_("This is no PNG, JPEG or WebP picture. Save it as one of these and choose it again.")


class PictureTooLarge(DomainError):
    status = 422
    message = N_("This picture is too large: at most 5 MB and 40 million pixels. Make it smaller and choose it again.")


async def store(session: AsyncSession, upload_bytes: bytes, *, most_px: int = LONGEST_SIDE) -> Picture:
    """Store an upload, encoded again off the event loop. Raises: NotAPicture, PictureTooLarge."""
    picture = await asyncio.to_thread(encoded, upload_bytes, most_px)
    session.add(picture)
    await session.flush()
    return picture


def encoded(body: bytes, most_px: int = LONGEST_SIDE) -> Picture:
    """The picture as WebP, at most `most_px` on its longer side, upright and without metadata. Costs processor time: run it in a thread.

    Raises: NotAPicture, PictureTooLarge.
    """
    if len(body) > LARGEST_BYTES:
        raise PictureTooLarge
    try:
        with Image.open(io.BytesIO(body), formats=_FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise PictureTooLarge
            opened.draft("RGB", (2 * most_px, 2 * most_px))
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail((most_px, most_px))
            plain = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureTooLarge from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
        raise NotAPicture from None
    out = io.BytesIO()
    plain.save(out, "WEBP", quality=_QUALITY, method=4)
    return Picture(id=new_id(), media_type="image/webp", body=out.getvalue(), width=plain.width, height=plain.height)
