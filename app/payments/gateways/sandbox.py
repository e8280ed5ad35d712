"""The sandbox gateway: a company that moves no real money and speaks a real, signed protocol.

Source: simulators/gateway/README.md, protocol 1.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import quote

from app.kernel import clock, http, strict_json
from app.kernel.http import Answer, Call, CallFailed, Client, NotSent
from app.kernel.strict_json import NotStrictJson, integer, text
from app.payments.gateways.port import (
    Captured,
    Closed,
    Declined,
    Forged,
    IncompleteConnection,
    NoSuchPayment,
    NoSuchRefund,
    Notice,
    NotPaid,
    PaymentClosed,
    PaymentEvent,
    PaymentFound,
    PaymentNotice,
    PaymentPlaced,
    PaymentRequest,
    Pending,
    Placed,
    Refunded,
    RefundFound,
    RefundNotice,
    RefundPlaced,
    RefundRequest,
    Unknown,
)

READ_S = 10.0
TOTAL_S = 12.0
NOTICE_TOLERANCE_S = 300
ACCOUNT_FIELDS = ("merchant_id", "api_secret", "notice_secret")

Document = Mapping[str, Any]
Found = TypeVar("Found")
Refusal = TypeVar("Refusal")


@dataclass(frozen=True, slots=True)
class SandboxGateway:
    """One merchant account at the sandbox gateway."""

    name: ClassVar[str] = "sandbox"

    base_url: str
    merchant_id: str
    api_secret: str = field(repr=False)
    notice_secret: str = field(repr=False)
    client: Client = field(repr=False)
    total_s: float = TOTAL_S

    def __post_init__(self) -> None:
        for setting in ("base_url", *ACCOUNT_FIELDS):
            if not getattr(self, setting).strip():
                raise IncompleteConnection(f"the sandbox connection has no {setting}")

    @classmethod
    def for_connection(cls, config: Mapping[str, str], client: Client | None = None) -> Self:
        return cls(
            base_url=config.get("base_url", "").rstrip("/"),
            merchant_id=config.get("merchant_id", ""),
            api_secret=config.get("api_secret", ""),
            notice_secret=config.get("notice_secret", ""),
            client=client or http.shared(),
        )

    async def create_payment(self, request: PaymentRequest) -> PaymentPlaced:
        asked = {
            "out_no": request.out_no,
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "subject": request.subject,
            "notice_url": request.notice_url,
            "return_url": request.return_url,
            "expires_at": request.expires_at.astimezone(UTC).isoformat(),
        }

        def placed(found: Document) -> PaymentPlaced:
            _expect(found, out_no=request.out_no, amount_minor=request.amount_minor, currency=request.currency)
            return Placed(gateway_ref=text(found, "gateway_ref"), pay_url=_web_address(found, "pay_url"))

        declined = dict.fromkeys(("invalid", "declined", "conflict"), Declined)
        return await self._ask("POST", "/payments", asked, read=placed, refusals=declined)

    async def query_payment(self, out_no: str) -> PaymentFound:
        return await self._ask(
            "GET",
            f"/payments/{_segment(out_no)}",
            read=lambda found: _payment(found, out_no),
            refusals={"no_such_payment": lambda _reason: NoSuchPayment()},
        )

    async def close_payment(self, out_no: str) -> PaymentClosed:
        found = await self._ask(
            "POST",
            f"/payments/{_segment(out_no)}/close",
            read=lambda found: _payment(found, out_no),
            refusals={"no_such_payment": lambda _reason: NoSuchPayment()},
        )
        return Unknown("the gateway left the payment open") if isinstance(found, NotPaid) else found

    async def create_refund(self, request: RefundRequest) -> RefundPlaced:
        """A refund number in use for other content is `Unknown`: some refund exists under it and must be looked at."""
        asked = {
            "out_no": request.out_no,
            "refund_no": request.refund_no,
            "amount_minor": request.amount_minor,
            "reason": request.reason,
        }

        def placed(found: Document) -> RefundPlaced:
            _expect(found, out_no=request.out_no, amount_minor=request.amount_minor, currency=request.currency)
            return _refund(found, request.refund_no)

        declined = dict.fromkeys(("invalid", "declined", "no_such_payment"), Declined)
        return await self._ask("POST", "/refunds", asked, read=placed, refusals=declined)

    async def query_refund(self, refund_no: str) -> RefundFound:
        return await self._ask(
            "GET",
            f"/refunds/{_segment(refund_no)}",
            read=lambda found: _refund(found, refund_no),
            refusals={"no_such_refund": lambda _reason: NoSuchRefund()},
        )

    def verify_notice(self, headers: Mapping[str, str], raw_body: bytes, now: datetime) -> Notice:
        named = {name.lower(): value for name, value in headers.items()}
        timestamp, signature = named.get("sandbox-timestamp", ""), named.get("sandbox-signature", "")
        if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
            return Forged("the notice carries no timestamp")
        signed = "v1=" + _mac(self.notice_secret, timestamp.encode() + b"." + raw_body)
        if not hmac.compare_digest(signed.encode(), signature.encode("utf-8", "replace")):
            return Forged("the notice's signature is wrong")
        if abs(now.timestamp() - int(timestamp)) > NOTICE_TOLERANCE_S:
            return Forged(f"the notice is dated more than {NOTICE_TOLERANCE_S} seconds from now")
        try:
            return _notice(strict_json.parse_object(raw_body), self.merchant_id)
        except NotStrictJson as refusal:
            return Forged(str(refusal))

    def acknowledge(self) -> tuple[int, bytes]:
        return 200, b"ok"

    async def _ask(
        self,
        method: str,
        path: str,
        document: Document | None = None,
        *,
        read: Callable[[Document], Found],
        refusals: Mapping[str, Callable[[str], Refusal]],
    ) -> Found | Refusal | Unknown:
        """One signed call. `refusals` are the errors that are definite for this call; every other one is Unknown."""
        body = b"" if document is None else json.dumps(document, ensure_ascii=False).encode("utf-8")
        headers = self._signed(method, path, body)
        try:
            answer = await self.client.send(
                Call(method, self.base_url + path, headers, body), read_s=READ_S, total_s=self.total_s
            )
            found = strict_json.parse_object(answer.body)
            if answer.status == 200:
                return read(found)
            return _refused(answer, found, refusals)
        except NotSent as fault:
            return Unknown(fault.reason, is_sent=False)
        except CallFailed as fault:
            return Unknown(fault.reason)
        except NotStrictJson as fault:
            return Unknown(f"the gateway's answer cannot be read: {fault}")

    def _signed(self, method: str, path: str, body: bytes) -> dict[str, str]:
        timestamp = str(int(clock.now().timestamp()))
        mac = _mac(self.api_secret, f"{timestamp}.\n{method}\n{path}\n".encode() + body)
        return {
            "Content-Type": "application/json",
            "Sandbox-Merchant": self.merchant_id,
            "Sandbox-Signature": f"t={timestamp},v1={mac}",
        }


async def open_account(base_url: str, client: Client | None = None) -> dict[str, str]:
    """Open a fresh account and return the settings of a connection to it. Not idempotent: each call opens another.

    Raises: http.CallFailed when the gateway cannot be reached or does not answer as it should.
    """
    call = Call("POST", base_url.rstrip("/") + "/accounts", {"Content-Type": "application/json"}, b"{}")
    answer = await (client or http.shared()).send(call, read_s=READ_S, total_s=TOTAL_S)
    try:
        found = strict_json.parse_object(answer.body)
        return {"base_url": base_url.rstrip("/")} | {setting: text(found, setting) for setting in ACCOUNT_FIELDS}
    except NotStrictJson as fault:
        raise http.Unanswered(f"the sandbox gateway opened no account: {fault}") from fault


# Reading what the gateway says. ---------------------------------------------------------------------------------------


def _payment(found: Document, out_no: str) -> Captured | NotPaid | Closed:
    _expect(found, out_no=out_no)
    match text(found, "state"):
        case "created":
            return NotPaid()
        case "closed":
            return Closed()
        case "succeeded" | "refunded_partly" | "refunded":
            return Captured(
                gateway_txn=text(found, "gateway_txn"),
                gateway_ref=text(found, "gateway_ref"),
                amount_minor=_amount(found),
                currency=text(found, "currency"),
                paid_at=_instant(found, "paid_at"),
            )
        case _:
            raise NotStrictJson("the state is none we know")


def _refund(found: Document, refund_no: str) -> Refunded | Pending | Declined:
    _expect(found, refund_no=refund_no)
    match text(found, "state"):
        case "succeeded":
            return Refunded(gateway_refund_ref=text(found, "gateway_refund_ref"), amount_minor=_amount(found))
        case "pending":
            return Pending()
        case "declined":
            return Declined(text(found, "decline_reason"))
        case _:
            raise NotStrictJson("the state is none we know")


def _refused(answer: Answer, found: Document, refusals: Mapping[str, Callable[[str], Refusal]]) -> Refusal | Unknown:
    error, reason = text(found, "error"), text(found, "message")
    if 400 <= answer.status < 500 and error in refusals:
        return refusals[error](reason)
    return Unknown(f"the gateway answered {answer.status} ({error}): {reason}")


def _notice(found: Document, merchant_id: str) -> Notice:
    if text(found, "merchant_id") != merchant_id:
        return Forged("the notice is about another merchant's account")
    common: dict[str, Any] = {
        "merchant_id": merchant_id,
        "event_key": text(found, "event_id"),
        "out_no": text(found, "out_no"),
        "gateway_ref": text(found, "gateway_ref"),
        "amount_minor": _amount(found),
        "currency": text(found, "currency", max_chars=3),
        "occurred_at": _instant(found, "occurred_at"),
    }
    match text(found, "type"):
        case "payment.succeeded":
            return PaymentNotice(event=PaymentEvent.SUCCEEDED, gateway_txn=text(found, "gateway_txn"), **common)
        case "payment.closed":
            return PaymentNotice(event=PaymentEvent.CLOSED, gateway_txn=None, **common)
        case "refund.succeeded":
            return RefundNotice(
                refund_no=text(found, "refund_no"),
                gateway_refund_ref=text(found, "gateway_refund_ref"),
                gateway_txn=text(found, "gateway_txn"),
                **common,
            )
        case _:
            return Forged("the notice is of a kind we do not know")


def _expect(found: Document, **ours: str | int) -> None:
    """Raises: NotStrictJson where the answer speaks of another number, amount or currency than we asked about."""
    for key, value in ours.items():
        said = integer(found, key) if isinstance(value, int) else text(found, key)
        if said != value:
            raise NotStrictJson(f"it speaks of another {key}")


def _amount(found: Document) -> int:
    amount_minor = integer(found, "amount_minor")
    if amount_minor <= 0:
        raise NotStrictJson("amount_minor is not over zero")
    return amount_minor


def _instant(found: Document, key: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text(found, key, max_chars=40))
    except ValueError as error:
        raise NotStrictJson(f"{key} is not a time") from error
    if instant.tzinfo is None:
        raise NotStrictJson(f"{key} lacks its zone")
    return instant


def _web_address(found: Document, key: str) -> str:
    address = text(found, key, max_chars=2000)
    if not address.startswith(("https://", "http://")):
        raise NotStrictJson(f"{key} is not a web address")
    return address


def _segment(number: str) -> str:
    return quote(number, safe="")


def _mac(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode("utf-8"), message, hashlib.sha256).hexdigest()
