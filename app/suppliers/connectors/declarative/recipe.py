"""The recipe: what a merchant writes down of a supplier's protocol. It is data only: nothing in it runs.

All its faults are told at once, each with the place it stands at. `docs/suppliers.md` explains every part with an example.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from app.kernel import strict_json
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors.declarative import values
from app.suppliers.connectors.declarative.pointers import check_pointer
from app.suppliers.connectors.port import Reason

MAX_RECIPE_BYTES = 64 * 1024

_WORD = "|".join(("ok", "delivered", "accepted", "unknown", "not_found", *(f"rejected:{reason}" for reason in Reason)))
Word = Annotated[str, Field(pattern=f"^({_WORD})$")]
Pointer = Annotated[str, Field(max_length=200), AfterValidator(check_pointer)]
Template = Annotated[str, Field(max_length=2000), AfterValidator(values.check_braces)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,39}$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,60}$")]
PairName = Annotated[str, Field(min_length=1, max_length=60)]
CallName = Literal["place", "place_top_up", "query", "catalog", "goods", "pre_check", "balance"]
MessageKind = Literal["notice", "goods_notice", "use_notice"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)


class SettingPart(_Part):
    """One value the merchant types besides the recipe: usable as `{settings.NAME}`."""

    name: Name
    label: str = ""
    is_secret: bool = False


class Place(_Part):
    where: Literal["header", "query", "field"] = "field"
    name: PairName = "sign"


class Pairs(_Part):
    """How a text to sign is made of named values."""

    of: tuple[Literal["body", "query", "more"], ...] = ("body", "query")
    more: dict[PairName, Template] = {}
    """Signed values that travel elsewhere, as in headers."""
    is_sorted: bool = True
    leave_out_empty: bool = True
    leave_out: tuple[str, ...] = ("sign",)
    between_pairs: str = Field("&", max_length=4)
    between_name_and_value: str = Field("=", max_length=4)
    with_names: bool = True
    before: Template = ""
    after: Template = ""


class Signing(_Part):
    """A text is made, hashed or signed, written out, and put somewhere."""

    over: Literal["pairs", "body", "template"] = "pairs"
    pairs: Pairs = Pairs()
    template: Template = ""
    """For `template`, and for `body` where something stands around it: `{body}` is the raw body."""
    hash: Literal["md5", "sha1", "sha256", "hmac-sha256", "rsa-sha256"] = "md5"
    key: Template = ""
    """For hmac-sha256 the secret; for rsa-sha256 a private key (a public one in `notice`), PEM or bare base64."""
    written: Literal["hex", "base64"] = "hex"
    upper: bool = False
    put: Place = Place()

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.hash in ("hmac-sha256", "rsa-sha256") and not self.key:
            raise ValueError(f"{self.hash} needs a key")
        if self.over == "template" and not self.template:
            raise ValueError("say the template to sign")
        return self


class Card(_Part):
    """Where a card's parts stand, seen from the card itself."""

    number: Pointer | None = None
    password: Pointer | None = None
    link: Pointer | None = None
    expires: Pointer | None = None


class Item(_Part):
    """Where the parts of one of the goods stand, seen from the entry itself."""

    supplier_sku: Pointer
    name: Pointer
    unit_cost: Pointer
    stock: Pointer | None = None
    face_value: Pointer | None = None
    on_sale: Pointer | None = None
    on_sale_values: tuple[str, ...] = ()
    kind: Pointer | None = None
    kinds: dict[str, Literal["card_key", "direct_top_up"]] = {}
    usual_kind: Literal["card_key", "direct_top_up"] = "card_key"


class AnswerPart(_Part):
    """What an answer means. A code or status that is not listed is unknown, always."""

    code_at: Pointer | None = None
    codes: dict[str, Word] = {}
    status_at: Pointer | None = None
    statuses: dict[str, Word] = {}
    says_at: Pointer | None = None
    out_no: Pointer | None = None
    supplier_ref: Pointer | None = None
    unit_cost: Pointer | None = None
    cards: Pointer | None = None
    card: Card = Card()
    items: Pointer | None = None
    item: Item | None = None
    account_name: Pointer | None = None
    amount: Pointer | None = None


