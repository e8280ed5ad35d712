"""JSON from strangers: what is refused."""

from decimal import Decimal

import pytest

from app.kernel.strict_json import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_INTEGER,
    NotStrictJson,
    integer,
    parse_object,
    parse_value,
    text,
)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"text"',
        b'{"a":1',
        b'{"a":1}x',
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":1}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":9223372036854775808}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\\u0000"}',
        b'{"a\\u0000":1}',
        b'{"a":"\x00"}',
        b'{"a":"\\ud800"}',
        b'{"a":["\\udc00"]}',
        b'{"a":"\xff"}',
        b"\xff\xfe{\x00}\x00",
        b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
        b'{"a":' * 50_000,
        b'{"a":"' + b"x" * MAX_BYTES + b'"}',
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_ambiguous_or_hostile_document_is_refused(raw: bytes) -> None:
    with pytest.raises(NotStrictJson):
        parse_object(raw)


def test_plain_document_is_read() -> None:
    document = parse_object(b'{"n":9223372036854775807,"t":"\\ud83d\\ude00 [{[{[{[{[{","\\\\u0000":[[[[[[[]]]]]]]}')
    assert integer(document, "n") == MAX_INTEGER
    assert text(document, "t").startswith("😀")


@pytest.mark.parametrize("value", [b"99.90", b"9990.0", b"99.9e1", b'"9990"', b'["9990"]', b"[9990]", b"true", b"null", b"{}"])
def test_amount_is_a_whole_number_written_as_one(value: bytes) -> None:
    with pytest.raises(NotStrictJson, match="amount_minor is not a whole number"):
        integer(parse_object(b'{"amount_minor":' + value + b"}"), "amount_minor")


@pytest.mark.parametrize("value", [b'""', b"1", b"null", b'["x"]', b'"' + b"x" * 513 + b'"'])
def test_text_is_a_text_of_bounded_length(value: bytes) -> None:
    with pytest.raises(NotStrictJson):
        text(parse_object(b'{"t":' + value + b"}"), "t")


def test_numbers_with_a_fraction_are_kept_as_written_when_asked() -> None:
    assert parse_object(b'{"cost": 4.750000}', exact=True)["cost"] == Decimal("4.750000")
    assert parse_value(b'[{"cost": 0.1}]', exact=True) == [{"cost": Decimal("0.1")}]


@pytest.mark.parametrize("number", [b"1e999999999", b"1e-999999999", b"0." + b"1" * 50, b"NaN", b"Infinity", b"-Infinity"])
def test_numbers_no_amount_has_are_refused(number: bytes) -> None:
    with pytest.raises(NotStrictJson):
        parse_object(b'{"cost": ' + number + b"}", exact=True)
