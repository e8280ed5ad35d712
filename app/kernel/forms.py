"""Forms: what a browser sent, as text; and models that check it, all faults at once, each as a sentence beside its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from litestar.datastructures import UploadFile
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from app.kernel import i18n
from app.kernel.contact import NOT_AN_EMAIL, parse_email
from app.kernel.errors import N_, BadRequest, DomainError
from app.kernel.money import MAX_MINOR, parse_minor

F = TypeVar("F", bound="Form")
LONGEST_VALUE = 100_000
MOST_FIELDS = 400
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


class HasInvisibleSign(BadRequest):
    message = N_("What was sent contains a sign that cannot be stored. Nothing was changed; type it again without it.")


class RawForm:
    """A sent form: each name's texts, and its files. Texts hold no NUL and no lone surrogate."""

    def __init__(self, texts: Mapping[str, list[str]], files: Mapping[str, UploadFile]) -> None:
        self._texts = texts
        self.files = files

    def get(self, name: str, default: str = "") -> str:
        """The first text under a name."""
        return self._texts.get(name, [default])[0]

    def all(self, name: str) -> list[str]:
        return self._texts.get(name, [])

    def part(self, prefix: str) -> RawForm:
        """The texts whose names begin so, under what is left of their names: one row of several."""
        return RawForm({name.removeprefix(prefix): texts for name, texts in self._texts.items() if name.startswith(prefix)}, {})

    def values(self) -> dict[str, Any]:
        """Every text, a list where a name came more than once: what a page shows again after a refusal."""
        return {name: texts[0] if len(texts) == 1 else texts for name, texts in self._texts.items() if name != "_csrf"}

    def __contains__(self, name: str) -> bool:
        return name in self._texts


def clean(texts: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The texts as they are. Raises: HasInvisibleSign, BadRequest for more or longer fields than any form of ours has."""
    if len(texts) > MOST_FIELDS:
        raise BadRequest
    for values in texts.values():
        for value in values:
            if len(value) > LONGEST_VALUE:
                raise BadRequest
            if _NOT_STORABLE.search(value):
                raise HasInvisibleSign
    return dict(texts)


class InvalidForm(DomainError):
    """A form with faults: every one of them, by field, and what was typed. The page renders `retry` with it."""

    status = 422
    message = N_("Not saved. Correct the marked fields; what you typed is still here.")

    def __init__(
        self, errors: dict[str, str], values: dict[str, Any], retry: str = "", context: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.errors = errors
        self.values = values
        self.retry = retry
        self.context = dict(context or {})


class Form(BaseModel):
    """A form's fields. Unknown fields are passed over; text is trimmed. Faults are PydanticCustomError with a msgid, or in `_SENTENCES`."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)


def parse(form: type[F], data: RawForm, *, retry: str = "", **context: Any) -> F:
    """Check a sent form. Raises: InvalidForm with every fault; `retry` is the template that shows them, rendered with `context`."""
    given: dict[str, Any] = {}
    for name, field in form.model_fields.items():
        texts = data.all(name)
        wants_list = getattr(field.annotation, "__origin__", None) in (list, tuple)
        if wants_list:
            given[name] = texts
        elif texts:
            given[name] = texts[0]
    try:
        return form.model_validate(given)
    except ValidationError as error:
        raise InvalidForm(_sentences(error), data.values(), retry, context) from None


def parse_part(form: type[F], data: RawForm, prefix: str) -> F:
    """Check one row of a form. Raises: InvalidForm with every fault of the row, under the names that were sent."""
    try:
        return parse(form, data.part(prefix))
    except InvalidForm as refusal:
        raise InvalidForm({prefix + name: words for name, words in refusal.errors.items()}, data.values()) from None


def fail(message: str, **facts: Any) -> PydanticCustomError:
    """A field's fault, to be raised in a validator: a msgid and the facts that fill its places."""
    return PydanticCustomError("said", message.replace("{", "{{").replace("}", "}}"), {"msgid": message, "facts": facts})


def invalid(data: RawForm, errors: Mapping[str, str], *, retry: str = "", **context: Any) -> InvalidForm:
    """A fault found after the form itself was right, such as a name that is taken. `errors` are msgids by field."""
    return InvalidForm({name: i18n.gettext(message) for name, message in errors.items()}, data.values(), retry, context)


def _sentences(error: ValidationError) -> dict[str, str]:
    found: dict[str, str] = {}
    for fault in error.errors(include_url=False, include_input=False):
        name = str(fault["loc"][0]) if fault["loc"] else "form"
        found.setdefault(name, sentence_of(fault))
    return found


def sentence_of(fault: Mapping[str, Any]) -> str:
    """One of pydantic's faults as a sentence."""
    context = fault.get("ctx", {})
    if fault["type"] == "said":
        message, facts = context["msgid"], context["facts"]
        return i18n.filled(message, facts)
    kind = "missing" if context.get("min_length") == 1 else fault["type"]
    message, wanted = _SENTENCES.get(kind, (_NOT_UNDERSTOOD, ()))
    return i18n.gettext(message) % {fact: context.get(fact) for fact in wanted}


_NOT_UNDERSTOOD = N_("This value cannot be used. Choose or type another.")
_SENTENCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "missing": (N_("Fill this in."), ()),
    "string_too_short": (N_("Fill this in: at least %(min_length)s characters."), ("min_length",)),
    "string_too_long": (N_("Too long: at most %(max_length)s characters."), ("max_length",)),
    "string_type": (N_("Send text here."), ()),
    "extra_forbidden": (N_("There is no such field here."), ()),
    "int_parsing": (N_("Type a whole number, such as 1."), ()),
    "int_type": (N_("Type a whole number, such as 1."), ()),
    "greater_than_equal": (N_("At least %(ge)s."), ("ge",)),
    "greater_than": (N_("More than %(gt)s."), ("gt",)),
    "less_than_equal": (N_("At most %(le)s."), ("le",)),
    "enum": (N_("Choose one of the options."), ()),
    "literal_error": (N_("Choose one of the options."), ()),
    "uuid_parsing": (N_("Choose one of the options."), ()),
    "date_from_datetime_parsing": (N_("Type a date such as 2027-05-31."), ()),
    "date_parsing": (N_("Type a date such as 2027-05-31."), ()),
}