class CallPart(_Part):
    method: Literal["GET", "POST"] = "POST"
    path: Annotated[Template, Field(pattern=r"^/[^\s?#]*$")]
    query: dict[PairName, Template] = {}
    headers: dict[HeaderName, Template] = {}
    body: dict[PairName, JsonValue] = {}
    """Texts in it are templates; `{name|number}` alone becomes a number."""
    encoding: Literal["form", "json"] | None = None
    leave_out_empty: bool = True
    is_signed: bool = True
    answer: AnswerPart


class Secrets(_Part):
    """How card numbers and passwords are hidden in answers."""

    cipher: Literal["none", "base64", "aes-256-ecb"] = "none"
    key: Template = ""


class Acknowledgement(_Part):
    status: int = Field(200, ge=200, le=299)
    text: str = Field("success", max_length=200)
    media_type: str = Field("text/plain", max_length=100)


class MessagePart(_Part):
    """A message the supplier sends by itself: how it is written, signed, told from others and acknowledged."""

    encoding: Literal["form", "json", "query"] = "form"
    signing: Signing
    ignores_case: bool = True
    """Whether a signature in hex may be written either way."""
    event: tuple[Pointer, ...] = ()
    """What tells one event from another; the whole message where it is left out."""
    acknowledge: Acknowledgement = Acknowledgement()


class NoticePart(MessagePart):
    out_no: Pointer
    supplier_ref: Pointer | None = None


TimeForm = Literal["seconds", "milliseconds", "text", "compact"]
"""How a supplier writes an instant: `text` as 2026-11-22 08:30:00, `compact` as 20261122083000, both in the recipe's zone."""


class GoodsNoticePart(MessagePart):
    """What a message about goods says, seen from each entry, or from the message itself where `items` is left out."""

    items: Pointer | None = None
    supplier_sku: Pointer
    unit_cost: Pointer | None = None
    stock: Pointer | None = None
    on_sale: Pointer | None = None
    on_sale_values: tuple[str, ...] = ()
    told_at: Pointer | None = None
    """The supplier's own time of what it says: an older message then changes nothing."""
    told_at_form: TimeForm = "milliseconds"

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.unit_cost is None and self.stock is None and self.on_sale is None:
            raise ValueError("say where the cost, the stock or the state of sale stands (unit_cost, stock, on_sale)")
        if self.on_sale is not None and not self.on_sale_values:
            raise ValueError("say which values mean that it is on sale (on_sale_values)")
        return self


class UseNoticePart(MessagePart):
    """What a message says of the use of something that was bought. Without `state` every message tells of a use."""

    out_no: Pointer
    supplier_ref: Pointer | None = None
    state: Pointer | None = None
    used_values: tuple[str, ...] = ()
    taken_back_values: tuple[str, ...] = ()
    """Any other state says nothing of a use: the message is acknowledged and left at that."""
    used_at: Pointer | None = None
    used_at_form: TimeForm = "milliseconds"
    place: Pointer | None = None

    @model_validator(mode="after")
    def _says_what_states_mean(self) -> Self:
        if self.state is not None and not self.used_values:
            raise ValueError("say which states mean that it was used (used_values)")
        if shared := set(self.used_values) & set(self.taken_back_values):
            raise ValueError(f"a state cannot mean both: {', '.join(sorted(shared))}")
        return self


class Note(_Part):
    """A part that nobody has verified against the supplier's own document: to be compared before going live."""

    at: str = Field(max_length=200)
    says: str = Field(max_length=500)


class Recipe(_Part):
    title: str = Field(max_length=80)
    verified_on: str = Field("", pattern=r"^(\d{4}-\d{2}-\d{2})?$")
    not_verified: tuple[Note, ...] = ()
    base_url: str = Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    encoding: Literal["form", "json"] = "json"
    keys_sorted: bool = False
    """Whether the names in JSON bodies are written in order."""
    zone: Literal["Asia/Shanghai", "UTC"] = "Asia/Shanghai"
    currency: str = Field("CNY", pattern=r"^[A-Z]{3}$")
    grace_s: int = Field(600, ge=60, le=86_400)
    """So long after sending, "not found" is no evidence."""
    page_size: int = Field(100, ge=1, le=500)
    headers: dict[HeaderName, Template] = {}
    settings: tuple[SettingPart, ...] = ()
    signing: Signing | None = None
    secrets: Secrets = Secrets()
    calls: dict[CallName, CallPart]
    notice: NoticePart | None = None
    goods_notice: GoodsNoticePart | None = None
    use_notice: UseNoticePart | None = None

    @property
    def messages(self) -> tuple[MessagePart, ...]:
        """What the supplier sends by itself, as far as it is described."""
        return tuple(part for part in (self.notice, self.goods_notice, self.use_notice) if part)

    @model_validator(mode="after")
    def _says_what_answers_mean(self) -> Self:
        faults = [f"calls.{name}: {fault}" for name, call in self.calls.items() for fault in _faults(name, call.answer)]
        faults += [f"calls.{name} is missing" for name in ("place", "query") if name not in self.calls]
        if faults:
            raise ValueError("; ".join(faults))
        return self


