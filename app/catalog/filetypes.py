"""What an uploaded file is, by its first bytes and never by its name: the few kinds that may be sold, and the name it is handed out under. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

_LONGEST_STEM = 80
_HEAD = 4096
_SHOWN = re.compile(r"[^\w .()\[\]&+'-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_MARKUP = re.compile(rb"<\s*(!doctype|html|head|body|script|svg|\?xml|iframe|!--)", re.I)


@dataclass(frozen=True, slots=True)
class FileType:
    """A kind of file: the ending we give it and the type it is served as."""

    ending: str
    media_type: str


PDF, EPUB, ZIP = FileType("pdf", "application/pdf"), FileType("epub", "application/epub+zip"), FileType("zip", "application/zip")
TEXT = FileType("txt", "text/plain; charset=utf-8")
_BY_START = (
    (b"%PDF-", PDF),
    (b"PK\x03\x04", ZIP),
    (b"ID3", FileType("mp3", "audio/mpeg")),
    (b"\xff\xfb", FileType("mp3", "audio/mpeg")),
    (b"\xff\xf3", FileType("mp3", "audio/mpeg")),
    (b"\xff\xf2", FileType("mp3", "audio/mpeg")),
    (b"fLaC", FileType("flac", "audio/flac")),
    (b"OggS", FileType("ogg", "audio/ogg")),
    (b"\x89PNG\r\n\x1a\n", FileType("png", "image/png")),
    (b"\xff\xd8\xff", FileType("jpg", "image/jpeg")),
)
_EPUB = b"mimetypeapplication/epub+zip"
_AUDIO_BRANDS = (b"M4A ", b"M4B ")
SOLD_AS = "PDF, EPUB, ZIP, MP3, M4A, FLAC, OGG, WAV, MP4, PNG, JPEG, WebP, TXT"


def sniffed(body: bytes) -> FileType | None:
    """What the bytes are; None for what is not sold: programs, web pages, scripts, and whatever is not known."""
    if body.startswith(b"PK\x03\x04") and _EPUB in body[30:100]:
        return EPUB
    if found := next((kind for start, kind in _BY_START if body.startswith(start)), None):
        return found
    if body[4:8] == b"ftyp":
        return FileType("m4a", "audio/mp4") if body[8:12] in _AUDIO_BRANDS else FileType("mp4", "video/mp4")
    if body.startswith(b"RIFF") and body[8:12] in (b"WAVE", b"WEBP"):
        return FileType("wav", "audio/wav") if body[8:12] == b"WAVE" else FileType("webp", "image/webp")
    return TEXT if _is_text(body) else None


def _is_text(body: bytes) -> bool:
    """Plain text in UTF-8 that no browser could take for a page, and no shell for a script."""
    if not body or _CONTROL.search(body) or body.startswith(b"#!") or _MARKUP.search(body[:_HEAD]):
        return False
    try:
        body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return True


def shown_name(named: str, kind: FileType) -> str:
    """The name a file is handed out under: its own without path and odd signs, with the ending its bytes deserve."""
    base = PurePosixPath(named.replace("\\", "/")).name
    stem = base.rsplit(".", 1)[0] if "." in base[1:] else base
    plain = " ".join(_SHOWN.sub(" ", stem).split()).strip(". ")[:_LONGEST_STEM]
    return f"{plain or 'file'}.{kind.ending}"
