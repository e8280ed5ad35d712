"""What the endpoints share: the book, the script, and the check of who is asking."""

from dataclasses import dataclass
from typing import Any

from litestar import Request, Response

from simulators.gateway.book import Book, Refusal, Row, instant_text
from simulators.gateway.faults import AnyRequest, Script
from simulators.gateway.notices import Sender
from simulators.signing import is_signed_request

Json = dict[str, Any]


@dataclass(slots=True)
class Desk:
    book: Book
    script: Script
    sender: Sender
    public_url: str

    def payment_document(self, row: Row) -> Json:
        return {
            "out_no": row["out_no"],
            "state": row["state"],
            "amount_minor": row["amount_minor"],
            "currency": row["currency"],
            "subject": row["subject"],
            "gateway_ref": row["gateway_ref"],
            "pay_url": f"{self.public_url}/pay/{row['token']}",
            "gateway_txn": row["gateway_txn"],
            "paid_at": _instant(row["paid_at"]),
            "closed_at": _instant(row["closed_at"]),
            "expires_at": instant_text(row["expires_at"]),
            "refunded_minor": row["refunded_minor"],
        }

    def refund_document(self, row: Row) -> Json:
        return {
            "refund_no": row["refund_no"],
            "out_no": row["out_no"],
            "state": row["state"],
            "amount_minor": row["amount_minor"],
            "currency": row["currency"],
            "gateway_refund_ref": row["gateway_refund_ref"],
            "succeeded_at": _instant(row["succeeded_at"]),
        }


def desk_of(request: Request[Any, Any, Any]) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


async def asker(request: AnyRequest, book: Book) -> str:
    """The account a request is signed for. Raises: Refusal 401."""
    merchant_id = request.headers.get("sandbox-merchant", "")
    account = book.secrets_of(merchant_id)
    raw_path: bytes = request.scope["raw_path"]
    path = raw_path.decode("latin-1")
    signature = request.headers.get("sandbox-signature", "")
    if account is None or not is_signed_request(account[0], signature, request.method, path, await request.body()):
        raise Refusal(401, "bad_signature", "The account is unknown, the signature is wrong or its time is too far off.")
    return merchant_id


def refused(refusal: Refusal) -> Response[Json]:
    return Response({"error": refusal.error, "message": refusal.message}, status_code=refusal.status)


def _instant(seconds: float | None) -> str | None:
    return None if seconds is None else instant_text(seconds)
