"""What merchants and testers may ask, as strict types."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

Number = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Amount = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")]
WebAddress = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s]+$", max_length=2000)]
Untruth = Literal["amount", "currency", "merchant", "other_order"]
Step = Literal["create", "query", "close", "refund", "query_refund", "notice"]


class NewPayment(msgspec.Struct, frozen=True):
    out_no: Number
    amount_minor: Amount
    currency: Currency
    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    notice_url: WebAddress
    return_url: WebAddress
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]

    def content(self) -> dict[str, Any]:
        """What has to be the same for a repeat to be a repeat."""
        return {field: str(getattr(self, field)) for field in self.__struct_fields__} | {
            "expires_at": self.expires_at.timestamp()
        }


class NewRefund(msgspec.Struct, frozen=True):
    out_no: Number
    refund_no: Number
    amount_minor: Amount
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which steps a rule is for. What is left out matches anything."""

    on: Step | None = None
    out_no: str | None = None
    merchant_id: str | None = None


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One misbehaviour; the actions of a rule add up."""

    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)] = 0
    before: Literal["drop"] | None = None
    drop: bool = False
    hang: bool = False
    http_500_after_effect: bool = False
    decline: str = ""
    not_found: bool = False
    pending_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)] = 0
    repeat: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    behind: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    nonsense: bool = False
    forge: Literal["signature"] | Untruth | None = None
    misstate: Untruth | bool = False


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Actions for the steps that match, `times` times or for good."""

    actions: Annotated[list[Action], msgspec.Meta(max_length=10)]
    match: Match = Match()
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Pay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    out_no: Number
    merchant_id: str | None = None


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Send the notices of a payment again, as they were, to its own notice address or to another."""

    out_no: Number
    times: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    notice_url: WebAddress | None = None
