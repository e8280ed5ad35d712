"""Amounts, splits, numbers and contacts: tables of examples and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel import ids
from app.kernel.contact import parse_contact, parse_email, parse_phone
from app.kernel.money import MAX_MINOR, parse_cost, parse_minor, split_minor


@pytest.mark.parametrize(
    ("typed", "minor"),
    [("12.5", 1250), ("¥1,200", 120000), ("１２.３４", 1234), ("0.01", 1), ("0", 0), (" 7 ", 700), ("￥9.90", 990), ("1e3", None), ("-1", None),
     ("1.234", None), ("", None), ("abc", None), ("12,5.0.0", None), (".5", None), ("9" * 11, None), ("0x10", None), ("1_000", None)],
)  # fmt: skip
def test_amounts_as_people_type_them(typed: str, minor: int | None) -> None:
    assert parse_minor(typed) == minor


def test_amounts_beyond_the_largest_are_typing_errors() -> None:
    assert parse_minor(str(MAX_MINOR // 100)) == MAX_MINOR
    assert parse_minor(str(MAX_MINOR // 100 + 1)) is None
    assert str(parse_cost("14.123456")) == "14.123456"
    assert parse_cost("14.1234567") is None


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_parts_sum_to_the_whole_and_stay_within_one_unit_of_their_share(total: int, weights: list[int]) -> None:
    parts = split_minor(total, weights)
    assert sum(parts) == total
    assert min(parts) >= 0
    whole = sum(weights)
    if whole:
        assert all(abs(part * whole - total * weight) < whole for part, weight in zip(parts, weights, strict=True))
    assert split_minor(total, weights) == parts


def test_a_cent_among_three() -> None:
    assert split_minor(1, [1, 1, 1]) == [1, 0, 0]
    assert split_minor(1000, [1, 1, 1]) == [334, 333, 333]


def test_numbers_carry_a_check_character() -> None:
    numbers = {ids.new_number("N") for _ in range(5000)}
    assert len(numbers) > 4990  # drawn from a thousand million, so that two of them are alike now and then
    assert all(ids.is_number(number) for number in numbers)
    number = next(iter(numbers))
    other = "7" if number[-2] != "7" else "8"
    assert not ids.is_number(number[:-2] + other + number[-1])


def test_one_business_key_one_id() -> None:
    assert ids.id_of("transfer", "capture", 1) == ids.id_of("transfer", "capture", 1)
    assert ids.id_of("a", "bc") != ids.id_of("ab", "c")


@pytest.mark.parametrize(
    "typed", ["13800138000", "138 0013 8000", "+86 138-0013-8000", "１３８００１３８０００", "0086 13800138000"]
)
def test_one_phone_many_ways(typed: str) -> None:
    contact = parse_phone(typed)
    assert contact is not None
    assert (contact.value, contact.masked, contact.tail) == ("+8613800138000", "138****8000", "8000")
    assert "13800138000" not in repr(contact)


@pytest.mark.parametrize("typed", ["1380013800", "138001380000", "12345", "abc", "", "138001380OO", "+86 10 1"])
def test_what_is_no_phone(typed: str) -> None:
    assert parse_phone(typed) is None


@pytest.mark.parametrize("typed", ["a@b.cn", " Lin.Mei@Mail.Example ", "x+tag@sub.domain.com"])
def test_what_is_an_address(typed: str) -> None:
    contact = parse_email(typed)
    assert contact is not None
    assert contact.value == typed.strip().lower()


@pytest.mark.parametrize(
    "typed", ["a@b", "@b.cn", "a b@c.cn", "a@b..cn", "a\nb@c.cn", "a@b.cn\r\nBcc: x@y.cn", "a@-b.cn", "x" * 65 + "@b.cn"]
)
def test_what_is_no_address(typed: str) -> None:
    assert parse_email(typed) is None


def test_the_rule_decides_which_contact_counts() -> None:
    assert parse_contact("a@b.cn", "phone") is None
    assert parse_contact("13800138000", "email") is None
    assert parse_contact("13800138000", "either") is not None
