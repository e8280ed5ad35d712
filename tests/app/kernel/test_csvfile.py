"""CSV files that a spreadsheet shows and never runs."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.kernel import csvfile


@pytest.mark.case("H16")
@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+cmd",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "＝1+1",
        "＋1",
        "－x",
        "＠x",
        " =1",
        "\u3000=1",
        "-",
        "+",
        "|calc",
        "%0A",
    ],
)
def test_what_begins_like_a_formula_is_marked_as_text(text: str) -> None:
    assert csvfile.safe(text) == f"'{text}"


@pytest.mark.case("H16")
@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (-5, "-5"),
        (Decimal("-12.50"), "-12.50"),
        ("-12.50", "-12.50"),
        ("+3", "+3"),
        ("a=b", "a=b"),
        ("", ""),
        (None, ""),
        ("云雀", "云雀"),
    ],
)
def test_numbers_and_plain_texts_stay_as_they_are(cell: csvfile.Cell, text: str) -> None:
    assert csvfile.safe(cell) == text


@pytest.mark.case("H16")
def test_a_file_reads_back_as_it_was_written() -> None:
    at = datetime(2026, 11, 21, 6, 31, tzinfo=UTC)
    body = csvfile.write(["when", "what"], [[at, 'says "a, b"\nand c'], [at, "=HYPERLINK(1)"]]).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(body)))
    assert rows == [
        ["when", "what"],
        ["2026-11-21T06:31:00+00:00", 'says "a, b"\nand c'],
        ["2026-11-21T06:31:00+00:00", "'=HYPERLINK(1)"],
    ]
