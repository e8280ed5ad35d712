"""Reading an uploaded file of card-keys: text in UTF-8 or GB18030, CSV, or xlsx. Lines are read as they are asked for, so a file of a million
lines takes little more memory than its bytes. Sheets are opened by a child process with limits and without our secrets.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import resource
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.inventory import rules
from app.inventory.rules import ReadLine
from app.kernel.errors import N_, DomainError

LARGEST_BYTES = 64 * 1024 * 1024
_MOST_UNPACKED = 256 * 1024 * 1024
_MOST_ENTRIES = 200
_MOST_OUTPUT = 128 * 1024 * 1024
_CHILD_SECONDS = 60
_CHILD_BYTES = 2 * 1024 * 1024 * 1024
_STEP = 1024 * 1024
_LOCAL_HEADER = 30
_EXACT_DIGITS = 10**15
"""A spreadsheet keeps numbers as binary floating point: up to fifteen digits are exact."""
_OTHERS = (b"\xd0\xcf\x11\xe0", b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf")
_MOST_CELLS = 16
_ROOT = Path(__file__).resolve().parents[2]


class UnreadableFile(DomainError):
    status = 422
    message = N_("This file is neither text, CSV nor xlsx. Save it as one of these and upload it again.")


class EncryptedOrBroken(UnreadableFile):
    message = N_("This spreadsheet cannot be opened. Save it again without a password, or as CSV.")


class SheetTooLarge(UnreadableFile):
    message = N_("This spreadsheet unpacks to far more than keys need. Save the column of keys as CSV.")


class TooManyLines(UnreadableFile):
    message = N_("More than 1,000,000 lines. Split the file and import the parts one after another.")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file's lines that are not blank, each with its number as editors show it, and how the bytes were read.

    `line_count` is known before the lines are read and counts blank ones too.
    """

    encoding: str
    line_count: int
    lines: Iterator[tuple[int, ReadLine]]


def read(body: bytes, name: str) -> KeyFile:
    """The lines of a file. Raises: UnreadableFile and its kinds, before any line is given."""
    if body.startswith(b"PK\x03\x04"):
        return _sheet(body)
    if body.startswith(b"\xd0\xcf\x11\xe0"):
        raise EncryptedOrBroken
    if body.startswith(_OTHERS):
        raise UnreadableFile
    codec, encoding = _encoding(body)
    count = body.count(b"\n") or body.count(b"\r")
    count += not body.endswith((b"\n", b"\r"))
    if count > rules.MOST_LINES:
        raise TooManyLines
    return KeyFile(encoding, count, _text_lines(body, codec, is_csv=name.lower().endswith(".csv")))


