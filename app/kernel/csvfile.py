"""CSV files that a spreadsheet shows and never runs: UTF-8 with a byte-order mark, CRLF, every cell a value.

Source of the rule: OWASP, "CSV Injection". A text that begins like a formula gets an apostrophe before it; numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

Cell = str | int | Decimal | datetime | None
BOM = "\ufeff"
MEDIA_TYPE = "text/csv; charset=utf-8"

_STARTERS = frozenset("=+-@\t\r\n＝＋－＠|%")
_NUMBER = re.compile(r"^[+-]?\d{1,15}(\.\d{1,6})?$")


def write(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """A whole file: one heading row and the rows."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([safe(cell) for cell in head])
    writer.writerows([safe(cell) for cell in row] for row in rows)
    return (BOM + out.getvalue()).encode()


def safe(cell: Cell) -> str:
    """A cell's text. What a spreadsheet would take for a formula is marked as text; a real number, negative too, is left as it is."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.isoformat(timespec="seconds")
    if not isinstance(cell, str):
        return str(cell)
    text = cell.replace("\x00", "")
    if _NUMBER.match(text):
        return text
    return f"'{text}" if text.lstrip(" \u00a0\u3000\ufeff\u200b")[:1] in _STARTERS and text.strip() else text
