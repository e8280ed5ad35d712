"""Reading, normalising and masking lines of card-keys."""

import unicodedata

import pytest
from hypothesis import given, strategies

from app.inventory import rules


def read(text: str) -> rules.ReadLine:
    return rules.read_line(rules.split_text_line(text))


@pytest.mark.parametrize(
    ("text", "number", "password"),
    [
        ("ABCD-1234", "ABCD-1234", ""),
        ("  ABCD-1234  ", "ABCD-1234", ""),
        ("\ufeffABCD-1234", "ABCD-1234", ""),
        ("\u00a0ABCD-1234\u3000", "ABCD-1234", ""),
        ("ABCD-1234\tpw", "ABCD-1234", "pw"),
        ("ABCD-1234,pw", "ABCD-1234", "pw"),
        ("ABCD-1234, pw", "ABCD-1234", "pw"),
        ("ABCD-1234 ，pw", "ABCD-1234", "pw"),
        ("ABCD-1234----pw", "ABCD-1234", "pw"),
        ("ABCD-1234            pw", "ABCD-1234", "pw"),
        ("ABCD%0A1234", "ABCD%0A1234", ""),
        ("=ABCD1234", "=ABCD1234", ""),
        ("@SUM(A1)", "@SUM(A1)", ""),
        ("ＡＢＣＤ１２３４", "ＡＢＣＤ１２３４", ""),
        ("卡密一二三四", "卡密一二三四", ""),
        ('AB"CD', 'AB"CD', ""),
    ],
)
@pytest.mark.case("A08")
def test_what_came_is_what_is_kept(text: str, number: str, password: str) -> None:
    line = read(text)
    assert (line.number, line.password, line.problem) == (number, password, "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("abc", rules.TOO_SHORT),
        (",secret", rules.TOO_SHORT),
        ("x" * 501, rules.TOO_LONG),
        (" ".join("x" * 100_000), rules.TOO_LONG),
        ("a,b,c", rules.TOO_MANY_COLUMNS),
        ("AAAA BBBB CCCC", rules.TOO_MANY_COLUMNS),
        ("ABCD\x001234", rules.HAS_CONTROL),
        ("ABCD\x1f1234", rules.HAS_CONTROL),
        ("ABCD\x851234", rules.HAS_CONTROL),
        ("卡号,密码", rules.IS_HEADER),
        ("Card Number", rules.IS_HEADER),
        ("KEY", rules.IS_HEADER),
    ],
)
def test_what_is_no_key_is_named(text: str, problem: str) -> None:
    assert read(text).problem == problem


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("a,b", ["a", "b"]),
        ('"a,b",c', ["a,b", "c"]),
        ('"a ""quoted""",c', ['a "quoted"', "c"]),
        ('="001234",x', None),
        ('AB"CD,x', ['AB"CD', "x"]),
        ('"never closed', None),
        ('"a"b', None),
    ],
)
def test_csv_lines(line: str, cells: list[str] | None) -> None:
    found = rules.split_csv_line(line)
    assert found == cells or (cells is None and found is not None and found[0] == '="001234"')


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ABCD1234", "ＡＢＣＤ１２３４"),
        ("ABCD 1234", "ABCD\u00a01234"),
        ("ABCD  1234", "ABCD 1234"),
        ("ABCD1234", "AB\u200bCD1234"),
        ("ABCD1234", "ABCD1234\ufeff"),
    ],
)
@pytest.mark.case("A08")
def test_same_key_written_differently_is_one_key(one: str, other: str) -> None:
    assert rules.normalised(one) == rules.normalised(other)


@pytest.mark.parametrize(
    ("one", "other"), [("abcd1234", "ABCD1234"), ("ABCD1234", "ABCD-1234"), ("AB%0A", "AB\n"), ("0123", "123")]
)
@pytest.mark.case("A08")
def test_different_keys_stay_different(one: str, other: str) -> None:
    assert rules.normalised(one) != rules.normalised(other)


def test_number_and_password_do_not_run_together() -> None:
    assert rules.normalised(f"AB{rules.SEPARATOR}CD") != rules.normalised("ABCD")


@given(strategies.text(max_size=600))
def test_any_line_is_read_and_its_mask_hides_it(text: str) -> None:
    line = read(text)
    mask = rules.masked(line.number)
    assert mask.startswith("****")
    assert len(mask) <= 8
    assert not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in mask)
    assert not line.number[:-4] or line.number[:-4] not in mask or set(line.number[:-4]) <= {"*"} or len(line.number[:-4]) <= 4
    assert rules.normalised(rules.normalised(line.stored)) == rules.normalised(line.stored)