def read_cells(body: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table, blank ones left out, each with its number: text parted by commas or tabs, or the first sheet of a workbook.

    Raises: UnreadableFile and its kinds, before any row is given.
    """
    if body.startswith(b"PK\x03\x04"):
        output = _unpacked(body)
        return ((line_no, [str(cell) for cell in json.loads(line)]) for line_no, line in enumerate(io.BytesIO(output), start=1))
    if body.startswith(b"\xd0\xcf\x11\xe0"):
        raise EncryptedOrBroken
    if body.startswith(_OTHERS):
        raise UnreadableFile
    codec, _ = _encoding(body)
    head = body[:_STEP].partition(b"\n")[0]
    separator = "\t" if head.count(b"\t") > head.count(b",") else ","
    text = io.TextIOWrapper(io.BytesIO(body), encoding=codec, newline="")
    return _csv_rows(text, separator)


def _csv_rows(text: io.TextIOWrapper, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(text, delimiter=separator)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell[: rules.LONGEST + 1] for cell in cells[:_MOST_CELLS]]
    except csv.Error:
        raise UnreadableFile from None


def _encoding(body: bytes) -> tuple[str, str]:
    for codec, shown in (("utf-8-sig", "UTF-8"), ("gb18030", "GB18030")):
        decoder = codecs.getincrementaldecoder(codec)()
        try:
            for start in range(0, len(body), _STEP):
                decoder.decode(body[start : start + _STEP])
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return codec, shown
    raise UnreadableFile


def _text_lines(body: bytes, codec: str, *, is_csv: bool) -> Iterator[tuple[int, ReadLine]]:
    for line_no, line in enumerate(io.TextIOWrapper(io.BytesIO(body), encoding=codec, newline=None), start=1):
        if not line.strip():
            continue
        text = line.removesuffix("\n")
        cells = rules.split_csv_line(text) if is_csv else rules.split_text_line(text)
        if cells is None:
            yield line_no, ReadLine(text.strip(), "", rules.OPEN_QUOTE)
        elif any(cell.strip() for cell in cells):
            yield line_no, rules.read_line(cells)


def _sheet(body: bytes) -> KeyFile:
    output = _unpacked(body)
    count = output.count(b"\n")
    if count > rules.MOST_LINES:
        raise TooManyLines
    return KeyFile("xlsx", count, _rows(output))


def _unpacked(body: bytes) -> bytes:
    """The first sheet's rows as lines of JSON, read by a child process that may use a minute of CPU and two gigabytes at most."""
    _check_archive(body)
    try:
        child = subprocess.run(
            [sys.executable, "-m", "app.inventory.files"],
            input=body,
            capture_output=True,
            timeout=2 * _CHILD_SECONDS,
            check=False,
            cwd=_ROOT,
            env={"PYTHONDONTWRITEBYTECODE": "1"},
        )
    except subprocess.TimeoutExpired:
        raise SheetTooLarge from None
    if child.returncode == _Child.TOO_MUCH:
        raise SheetTooLarge
    if child.returncode != 0:
        raise EncryptedOrBroken
    return child.stdout


def _rows(output: bytes) -> Iterator[tuple[int, ReadLine]]:
    for line_no, line in enumerate(io.BytesIO(output), start=1):
        row: list[str | int] = json.loads(line)
        cells = [str(cell) for cell in row]
        if not any(cell.strip() for cell in cells):
            continue
        if any(isinstance(cell, int) and abs(cell) >= _EXACT_DIGITS for cell in row):
            yield line_no, ReadLine(cells[0], "", rules.CUT_NUMBER)
        else:
            yield line_no, rules.read_line(cells)


def _check_archive(body: bytes) -> None:
    """Refuse what is no workbook, is encrypted, or unpacks to too much; what its directory says is not believed, it is unpacked and counted."""
    try:
        entries = zipfile.ZipFile(io.BytesIO(body)).infolist()
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError):
        raise EncryptedOrBroken from None
    if len(entries) > _MOST_ENTRIES or sum(entry.file_size for entry in entries) > _MOST_UNPACKED:
        raise SheetTooLarge
    if not any(entry.filename.startswith("xl/") for entry in entries):
        raise UnreadableFile
    if any(entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        raise EncryptedOrBroken
    unpacked = 0
    for entry in entries:
        unpacked += _unpacked_size(body, entry, most=_MOST_UNPACKED - unpacked)


def _unpacked_size(body: bytes, entry: zipfile.ZipInfo, *, most: int) -> int:
    if entry.compress_type == zipfile.ZIP_STORED:
        return entry.compress_size
    header = body[entry.header_offset : entry.header_offset + _LOCAL_HEADER]
    if len(header) < _LOCAL_HEADER:
        raise EncryptedOrBroken
    start = (
        entry.header_offset + _LOCAL_HEADER + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    )
    rest, size, unpacker = memoryview(body)[start : start + entry.compress_size], 0, zlib.decompressobj(-15)
    pending: bytes | memoryview = rest[:_STEP]
    taken = len(pending)
    try:
        while len(pending) and not unpacker.eof:
            size += len(unpacker.decompress(pending, _STEP))
            if size > most:
                raise SheetTooLarge
            pending = unpacker.unconsumed_tail
            if not pending:
                pending = rest[taken : taken + _STEP]
                taken += len(pending)
    except zlib.error:
        raise EncryptedOrBroken from None
    return size


# The child


class _Child:
    TOO_MUCH = 3


def _cell(value: object) -> str | int:
    """A cell as the sheet shows it: 13800138000.0 is 13800138000, and stays a number so that its reader knows it was one."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return "" if value is None else str(value)


def _child() -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (_CHILD_SECONDS, _CHILD_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_CHILD_BYTES, _CHILD_BYTES))
    from python_calamine import CalamineWorkbook

    sheet = CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read())).get_sheet_by_index(0)
    if sheet.total_width > 0 and sheet.total_height > rules.MOST_LINES + 1:
        sys.stdout.write("[]\n" * (rules.MOST_LINES + 1))
        return 0
    written = 0
    for row in sheet.to_python(skip_empty_area=False):
        cells = [_cell(value) for value in row[:8]]
        line = json.dumps([cell[: rules.LONGEST + 1] if isinstance(cell, str) else cell for cell in cells]) + "\n"
        written += len(line)
        if written > _MOST_OUTPUT:
            return _Child.TOO_MUCH
        sys.stdout.write(line)
    return 0


if __name__ == "__main__":
    sys.exit(_child())
