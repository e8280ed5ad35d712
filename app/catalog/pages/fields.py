"""The rows of a form in which a merchant says what a buyer, or he himself, fills in: one row per field, checked together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from app.catalog import patterns
from app.catalog.accounts import LONGEST_VALUE, MOST_CHOICES, MOST_FIELDS, AccountField, FieldKind
from app.kernel.errors import N_
from app.kernel.forms import Checked, Count, Form, InvalidForm, RawForm, fail, parse_part
from app.kernel.i18n import gettext

BUYER_KINDS: Mapping[FieldKind, str] = {
    FieldKind.PHONE: N_("Mobile number of the mainland"),
    FieldKind.WORLD_PHONE: N_("Mobile number of any country"),
    FieldKind.QQ: N_("QQ number"),
    FieldKind.NUMBER: N_("Digits"),
    FieldKind.EMAIL: N_("E-mail"),
    FieldKind.TEXT: N_("Any text"),
    FieldKind.CHOICE: N_("One of a list"),
}
PRODUCT_KINDS = {kind: BUYER_KINDS[kind] for kind in (FieldKind.TEXT, FieldKind.NUMBER, FieldKind.CHOICE)}
OWN = "own"
"""The shape of a text is a pattern the merchant writes himself."""
TWICE = N_("Another field above has this name already.")
NO_CHOICES = N_("List what can be chosen, one to a line; after a choice above: “its value: this, that”.")
NOT_ABOVE = N_("Name a list that stands above this one.")
NOT_ITS_CHOICE = N_("“%(given)s” is not among the choices of %(above)s.")
TOO_MANY = N_("At most %(most)s choices belong to one field.")
MOST_BELOW_LEAST = N_("The most cannot be less than the least.")
NO_PATTERN = N_("Write the pattern, or choose another shape.")
NOT_A_KIND = N_("Choose one of the options.")
BAD_NAME = N_("Use the name its supplier gives the field, without blanks.")
_LINE = r"^[^\n\r]*$"


def _plain_name(value: str) -> str:
    if value and not re.fullmatch(r"[^\s:,]{1,40}", value):
        raise fail(BAD_NAME)
    return value


class RowForm(Form):
    """One field. `choices` is a list, one to a line; after a choice above, “its value: this, that”. Without a name it has that of its label."""

    label: Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=_LINE)]
    name: Annotated[str, AfterValidator(_plain_name)] = ""
    kind: FieldKind
    is_required: Checked = False
    least: Annotated[Count, BeforeValidator(lambda value: value or "1"), Field(ge=1, le=LONGEST_VALUE)] = 1
    most: Annotated[Count, BeforeValidator(lambda value: value or str(LONGEST_VALUE)), Field(ge=1, le=LONGEST_VALUE)] = (
        LONGEST_VALUE
    )
    depends_on: Annotated[str, StringConstraints(max_length=60)] = ""
    choices: Annotated[str, StringConstraints(max_length=20_000)] = ""
    shape: Annotated[str, StringConstraints(max_length=patterns.LONGEST_PATTERN)] = ""
    pattern: Annotated[str, StringConstraints(max_length=patterns.LONGEST_PATTERN, pattern=_LINE)] = ""
    hint: Annotated[str, StringConstraints(max_length=120, pattern=_LINE)] = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one list of fields as a page shows them: those that are kept, or those that were sent."""

    prefix: str
    fields: Sequence[AccountField]
    numbers: Sequence[int]
    kinds: Mapping[FieldKind, str]

    @property
    def may_grow(self) -> bool:
        return len(self.numbers) < MOST_FIELDS

    def at(self, number: int) -> str:
        return f"{self.prefix}-{number}-"

    def field(self, number: int) -> AccountField | None:
        return self.fields[number] if number < len(self.fields) else None


def rows_of(
    prefix: str, fields: Sequence[AccountField], kinds: Mapping[FieldKind, str], sent: RawForm | None = None, *, least: int = 0
) -> Rows:
    """The rows to show: of a form that was sent those it had, else one per field, and at least so many."""
    if sent is not None:
        return Rows(prefix, (), numbers_in(sent, prefix), kinds)
    return Rows(prefix, fields, range(max(len(fields), least)), kinds)


def numbers_in(sent: RawForm, prefix: str) -> list[int]:
    """The numbers of the rows in a sent form, in order."""
    row = re.compile(rf"{re.escape(prefix)}-(\d{{1,3}})-label")
    return sorted(int(found[1]) for name in sent.values() if (found := row.fullmatch(name)))


def redrawn(sent: RawForm, act: str, *rows: Rows) -> tuple[dict[str, Any], list[Rows]]:
    """A form's values and rows with a row more or fewer (`add_row:row`, `remove_row:row:2`); nothing is saved."""
    verb, _, place = act.partition(":")
    prefix, _, number = place.partition(":")
    values, changed = sent.values(), []
    for one in rows:
        numbers = list(one.numbers)
        if one.prefix == prefix and verb == "add_row" and one.may_grow:
            numbers.append(max(numbers, default=-1) + 1)
            first = next(iter(one.kinds)) if one.prefix == "row" and not one.numbers else FieldKind.TEXT
            values |= {f"{one.at(numbers[-1])}is_required": "yes", f"{one.at(numbers[-1])}kind": first}
        if one.prefix == prefix and verb == "remove_row" and number.isdigit() and int(number) in numbers:
            numbers.remove(int(number))
        changed.append(Rows(one.prefix, (), numbers, one.kinds))
    return values, changed


