"""What the connectors that speak JSON share: one call with its answer, fields read strictly, and what a protocol does not offer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from app.kernel import strict_json
from app.kernel.http import MAX_BODY_BYTES, Call, CallFailed, Client, NotSent
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors.port import (
    Ability,
    AccountFits,
    AccountRefused,
    Balance,
    CatalogItem,
    CatalogPage,
    Forged,
    GoodsNotice,
    NoSuchGoods,
    Notice,
    OtherNotice,
    Purchase,
    RawNotice,
    StatementPage,
    Traits,
    Unknown,
    UseNotice,
)

READ_S = 15.0
TOTAL_S = 20.0
MAX_WORD_CHARS = 512
MAX_EVIDENCE_CHARS = 500
MOST_COST = Decimal(10) ** 9

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_PLAIN_NUMBER = re.compile(r"\d{1,12}(\.\d{1,6})?")
_SKU_WITH_VALUE = re.compile(r"(?P<item>[^:]+)(:(?P<value>\d{1,9}(\.\d{1,2})?))?")


@dataclass(frozen=True, slots=True)
class Reply:
    """A readable answer that is neither a redirect nor a failure of the server: JSON under a status of 2xx or 4xx."""

    status: int
    document: Any = field(repr=False)

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def evidence(self, **said: object) -> str:
        """The status and the fields named here, which hold no secret."""
        told = [f"HTTP {self.status}", *(f"{name}={value}" for name, value in said.items() if value not in ("", None))]
        return " ".join(told)[:MAX_EVIDENCE_CHARS]


async def exchange(client: Client, call: Call, *, total_s: float = TOTAL_S) -> Reply | Unknown:
    """Make one call. Whatever comes back without a readable answer is Unknown: 5xx and 3xx are not even read."""
    try:
        answer = await client.send(call, read_s=READ_S, total_s=total_s)
    except NotSent as fault:
        return Unknown(fault.reason, is_sent=False)
    except CallFailed as fault:
        return Unknown(fault.reason)
    if not (200 <= answer.status < 300 or 400 <= answer.status < 500):
        return Unknown(f"the supplier answered {answer.status}", evidence=f"HTTP {answer.status}")
    try:
        return Reply(answer.status, strict_json.parse_value(answer.body, max_bytes=MAX_BODY_BYTES, exact=True))
    except NotStrictJson as fault:
        return Unknown(f"the answer cannot be read: {fault}", evidence=f"HTTP {answer.status}, {len(answer.body)} bytes")


def encode(document: Mapping[str, Any]) -> bytes:
    """JSON with decimals as plain numbers, exactly as they are."""
    return _ENCODER.encode(document)


# Reading what was answered. -------------------------------------------------------------------------------------------


def at(document: Any, path: str) -> Any:
    """What stands at `order.rewards`, by names only; None where a step is missing. The empty path is the whole."""
    found = document
    for name in path.split(".") if path else ():
        found = found.get(name) if isinstance(found, dict) else None
    return found


def word(document: Any, path: str) -> str:
    """A text or whole number that must be there. Raises: NotStrictJson."""
    found = said(document, path)
    if not found:
        raise NotStrictJson(f"{path} is missing")
    return found


def said(document: Any, path: str) -> str:
    """A text or whole number, empty where it is absent, null, or its name is not known. Raises: NotStrictJson for anything else."""
    value = at(document, path) if path else None
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > MAX_WORD_CHARS:
        raise NotStrictJson(f"{path} is not a text")
    return str(value).strip()


def cost(document: Any, path: str) -> Decimal | None:
    """An amount of money from zero up; None where it is absent. Raises: NotStrictJson for −1, a text that is no number, and the like."""
    value = at(document, path) if path else None
    if value is None:
        return None
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= MOST_COST:
        raise NotStrictJson(f"{path} is not an amount")
    return Decimal(value)


def count(document: Any, path: str) -> int | None:
    """A whole number from zero up; None where it is absent. Raises: NotStrictJson."""
    found = cost(document, path)
    if found is not None and found != found.to_integral_value():
        raise NotStrictJson(f"{path} is not a whole number")
    return None if found is None else int(found)


def entries(document: Any, path: str) -> list[Mapping[str, Any]]:
    """A list of objects. Raises: NotStrictJson."""
    found = at(document, path)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise NotStrictJson(f"{path or 'the answer'} is not a list")
    return found


def expect(document: Any, path: str, ours: str) -> None:
    """Raises: NotStrictJson unless the answer names exactly this."""
    if word(document, path) != ours:
        raise NotStrictJson(f"it speaks of another {path}")


def expect_if_said(document: Any, path: str, ours: str) -> None:
    """Raises: NotStrictJson where the answer names another."""
    if said(document, path) not in ("", ours):
        raise NotStrictJson(f"it speaks of another {path}")


def expect_amount_if_said(document: Any, path: str, ours: Decimal) -> None:
    """Raises: NotStrictJson where the answer names another amount."""
    if cost(document, path) not in (None, ours):
        raise NotStrictJson(f"it speaks of another {path}")


def link(document: Any, path: str) -> str:
    """A web address a buyer can be sent to, empty where there is none. Raises: NotStrictJson for any other kind of address."""
    found = said(document, path)
    if found and not is_web_link(found):
        raise NotStrictJson(f"{path} is not a web address")
    return found


def is_web_link(text: str) -> bool:
    return re.fullmatch(r"https://[^\s<>\"']+", text) is not None


def error_codes(document: Any, path: str) -> Iterator[str]:
    """The codes of a refusal: one text, or a list of objects with the code at the last name of the path."""
    place, _, name = path.rpartition(".")
    if isinstance(found := at(document, place), list):
        yield from (said(entry, name) for entry in entries(document, place))
    elif isinstance(found, dict):
        yield said(found, name)


# Writing what is asked. -----------------------------------------------------------------------------------------------


def segment(text: str) -> str:
    return quote(text, safe="")


def item_and_value(purchase: Purchase) -> tuple[str, Decimal] | None:
    """The supplier's item and the value to buy, of `ITEM` with the purchase's own value or of `ITEM:12.50`; None where there is none.

    Minor units are hundredths in every currency here, as in app/kernel/money.py.
    """
    found = _SKU_WITH_VALUE.fullmatch(purchase.supplier_sku)
    if found is None:
        return None
    if found["value"]:
        return found["item"], Decimal(found["value"])
    if purchase.face_value_minor is None or purchase.face_value_minor <= 0:
        return None
    return found["item"], Decimal(purchase.face_value_minor) / 100


def number_of(item: str) -> int | None:
    """An item's number, for protocols that count their goods; None where it is none."""
    return int(item) if re.fullmatch(r"[0-9]{1,12}", item) else None