# Fields


def _whole_number(value: object) -> object:
    """Plain ASCII digits alone: no sign, no point, no exponent, no full-width digit."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise fail(N_("Type a whole number, such as 1."))
    return int(text)


def _minor(value: object) -> object:
    if not isinstance(value, str):
        return value
    minor = parse_minor(value)
    if minor is None:
        raise fail(N_("Type an amount such as 12.50, at most %(most)s."), most=i18n.format_money(MAX_MINOR))
    return minor


_PERCENT = re.compile(r"^\d{1,4}(\.\d{1,2})?$", re.ASCII)


def share_up_to(most_bp: int) -> BeforeValidator:
    """A percentage as people type it, in basis points; empty is none."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        plain = value.strip() or "0"
        if not _PERCENT.match(plain):
            raise fail(N_("Type a percentage such as 8 or 12.5."))
        share_bp = int(Decimal(plain) * 100)
        if share_bp > most_bp:
            raise fail(N_("At most %(most)s."), most=i18n.format_percent(most_bp))
        return share_bp

    return BeforeValidator(read)


def plain_share(share_bp: int) -> str:
    """Basis points as the percentage people type."""
    return i18n.format_percent(share_bp).removesuffix("%").replace(",", "")


def _optional(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _email(value: str) -> str:
    contact = parse_email(value)
    if contact is None:
        raise fail(NOT_AN_EMAIL)
    return contact.value


Count = Annotated[int, BeforeValidator(_whole_number)]
"""A whole number from 0 to 999,999,999 in plain digits."""
Amount = Annotated[int, BeforeValidator(_minor)]
"""An amount as people type it, in minor units."""
EMPTY_IS_NONE = BeforeValidator(_optional)
"""A field that may be left empty. Bounds stand inside, as `Annotated[Annotated[Count, Field(ge=1)] | None, EMPTY_IS_NONE]`: nothing is within none."""
OptionalCount = Annotated[Count | None, EMPTY_IS_NONE]
OptionalAmount = Annotated[Amount | None, EMPTY_IS_NONE]
OptionalDay = Annotated[date | None, EMPTY_IS_NONE]
Line = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\n\r]*$")]
"""One line of text that must be there."""
OptionalLine = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\n\r]*$")]
Text = Annotated[str, StringConstraints(max_length=20_000)]
Email = Annotated[str, StringConstraints(min_length=1, max_length=254), AfterValidator(_email)]
OptionalEmail = Annotated[str, StringConstraints(max_length=254), AfterValidator(lambda value: value and _email(value))]
Checked = Annotated[bool, BeforeValidator(lambda value: value in (True, "yes", "on", "1", "true"))]
