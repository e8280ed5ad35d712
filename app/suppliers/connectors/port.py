"""What every supplier is to us: a catalog, a stock, one purchase at a time, and what became of it, with outcomes as values.

A connector signs, sends, translates and checks. It knows no database and no web framework, keeps no state, never repeats a call by itself, and
raises nothing for what the other side does: each answer is one of the outcomes below, to be matched exhaustively. Whatever is not a documented yes or a
documented no is `Unknown`: it is asked about under the same number, and never bought again or elsewhere on its account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Protocol, Self

from app.kernel.http import Client

# What a connector says of itself. -------------------------------------------------------------------------------------


class Ability(StrEnum):
    """What a supplier's interface offers beyond placing and asking."""

    CATALOG = "catalog"
    STOCK = "stock"
    CHANGED_SINCE = "changed_since"
    """Its catalog can be read from an instant on."""
    PRE_CHECK = "pre_check"
    BALANCE = "balance"
    STATEMENT = "statement"
    NOTICES = "notices"
    GOODS_NOTICES = "goods_notices"
    """It tells by itself what its goods cost and how many there are."""
    USE_NOTICES = "use_notices"
    """It tells by itself when what it sold was used."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of the form in which a merchant types a connection: its name in the config, what it is called, what it may be."""

    name: str
    label: str
    is_secret: bool = False
    default: str = ""
    help: str = ""
    pattern: str = r".+"
    """The whole value must match."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What the engine must know of a protocol. Source of each number: the connector's own docstring."""

    name: str
    title: str
    verified_on: date
    """When its description was last read against the vendor's text."""
    settings: tuple[Setting, ...]
    abilities: frozenset[Ability]
    not_found_grace: timedelta
    """So long after sending, "not found" is no evidence that nothing was bought."""
    idempotency_life: timedelta | None
    """So long the supplier promises that the same number buys once; None where it promises nothing, and a number is then never sent twice."""
    calls_per_second: float
    calls_at_once: int


# What is asked. -------------------------------------------------------------------------------------------------------


class FieldKind(StrEnum):
    PHONE = "phone"
    NUMBER = "number"
    EMAIL = "email"
    TEXT = "text"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class AccountField:
    """One thing a buyer states of the account to credit. A choice may depend on an earlier field: its choices are then listed by that value."""

    name: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    is_required: bool = True
    pattern: str = ""
    depends_on: str = ""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the value of `depends_on`; under the empty text where it depends on nothing."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """One unit to buy. `out_no` is our own number, stored before the call, at most 32 letters and digits.

    `account` holds the recharge account by field name, empty for cards. `face_value_minor` is set for goods sold by a range of values.
    `most_cost` is what the unit may cost at most: a connector whose protocol knows a price limit sends it.
    """

    out_no: str
    supplier_sku: str
    account: Mapping[str, str] = field(repr=False)
    face_value_minor: int | None
    currency: str
    most_cost: Decimal | None
    notice_url: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a purchase is asked about with: both numbers, where the supplier gave its own, and when it was sent."""

    out_no: str
    supplier_ref: str | None
    sent_at: datetime


# What is answered. ----------------------------------------------------------------------------------------------------


class Reason(StrEnum):
    """Why a supplier refused, as far as the engine acts on it."""

    OUT_OF_STOCK = "out_of_stock"
    NO_BALANCE = "no_balance"
    BAD_ACCOUNT = "bad_account"
    """The buyer's account cannot be credited, by nobody: no other supplier is tried."""
    PRICE_CHANGED = "price_changed"
    NOT_FOR_SALE = "not_for_sale"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Issued:
    """One secret of a delivery: a number with or without a password, or a link. Never shown by repr."""

    number: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    link: str = field(default="", repr=False)
    expires_on: date | None = None

    def __post_init__(self) -> None:
        assert self.number or self.link, "a secret has a number or a link"


@dataclass(frozen=True, slots=True)
class Delivered:
    """Bought, for good. Cards carry their secrets, a top-up carries none. `unit_cost` is what the supplier says it took."""

    supplier_ref: str
    issued: tuple[Issued, ...] = ()
    unit_cost: Decimal | None = None
    evidence: str = ""
    """What was answered, without secrets, at most 500 characters."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Taken in and not decided. Acceptance is no success: it is asked about."""

    supplier_ref: str | None = None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A definite no: nothing was bought under this number, and nothing will be. Only codes on the connector's own list say so."""

    reason: Reason
    says: str
    """The supplier's words or code, for logs and cases; no secret."""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say whether it took effect. `is_sent` is False when no byte of the request left us, and only then may it be sent again at once."""

    says: str
    is_sent: bool = True
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class NoSuchPurchase:
    """The supplier does not know our number. Within the grace after sending this is no evidence."""

    evidence: str = ""


Outcome = Delivered | Accepted | Rejected | Unknown
Found = Delivered | Accepted | Rejected | NoSuchPurchase | Unknown


@dataclass(frozen=True, slots=True)
class CatalogItem:
    """One of a supplier's goods. Costs are per unit. `stock` is None where it is not counted. Range goods have `least_minor` and `most_minor`."""

    supplier_sku: str
    name: str
    delivery_kind: str
    unit_cost: Decimal
    currency: str
    is_on_sale: bool = True
    stock: int | None = None
    face_value_minor: int | None = None
    least_minor: int | None = None
    most_minor: int | None = None
    step_minor: int | None = None
    region: str = ""
    account_fields: tuple[AccountField, ...] = ()

    def __post_init__(self) -> None:
        assert self.unit_cost.is_finite()
        assert self.unit_cost >= 0


@dataclass(frozen=True, slots=True)
class CatalogPage:
    """At most 500 items, and where to go on; `unread` counts entries that made no sense and were left out."""

    items: tuple[CatalogItem, ...]
    next_cursor: str | None = None
    unread: int = 0


