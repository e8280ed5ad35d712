"""Files of card-keys as they come: encodings, line ends, sheets, and files that mean harm."""

import io
import struct
import time
import zipfile
import zlib
from xml.sax.saxutils import escape

import pytest

from app.inventory import rules
from app.inventory.files import EncryptedOrBroken, SheetTooLarge, TooManyLines, UnreadableFile, read

KEYS = ["AAAA-0001", "AAAA-0002", "卡密-0003"]
_PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}  # fmt: skip


def cell(column: str, row: int, value: object) -> str:
    if isinstance(value, int | float):
        return f'<c r="{column}{row}"><v>{value!r}</v></c>'
    return f'<c r="{column}{row}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'


def sheet(rows: list[list[object]], *, head: str = "") -> bytes:
    """A workbook as other programs write it."""
    lines = "".join(
        f'<row r="{n}">{"".join(cell("ABCDEFG"[i], n, value) for i, value in enumerate(row))}</row>'
        for n, row in enumerate(rows, 1)
    )
    xml = f'{head}<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{lines}</sheetData></worksheet>'
    return archive({**_PARTS, "xl/worksheets/sheet1.xml": xml})


def archive(parts: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in parts.items():
            made.writestr(name, text)
    return out.getvalue()


def numbers(body: bytes, name: str = "keys.txt") -> list[tuple[int, str, str]]:
    return [(line_no, line.number, line.problem) for line_no, line in read(body, name).lines]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.case("A08")
def test_text_in_every_encoding_and_line_end(encoding: str, end: str) -> None:
    assert numbers(end.join(KEYS).encode(encoding)) == [(1, KEYS[0], ""), (2, KEYS[1], ""), (3, KEYS[2], "")]


def test_blank_lines_are_passed_over_and_numbers_are_those_of_an_editor() -> None:
    assert numbers(b"\n\nAAAA-0001\n   \nAAAA-0002\n\n") == [(3, "AAAA-0001", ""), (5, "AAAA-0002", "")]


def test_csv_line_with_an_open_quote_is_bad_and_swallows_nothing() -> None:
    found = numbers(b'"AAAA-0001",x\n"AAAA-0002\nAAAA-0003,y\n', "keys.csv")
    assert found == [(1, "AAAA-0001", ""), (2, '"AAAA-0002', rules.OPEN_QUOTE), (3, "AAAA-0003", "")]


def test_control_signs_make_their_own_line_bad() -> None:
    assert numbers(b"AAAA-0001\nAAAA\x00-0002\nAAAA-0003\n")[1][2] == rules.HAS_CONTROL


@pytest.mark.case("H14")
@pytest.mark.parametrize(
    "body", [b"%PDF-1.7 x", b"\x89PNG\r\n\x1a\n", b"\x1f\x8bxx", b"\xff\xfe\x00", b"Rar!\x1a", bytes(range(128, 256))]
)
def test_other_files_are_refused(body: bytes) -> None:
    with pytest.raises(UnreadableFile):
        read(body, "keys.txt")


@pytest.mark.case("H14")
def test_more_lines_than_a_million_are_refused_before_they_are_read() -> None:
    assert read(b"AAAA\n" * 1_000_000, "a.txt").line_count == 1_000_000
    with pytest.raises(TooManyLines):
        read(b"AAAA\n" * 1_000_000 + b"AAAA", "a.txt")


def test_sheet_gives_numbers_as_it_shows_them() -> None:
    rows: list[list[object]] = [["卡号", "密码"], ["AAAA-0001", "pw"], [13800138000, 123456], [], ["=1+1"], ["a", "b", "c"]]
    found = [(n, line.number, line.password, line.problem) for n, line in read(sheet(rows), "k.xlsx").lines]
    assert found == [
        (1, "卡号", "密码", rules.IS_HEADER),
        (2, "AAAA-0001", "pw", ""),
        (3, "13800138000", "123456", ""),
        (5, "=1+1", "", ""),
        (6, "a", "b", rules.TOO_MANY_COLUMNS),
    ]


def test_number_a_sheet_has_cut_is_bad() -> None:
    assert [line.problem for _, line in read(sheet([[6222021234567890123], [123456789012345]]), "k.xlsx").lines] == [
        rules.CUT_NUMBER,
        "",
    ]


@pytest.mark.case("H14")
def test_name_does_not_decide_what_a_file_is() -> None:
    assert numbers(sheet([["AAAA-0001"]]), "../../keys.txt") == [(1, "AAAA-0001", "")]


@pytest.mark.parametrize(
    "body", [b"PK\x03\x04garbage", sheet([["AAAA-0001"]])[:-40], archive({**_PARTS, "xl/worksheets/sheet1.xml": "<not"})]
)
def test_broken_sheet_is_refused(body: bytes) -> None:
    with pytest.raises(EncryptedOrBroken):
        read(body, "k.xlsx")


def test_sheet_with_a_password_is_refused() -> None:
    with pytest.raises(EncryptedOrBroken):
        read(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 4096, "k.xlsx")
    locked = bytearray(sheet([["AAAA-0001"]]))
    central = locked.find(b"PK\x01\x02")
    while central >= 0:
        locked[central + 8] |= 1
        central = locked.find(b"PK\x01\x02", central + 1)
    with pytest.raises(EncryptedOrBroken):
        read(bytes(locked), "k.xlsx")


@pytest.mark.case("H14")
def test_archive_that_is_no_workbook_is_refused() -> None:
    with pytest.raises(UnreadableFile):
        read(archive({"keys.txt": "AAAA-0001"}), "k.xlsx")


@pytest.mark.case("H14")
def test_entities_are_not_expanded() -> None:
    bomb = (
        '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(8))
        + "]>"
    )
    body = sheet([["AAAA-0001"]], head=bomb).replace(b"AAAA", b"AAAA")
    started = time.process_time()
    try:
        found = numbers(body, "k.xlsx")
    except EncryptedOrBroken:
        found = []
    assert found in ([], [(1, "AAAA-0001", "")])
    assert time.process_time() - started < 20


def bomb(*, claimed: int | None) -> bytes:
    """A workbook whose sheet unpacks to a gigabyte; with `claimed` its directory says another size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    mebibyte = packer.compress(b"\0" * 1024**2) + packer.flush(zlib.Z_FULL_FLUSH)
    data = mebibyte * 1024 + packer.flush()
    size = claimed if claimed is not None else 1024**3
    name = b"xl/worksheets/sheet1.xml"
    head = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(data), size, len(name), 0)
    local = b"PK\x03\x04" + head + name + data
    central = b"PK\x01\x02" + struct.pack("<H", 20) + head + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    return local + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)


@pytest.mark.case("H14")
@pytest.mark.parametrize("claimed", [None, 1024, 100 * 1024 * 1024])
def test_zip_bomb_is_refused_whatever_it_claims(claimed: int | None) -> None:
    body = bomb(claimed=claimed)
    with pytest.raises(SheetTooLarge):
        read(body, "k.xlsx")