def read_fields(sent: RawForm, prefix: str = "row", kinds: Mapping[FieldKind, str] = BUYER_KINDS) -> list[AccountField]:
    """The fields as they were typed; rows without a label and a name are left out. Raises: InvalidForm with the faults of every row."""
    errors: dict[str, str] = {}
    fields: list[AccountField] = []
    for number in numbers_in(sent, prefix)[:MOST_FIELDS]:
        at = f"{prefix}-{number}-"
        if not sent.get(at + "label").strip() and not sent.get(at + "name").strip():
            continue
        try:
            form = parse_part(RowForm, sent, at)
        except InvalidForm as refusal:
            errors |= refusal.errors
            continue
        errors |= {at + name: message for name, message in _faults(form, fields, kinds).items()}
        fields.append(_field(form, fields))
    if errors:
        raise InvalidForm(errors, sent.values())
    return fields


def _name(form: RowForm) -> str:
    return form.name or re.sub(r"[\s:,]+", "_", form.label)[:40]


def _above(form: RowForm, above: Sequence[AccountField]) -> AccountField | None:
    """The list above that this one depends on, by its name or its label."""
    lists = [one for one in above if one.kind is FieldKind.CHOICE]
    return next((one for one in lists if form.depends_on in (one.name, one.label)), None)


def _faults(form: RowForm, above: Sequence[AccountField], kinds: Mapping[FieldKind, str]) -> dict[str, str]:
    faults: dict[str, str] = {}
    if any(one.name == _name(form) for one in above):
        faults["name"] = gettext(TWICE)
    if form.kind not in kinds:
        faults["kind"] = gettext(NOT_A_KIND)
    if form.most < form.least:
        faults["most"] = gettext(MOST_BELOW_LEAST)
    if form.kind is FieldKind.CHOICE:
        faults |= _choice_faults(form, above)
    if form.kind is FieldKind.TEXT:
        faults |= _shape_faults(form)
    return faults


def _choice_faults(form: RowForm, above: Sequence[AccountField]) -> dict[str, str]:
    choices, leading, faults = _choices(form), _above(form, above), {}
    strange = next((given for given in choices if leading and given not in leading.all_options), None)
    if form.depends_on and leading is None:
        faults["depends_on"] = gettext(NOT_ABOVE)
    if not choices or not all(choices.values()):
        faults["choices"] = gettext(NO_CHOICES)
    elif sum(len(options) for options in choices.values()) > MOST_CHOICES:
        faults["choices"] = gettext(TOO_MANY) % {"most": MOST_CHOICES}
    elif leading is not None and strange is not None:
        faults["choices"] = gettext(NOT_ITS_CHOICE) % {"given": strange, "above": leading.label}
    return faults


def _shape_faults(form: RowForm) -> dict[str, str]:
    if form.shape not in ("", OWN, *patterns.SAFE):
        return {"shape": gettext(NOT_A_KIND)}
    if form.shape != OWN:
        return {}
    if not form.pattern:
        return {"pattern": gettext(NO_PATTERN)}
    found = patterns.fault(form.pattern)
    return {"pattern": gettext(found[0]) % found[1] if found[1] else gettext(found[0])} if found else {}


def _field(form: RowForm, above: Sequence[AccountField]) -> AccountField:
    is_choice, leading = form.kind is FieldKind.CHOICE, _above(form, above)
    shape = form.pattern if form.shape == OWN else form.shape
    return AccountField(
        _name(form),
        form.label,
        form.kind,
        form.is_required,
        form.least,
        form.most,
        leading.name if is_choice and form.depends_on and leading else "",
        _choices(form) if is_choice else {},
        shape if form.kind is FieldKind.TEXT else "",
        form.hint,
    )


def _choices(form: RowForm) -> dict[str, tuple[str, ...]]:
    lines = [line.strip() for line in form.choices.replace("：", ":").replace("，", ",").splitlines() if line.strip()]
    if not form.depends_on:
        return {"": tuple(dict.fromkeys(line[:LONGEST_VALUE] for line in lines))} if lines else {}
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        given, _, options = line.partition(":")
        found[given.strip()] = tuple(
            dict.fromkeys(option.strip()[:LONGEST_VALUE] for option in options.split(",") if option.strip())
        )
    return found


def choices_text(one: AccountField) -> str:
    """A field's choices as they are typed."""
    if not one.depends_on:
        return "\n".join(one.choices.get("", ()))
    return "\n".join(f"{given}: {', '.join(options)}" for given, options in one.choices.items())


def shape_of(one: AccountField | None) -> str:
    """Which of the shapes to choose from a field has."""
    return "" if one is None or not one.pattern else one.pattern if one.pattern in patterns.SAFE else OWN


def context_of(*rows: Rows) -> dict[str, Any]:
    """What `catalog/_fields.html` needs besides its rows."""
    return {
        **{f"{one.prefix}_rows": one for one in rows},
        "choices_text": choices_text,
        "shape_of": shape_of,
        "shapes": [(pattern, name) for pattern, (name, _) in patterns.SAFE.items()],
        "own_shape": OWN,
        "longest": LONGEST_VALUE,
    }
