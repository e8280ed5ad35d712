"""Notices of the sandbox gateway, byte by byte: what is taken for genuine and what is not."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.kernel.http import Client
from app.payments.gateways.port import Forged, PaymentNotice
from app.payments.gateways.sandbox import SandboxGateway

pytestmark = pytest.mark.anyio
CONFIG = {"base_url": "http://127.0.0.1:9", "merchant_id": "m_1", "api_secret": "a", "notice_secret": "n"}
GENUINE: dict[str, Any] = {
    "event_id": "E1",
    "type": "payment.succeeded",
    "merchant_id": "m_1",
    "out_no": "Q1",
    "gateway_ref": "P1",
    "gateway_txn": "T1",
    "amount_minor": 9990,
    "currency": "CNY",
    "occurred_at": "2026-11-21T12:00:00+00:00",
}
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def account() -> SandboxGateway:
    return SandboxGateway.for_connection(CONFIG, Client(allow_loopback=True))


def signed(body: bytes, *, secret: str = "n", at: datetime = NOW) -> dict[str, str]:
    timestamp = str(int(at.timestamp()))
    mac = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"sandbox-timestamp": timestamp, "SANDBOX-SIGNATURE": f"v1={mac}"}


def with_raw(field: str, value: str) -> bytes:
    """The genuine document with one field's JSON text replaced."""
    return json.dumps(GENUINE | {field: "@@"}).replace('"@@"', value).encode()


async def test_genuine_notice_is_taken(account: SandboxGateway) -> None:
    body = json.dumps(GENUINE).encode()
    assert isinstance(account.verify_notice(signed(body), body, NOW), PaymentNotice)


@pytest.mark.parametrize(
    "change",
    [
        {"SANDBOX-SIGNATURE": ""},
        {"SANDBOX-SIGNATURE": "v1="},
        {"SANDBOX-SIGNATURE": "v1=" + "0" * 64},
        {"SANDBOX-SIGNATURE": "v0=" + "0" * 64},
        {"SANDBOX-SIGNATURE": "签名"},
        {"sandbox-timestamp": ""},
        {"sandbox-timestamp": "-1"},
        {"sandbox-timestamp": "1.7e9"},
        {"sandbox-timestamp": "１７６３７２６４００"},
        {"sandbox-timestamp": "9" * 5000},
    ],
    ids=str,
)
@pytest.mark.case("C03")
async def test_notice_without_a_right_signature_is_forged(account: SandboxGateway, change: dict[str, str]) -> None:
    body = json.dumps(GENUINE).encode()
    assert isinstance(account.verify_notice(signed(body) | change, body, NOW), Forged)


@pytest.mark.case("C03")
async def test_unsigned_notice_is_forged(account: SandboxGateway) -> None:
    assert isinstance(account.verify_notice({}, json.dumps(GENUINE).encode(), NOW), Forged)


@pytest.mark.parametrize("secret", ["", "a", "N", "n "])
@pytest.mark.case("C03")
async def test_notice_signed_with_another_secret_is_forged(account: SandboxGateway, secret: str) -> None:
    body = json.dumps(GENUINE).encode()
    assert isinstance(account.verify_notice(signed(body, secret=secret), body, NOW), Forged)


@pytest.mark.case("C03")
async def test_signature_is_over_the_bytes_and_not_over_their_meaning(account: SandboxGateway) -> None:
    body = json.dumps(GENUINE).encode()
    assert isinstance(account.verify_notice(signed(body), json.dumps(GENUINE, indent=1).encode(), NOW), Forged)


@pytest.mark.parametrize(("seconds", "is_genuine"), [(-301, False), (-300, True), (300, True), (301, False)])
@pytest.mark.case("J04")
async def test_notice_is_dated_within_five_minutes(account: SandboxGateway, seconds: int, is_genuine: bool) -> None:
    body = json.dumps(GENUINE).encode()
    notice = account.verify_notice(signed(body, at=NOW + timedelta(seconds=seconds)), body, NOW)
    assert isinstance(notice, PaymentNotice) == is_genuine


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount_minor", "99.90"),
        ("amount_minor", "9990.0"),
        ("amount_minor", "99.9e1"),
        ("amount_minor", '"9990"'),
        ("amount_minor", '["99.90"]'),
        ("amount_minor", "[9990]"),
        ("amount_minor", "true"),
        ("amount_minor", "null"),
        ("amount_minor", "0"),
        ("amount_minor", "-9990"),
        ("amount_minor", "NaN"),
        ("amount_minor", "9223372036854775808"),
        ("amount_minor", '9990,"amount_minor":1'),
        ("currency", '["CNY"]'),
        ("currency", "156"),
        ("currency", '"CNY\\u0000"'),
        ("currency", '"RENMINBI"'),
        ("out_no", '["Q1"]'),
        ("out_no", '{"$ne":""}'),
        ("out_no", '""'),
        ("out_no", '"Q1","out_no":"Q2"'),
        ("gateway_txn", "null"),
        ("gateway_txn", '""'),
        ("merchant_id", '"m_2"'),
        ("merchant_id", "null"),
        ("type", '"payment.failed"'),
        ("type", '["payment.succeeded"]'),
        ("occurred_at", '"yesterday"'),
        ("occurred_at", '"2026-11-21T12:00:00"'),
        ("extra", "[[[[[[[[[]]]]]]]]]"),
    ],
)
@pytest.mark.case("C04")
async def test_signed_notice_that_is_not_strictly_typed_is_forged(account: SandboxGateway, field: str, value: str) -> None:
    body = with_raw(field, value)
    assert isinstance(account.verify_notice(signed(body), body, NOW), Forged)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{}", b"out_no=Q1&amount_minor=9990", b"\xff", b'{"a":' * 9000])
async def test_signed_notice_that_is_no_document_is_forged(account: SandboxGateway, body: bytes) -> None:
    assert isinstance(account.verify_notice(signed(body), body, NOW), Forged)
