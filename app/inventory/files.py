"""Reading an uploaded file of card-keys: text in UTF-8 or GB18030, CSV, or xlsx. Sheets are read in a child process with limits."""

from __future__ import annotations

import csv
import io
import json
import resource
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from app.inventory.rules import split_text_line
from app.kernel.errors import N_, DomainError

LARGEST_BYTES = 64 * 1024 * 1024
_MOST_UNPACKED = 256 * 1024 * 1024
_MOST_ENTRIES = 200
_CHILD_SECONDS = 60
_CHILD_BYTES = 2 * 1024 * 1024 * 1024


class UnreadableFile(DomainError):
    status = 422
    message = N_("This file is neither text, CSV nor xlsx. Save it as one of these and upload it again.")


class EncryptedOrBroken(UnreadableFile):
    message = N_("This spreadsheet cannot be opened. Save it again without a password, or as CSV.")


class SheetTooLarge(UnreadableFile):
    message = N_("This spreadsheet unpacks to far more than keys need. Save the column of keys as CSV.")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file's lines as columns, and how its bytes were read. Line numbers start at 1, as editors show them."""

    encoding: str
    lines: list[list[str]]


def read(body: bytes, name: str) -> KeyFile:
    """All lines of a file. Raises: UnreadableFile and its kinds."""
    if body.startswith(b"PK\x03\x04"):
        return KeyFile("xlsx", _sheet(body))
    if body.startswith((b"\xd0\xcf\x11\xe0", b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"\x1f\x8b")):
        raise UnreadableFile
    text, encoding = _decoded(body)
    if name.lower().endswith(".csv"):
        return KeyFile(encoding, list(_csv(text)))
    return KeyFile(encoding, [split_text_line(line) for line in text.split("\n")])


def _decoded(body: bytes) -> tuple[str, str]:
    for encoding, shown in (("utf-8-sig", "UTF-8"), ("gb18030", "GB18030")):
        try:
            return body.decode(encoding).replace("\r\n", "\n").replace("\r", "\n"), shown
        except UnicodeDecodeError:
            continue
    raise UnreadableFile


def _csv(text: str) -> Iterator[list[str]]:
    """Rows of a CSV, at the line they start on. A file whose quotes do not close is read line by line."""
    try:
        yield from csv.reader(io.StringIO(text), strict=False)
    except csv.Error:
        yield from (split_text_line(line) for line in text.split("\n"))


def _sheet(body: bytes) -> list[list[str]]:
    """The first sheet's rows, read by a child process that may use two minutes of CPU and two gigabytes at most."""
    _check_archive(body)
    try:
        child = subprocess.run(
            [sys.executable, "-m", "app.inventory.files"],
            input=body,
            capture_output=True,
            timeout=_CHILD_SECONDS,
            check=False,
            preexec_fn=_limit_child,  # set before exec, in a child that does nothing else
        )
    except subprocess.TimeoutExpired:
        raise SheetTooLarge from None
    if child.returncode != 0:
        raise EncryptedOrBroken
    rows: list[list[str]] = json.loads(child.stdout)
    return rows


def _check_archive(body: bytes) -> None:
    try:
        entries = zipfile.ZipFile(io.BytesIO(body)).infolist()
    except zipfile.BadZipFile:
        raise EncryptedOrBroken from None
    if len(entries) > _MOST_ENTRIES or sum(entry.file_size for entry in entries) > _MOST_UNPACKED:
        raise SheetTooLarge
    if not any(entry.filename.startswith("xl/") for entry in entries):
        raise UnreadableFile


def _limit_child() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_CHILD_SECONDS, _CHILD_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_CHILD_BYTES, _CHILD_BYTES))


def _cell(value: object) -> str:
    """A cell as text: 13800138000.0 is 13800138000, as the sheet shows it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _child() -> None:
    from python_calamine import CalamineWorkbook

    workbook = CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read()))
    rows = workbook.get_sheet_by_index(0).to_python(skip_empty_area=False)
    json.dump([[_cell(value) for value in row[:4]] for row in rows], sys.stdout)


if __name__ == "__main__":
    _child()