@dataclass(frozen=True, slots=True)
class NoSuchGoods:
    """The supplier does not know this SKU."""


@dataclass(frozen=True, slots=True)
class AccountFits:
    """The supplier would credit this account; `name` is whom it found there, masked by the supplier."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class AccountRefused:
    """The supplier would not credit this account."""

    says: str


@dataclass(frozen=True, slots=True)
class Balance:
    """Our prepaid money at the supplier."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One purchase as the supplier's statement of a day names it."""

    out_no: str
    supplier_ref: str
    is_success: bool
    cost: Decimal
    currency: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StatementPage:
    lines: tuple[StatementLine, ...]
    next_cursor: str | None = None


# Messages the supplier sends. -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PurchaseNotice:
    """A genuine message about one purchase of this connection: a hint to ask, whatever it claims. `event_key` is the same when it is repeated.

    `out_no` is empty where the message names the supplier's own number only; then `supplier_ref` is set.
    """

    event_key: str
    out_no: str
    supplier_ref: str | None


@dataclass(frozen=True, slots=True)
class GoodsTold:
    """What a message says of one of the goods. What it leaves out is None and stays as it was.

    `told_at` is the supplier's own time of it; None where its messages carry none.
    """

    supplier_sku: str
    unit_cost: Decimal | None = None
    stock: int | None = None
    is_on_sale: bool | None = None
    told_at: datetime | None = None

    def __post_init__(self) -> None:
        assert self.unit_cost is None or (self.unit_cost.is_finite() and self.unit_cost >= 0)
        assert self.stock is None or self.stock >= 0


@dataclass(frozen=True, slots=True)
class GoodsNotice:
    """A genuine message that goods changed in price, stock or sale: a hint to read them again, or where `told` says how, what they are now.

    `unread` counts entries that made no sense: nothing is concluded from those.
    """

    event_key: str
    supplier_sku: str
    told: tuple[GoodsTold, ...] = ()
    unread: int = 0


@dataclass(frozen=True, slots=True)
class UseNotice:
    """A genuine message that what was bought under a number of ours was used, or that such a use was taken back.

    `supplier_ref` is set where it names the supplier's number too. `used_at` is his own time of it; None where his messages carry none.
    """

    event_key: str
    out_no: str
    supplier_ref: str | None
    is_taken_back: bool = False
    used_at: datetime | None = None
    place: str = ""
    """Where, in the supplier's words, at most 120 characters."""


@dataclass(frozen=True, slots=True)
class OtherNotice:
    """A genuine message about something we do nothing about: acknowledged, so that it is not repeated, and left at that."""

    event_key: str


@dataclass(frozen=True, slots=True)
class Forged:
    """Not a message to act on: unsigned, wrongly signed, stale, malformed, or meant for another account."""

    says: str


Notice = PurchaseNotice | GoodsNotice | OtherNotice | Forged


@dataclass(frozen=True, slots=True)
class RawNotice:
    """A message as it came: header names in lower case, the query string, and the body's very bytes."""

    headers: Mapping[str, str]
    query: str
    body: bytes = field(repr=False)


class IncompleteConnection(ValueError):
    """A connection lacks a setting, or one has a form it must not have. `field` names it."""

    def __init__(self, setting: str, says: str) -> None:
        super().__init__(f"{setting}: {says}")
        self.setting = setting


class Connector(Protocol):
    """One account at one supplier. What a protocol does not offer (`traits.abilities`) answers `Unknown` with `is_sent=False`."""

    traits: ClassVar[Traits]

    @classmethod
    def for_connection(cls, config: Mapping[str, str], client: Client | None = None) -> Self:
        """The account a connection's settings describe, over the process's client unless another is given. Raises: IncompleteConnection."""
        ...

    @property
    def abilities(self) -> frozenset[Ability]:
        """What this account offers of its protocol's abilities."""
        ...

    async def place(self, purchase: Purchase) -> Outcome:
        """Buy one unit. Sent once; whether it may be sent again under the same number is the engine's to say."""
        ...

    async def query(self, asked: Asked) -> Found:
        """What became of a purchase. No effect."""
        ...

    async def catalog(self, cursor: str | None, since: datetime | None) -> CatalogPage | Unknown: ...

    async def goods(self, supplier_sku: str) -> CatalogItem | NoSuchGoods | Unknown:
        """One of the goods with its price and stock of this moment."""
        ...

    async def pre_check(self, supplier_sku: str, account: Mapping[str, str]) -> AccountFits | AccountRefused | Unknown: ...

    async def balance(self) -> Balance | Unknown: ...

    async def statement(self, day: date, cursor: str | None) -> StatementPage | Unknown:
        """The purchases of one day, in the supplier's own zone."""
        ...

    def verify_notice(self, raw: RawNotice, now: datetime) -> Notice:
        """Check a message on its raw bytes. Constant time, no call, no effect."""
        ...

    def acknowledge(self) -> tuple[int, bytes, str]:
        """Status, body and media type the supplier waits for before it stops repeating a notice. Sent only after our commit."""
        ...

    def verify_goods_notice(self, raw: RawNotice, now: datetime) -> GoodsNotice | Forged:
        """As `verify_notice`, of a message at the address for notices of goods."""
        ...

    def acknowledge_goods(self) -> tuple[int, bytes, str]:
        """As `acknowledge`, of a notice of goods."""
        ...

    def verify_use_notice(self, raw: RawNotice, now: datetime) -> UseNotice | OtherNotice | Forged:
        """As `verify_notice`, of a message at the address for notices of uses."""
        ...

    def acknowledge_use(self) -> tuple[int, bytes, str]:
        """As `acknowledge`, of a notice of a use."""
        ...