class BadRecipe(ValueError):
    """A recipe that cannot be used. `faults` are the places and sentences, all of them."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{where}: {says}" if where else says for where, says in faults))
        self.faults = tuple(faults)


def read_recipe(text: str) -> Recipe:
    """Raises: BadRecipe."""
    try:
        document = strict_json.parse_object(text.encode("utf-8", "replace"), max_bytes=MAX_RECIPE_BYTES)
    except NotStrictJson as fault:
        raise BadRecipe([("", str(fault))]) from fault
    faults = list(_name_faults(document))
    try:
        recipe = Recipe.model_validate(document)
    except ValidationError as error:
        told = [(".".join(str(step) for step in one["loc"]), one["msg"].removeprefix("Value error, ")) for one in error.errors()]
        raise BadRecipe(told + faults) from error
    if faults:
        raise BadRecipe(faults)
    return recipe


def _faults(name: str, answer: AnswerPart) -> Iterator[str]:
    words = {*answer.codes.values(), *answer.statuses.values()}
    if name in ("place", "place_top_up", "query"):
        if answer.status_at is None and answer.code_at is None:
            yield "say where the code or the status stands (code_at, status_at)"
        if answer.status_at is None and "ok" in words:
            yield "a code that means ok needs a status_at to go on with"
        if answer.status_at is not None and answer.code_at is not None and "ok" not in answer.codes.values():
            yield "no code leads on to the status: one of codes has to be ok"
        if "ok" in answer.statuses.values():
            yield "a status cannot be ok: it is delivered, accepted, rejected or unknown"
        if "delivered" in words and answer.out_no is None and (name != "query" or answer.supplier_ref is None):
            yield "an answer that delivers has to name the purchase (out_no)"
    elif name in ("catalog", "goods") and (answer.items is None or answer.item is None):
        yield "say where the goods stand (items) and what they consist of (item)"
    elif name == "balance" and answer.amount is None:
        yield "say where the amount stands (amount)"


def _name_faults(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Placeholders nobody will fill, by the place they stand at; read from the raw document, so that all faults come at once."""
    listed = document.get("settings")
    declared = {str(one.get("name")) for one in listed if isinstance(one, dict)} if isinstance(listed, list) else set()
    calls = document.get("calls")
    for call, part in calls.items() if isinstance(calls, dict) else ():
        yield from _unknown_names(part, f"calls.{call}", declared, values.NAMES.get(call, frozenset()))
    for key in ("headers", "secrets"):
        yield from _unknown_names(document.get(key), key, declared, frozenset())
    yield from _unknown_names(document.get("signing"), "signing", declared, values.SIGNED | values.ALL)
    for key in get_args(MessageKind):
        yield from _unknown_names(document.get(key), key, declared, values.SIGNED | {"notice.*", "header.*"})


def _unknown_names(part: Any, where: str, declared: set[str], allowed: frozenset[str] | set[str]) -> Iterator[tuple[str, str]]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key != "answer":
                yield from _unknown_names(value, f"{where}.{key}", declared, allowed)
    elif isinstance(part, list):
        for place, value in enumerate(part):
            yield from _unknown_names(value, f"{where}.{place}", declared, allowed)
    elif isinstance(part, str):
        if ".body." in where and not values.has_matched_braces(part):
            yield where, "a brace that belongs to no {name}"
        for name in values.names_in(part):
            family, _, rest = name.partition(".")
            if family == "settings" and rest not in declared:
                yield where, f"{{{name}}}: there is no such setting in settings"
            elif family != "settings" and not {name, f"{family}.*"} & (values.COMMON | allowed):
                yield where, f"{{{name}}} has no meaning here"
