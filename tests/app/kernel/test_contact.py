"""Contacts as people type them."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.contact import parse_contact, parse_email, parse_phone


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("13800132046", "+8613800132046"),
        (" 138 0013 2046 ", "+8613800132046"),
        ("+86 138-0013-2046", "+8613800132046"),
        ("１３８００１３２０４６", "+8613800132046"),
        ("+852 5123 4567", "+85251234567"),
        ("1380013204", None),
        ("138001320467", None),
        ("15412345678", None),
        ("٠١٢٣٤٥٦٧٨٩٠", None),
        ("abc", None),
        ("", None),
    ],
)
def test_phones(typed: str, read: str | None) -> None:
    found = parse_phone(typed)
    assert (found.value if found else None) == read


@given(st.from_regex(r"1[0-9]{10}", fullmatch=True))
def test_the_quick_look_at_a_mobile_number_agrees_with_the_library(typed: str) -> None:
    number = phonenumbers.parse(typed, "CN")
    found = parse_phone(typed)
    assert (found is not None) == phonenumbers.is_valid_number(number)
    if found:
        assert found.value == phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@pytest.mark.parametrize(
    ("typed", "read"),
    [("A@B.co", "a@b.co"), (" a@b.co ", "a@b.co"), ("a@b", None), ("a..b@c.co", None), ("a@b@c.co", None), ("", None)],
)
def test_addresses(typed: str, read: str | None) -> None:
    found = parse_email(typed)
    assert (found.value if found else None) == read


def test_a_contact_shows_only_its_mask() -> None:
    contact = parse_contact("13800132046")
    assert "0013" not in f"{contact!r} {contact}"
