"""What a form gives as a file, or as pasted lines: card-keys, and others' lists."""

from __future__ import annotations

from app.inventory import importing
from app.inventory.files import LARGEST_BYTES
from app.kernel.errors import N_
from app.kernel.forms import RawForm

MOST_BODY_BYTES = LARGEST_BYTES + 512 * 1024
FILE_TOO_LARGE = N_("This file is larger than 64 MB. Split it and import the parts one after another.")
BOTH = N_("Paste keys or choose a file, not both.")


async def upload(sent: RawForm, *, largest: int = LARGEST_BYTES, pasted: str = "keys") -> tuple[bytes, str]:
    """The bytes that were sent, by file or pasted, and the file's name without its folders. A larger file than may be is cut one byte past that."""
    if file := sent.files.get("file"):
        name = file.filename.replace("\\", "/").rpartition("/")[2]
        return await file.read(largest + 1), "".join(sign for sign in name if sign.isprintable())
    return sent.get(pasted).encode(), ""


def upload_problem(sent: RawForm, body: bytes) -> str:
    """Why what was sent cannot be taken in, as a msgid; empty where it can."""
    if len(body) > LARGEST_BYTES:
        return FILE_TOO_LARGE
    if sent.files.get("file") and sent.get("keys").strip():
        return BOTH
    return "" if body.strip() else importing.EmptyImport.message
