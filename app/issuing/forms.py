"""The form of a new batch: what was agreed, and the recipients by file or pasted."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from app.inventory.pages.uploading import upload
from app.issuing.reading import NoRecipients
from app.kernel.errors import N_
from app.kernel.forms import Amount, Form, InvalidForm, Line, OptionalLine, RawForm, invalid, parse

LARGEST_BYTES: Final = 16 * 1024 * 1024
MOST_BODY_BYTES: Final = LARGEST_BYTES + 512 * 1024
_MOST_PRICE_MINOR = 10_000_000_00
_MOST_PAID_MINOR = 10_000_000_000_00
TOO_LARGE = N_("This file is larger than 16 MB. Split it and send the parts one after another.")
BOTH = N_("Paste the recipients or choose a file, not both.")


class BatchForm(Form):
    """What was agreed with a company."""

    listing: UUID
    client: Line
    reference: Line
    unit_price: Annotated[Amount, Field(ge=1, le=_MOST_PRICE_MINOR)]
    locale: Literal["zh_CN", "en"]
    request_id: Annotated[str, Field(pattern=r"^[0-9a-f-]{16,40}$")]


class PaymentForm(Form):
    """What came to the bank from a company."""

    amount: Annotated[Amount, Field(ge=1, le=_MOST_PAID_MINOR)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    received_on: date
    reference: Line
    request_id: Annotated[str, Field(pattern=r"^[0-9a-f-]{16,40}$")]


class ReasonForm(Form):
    reason: OptionalLine = ""


async def read_batch(sent: RawForm, retry: str, context: dict[str, Any]) -> tuple[BatchForm, tuple[bytes, str]]:
    """The form and the file that were sent. Raises: InvalidForm with every fault."""
    faults: dict[str, str] = {}
    form = None
    try:
        form = parse(BatchForm, sent)
    except InvalidForm as refusal:
        faults = refusal.errors
    body, name = await upload(sent, largest=LARGEST_BYTES, pasted="recipients")
    problem = _problem(sent, body)
    if problem or form is None:
        more = invalid(sent, {"file": problem} if problem else {}, retry=retry, **context)
        raise InvalidForm({**faults, **more.errors}, more.values, retry, context)
    return form, (body, name)


def _problem(sent: RawForm, body: bytes) -> str:
    if len(body) > LARGEST_BYTES:
        return TOO_LARGE
    if sent.files.get("file") and sent.get("recipients").strip():
        return BOTH
    return "" if body.strip() else NoRecipients.message
