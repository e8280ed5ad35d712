"""Uploaded pictures: decoded and encoded again by us, so that what is stored is a picture, of bounded size, without what was hidden in it."""

from __future__ import annotations

import io

from PIL import Image, ImageOps, UnidentifiedImageError

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


def encoded(body: bytes) -> Picture:
    """The picture as WebP, at most 960 pixels on its longer side, upright and without metadata. Costs processor time: run it in a thread.

    Raises: NotAPicture, PictureTooLarge.
    """
    if len(body) > LARGEST_BYTES:
        raise PictureTooLarge
    try:
        with Image.open(io.BytesIO(body), formats=_FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise PictureTooLarge
            opened.draft("RGB", (2 * LONGEST_SIDE, 2 * LONGEST_SIDE))
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            plain = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureTooLarge from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
        raise NotAPicture from None
    out = io.BytesIO()
    plain.save(out, "WEBP", quality=_QUALITY, method=4)
    return Picture(id=new_id(), media_type="image/webp", body=out.getvalue(), width=plain.width, height=plain.height)