def instant(text: str) -> datetime:
    """An instant as ISO 8601 has it, in UTC where it names no zone. Raises: NotStrictJson."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise NotStrictJson("an instant cannot be read") from None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


# What a protocol does not offer. --------------------------------------------------------------------------------------


class NotOffered:
    """The answers of a protocol without these calls; a connector overrides what its supplier has."""

    traits: ClassVar[Traits]

    @property
    def abilities(self) -> frozenset[Ability]:
        return self.traits.abilities

    async def catalog(self, cursor: str | None, since: datetime | None) -> CatalogPage | Unknown:
        return not_offered("a catalog")

    async def goods(self, supplier_sku: str) -> CatalogItem | NoSuchGoods | Unknown:
        return not_offered("a look at one of its goods")

    async def pre_check(self, supplier_sku: str, account: Mapping[str, str]) -> AccountFits | AccountRefused | Unknown:
        return not_offered("a check of accounts")

    async def balance(self) -> Balance | Unknown:
        return not_offered("a balance")

    async def statement(self, day: date, cursor: str | None) -> StatementPage | Unknown:
        return not_offered("a statement")

    def verify_notice(self, raw: RawNotice, now: datetime) -> Notice:
        return Forged("this supplier sends no notices")

    def acknowledge(self) -> tuple[int, bytes, str]:
        return 200, b"ok", "text/plain"

    def verify_goods_notice(self, raw: RawNotice, now: datetime) -> GoodsNotice | Forged:
        return Forged("this supplier sends no notices of goods")

    def acknowledge_goods(self) -> tuple[int, bytes, str]:
        return 200, b"ok", "text/plain"

    def verify_use_notice(self, raw: RawNotice, now: datetime) -> UseNotice | OtherNotice | Forged:
        return Forged("this supplier sends no notices of uses")

    def acknowledge_use(self) -> tuple[int, bytes, str]:
        return 200, b"ok", "text/plain"


def not_offered(what: str) -> Unknown:
    return Unknown(f"this supplier's interface does not offer {what}", is_sent=False)
