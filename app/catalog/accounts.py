"""Fields: what a buyer states before he pays (the account a top-up credits among it), and what a merchant states of a product. Pure.

What may stand in a field, how it is read back, and how much of it pages show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.catalog import patterns
from app.kernel.contact import NOT_A_PHONE, NOT_AN_EMAIL, parse_email, parse_phone
from app.kernel.errors import N_

MOST_FIELDS = 8
LONGEST_VALUE = 64
MOST_CHOICES = 300
VIRTUAL_RANGES = ("162", "165", "167", "170", "171")
"""Mobile numbers of carriers without a network of their own: many suppliers cannot credit them."""
CHINA = "+86"

NOT_MAINLAND = N_("Type an 11-digit mobile number of the mainland, such as 138 0013 8000.")
IS_VIRTUAL = N_("Numbers that begin with %(range)s cannot be credited here. Type another number.")
NOT_QQ = N_("A QQ number has 5 to 11 digits and does not begin with 0.")
NOT_DIGITS = N_("Type digits alone.")
WRONG_LENGTH = N_("Type %(least)s to %(most)s characters.")
NOT_A_CHOICE = N_("Choose one of the options.")
MISSING = N_("Fill this in.")
WRONG_SHAPE = N_("This does not have the right form. It should look like %(like)s.")
WRONG_SHAPE_HINTED = N_("This does not have the right form. %(hint)s")
NOT_THE_SHAPE = N_("This does not have the right form. Look it over and type it again.")
_QQ = re.compile(r"[1-9][0-9]{4,10}")


class FieldKind(StrEnum):
    PHONE = "phone"
    """A mobile number of the mainland."""
    WORLD_PHONE = "world_phone"
    """A mobile number of any country, with its code."""
    QQ = "qq"
    NUMBER = "number"
    EMAIL = "email"
    TEXT = "text"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class AccountField:
    """One thing a buyer states, or a merchant of a product. A choice may depend on an earlier one: its options are then listed by that one's value."""

    name: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    is_required: bool = True
    least: int = 1
    most: int = LONGEST_VALUE
    depends_on: str = ""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the value of `depends_on`; under the empty text where it depends on nothing."""
    pattern: str = ""
    """The shape a text must have as a whole: `app.catalog.patterns`. Empty for any."""
    hint: str = ""

    @property
    def all_options(self) -> tuple[str, ...]:
        """What may ever be chosen, whatever was chosen before."""
        return tuple(dict.fromkeys(option for options in self.choices.values() for option in options))

    def options(self, stated: Mapping[str, str]) -> tuple[str, ...]:
        """What may be chosen, given the choices so far."""
        return self.choices.get(stated.get(self.depends_on, "") if self.depends_on else "", ())


@dataclass(frozen=True, slots=True)
class Checked:
    """What a buyer stated, tidied, and what is wrong with it: a msgid and the facts that fill its places, by field."""

    values: Mapping[str, str]
    faults: Mapping[str, tuple[str, Mapping[str, object]]]


def fields_of(stored: Sequence[Mapping[str, Any]]) -> tuple[AccountField, ...]:
    """Fields as a row keeps them."""
    return tuple(
        AccountField(
            name=one["name"],
            label=one["label"],
            kind=FieldKind(one["kind"]),
            is_required=one["is_required"],
            least=one["least"],
            most=one["most"],
            depends_on=one["depends_on"],
            choices={given: tuple(options) for given, options in one["choices"].items()},
            pattern=one.get("pattern", ""),
            hint=one.get("hint", ""),
        )
        for one in stored
    )


def stored(fields: Sequence[AccountField]) -> list[dict[str, Any]]:
    """Fields as a row keeps them."""
    return [
        {
            "name": one.name,
            "label": one.label,
            "kind": one.kind.value,
            "is_required": one.is_required,
            "least": one.least,
            "most": one.most,
            "depends_on": one.depends_on,
            "choices": {given: list(options) for given, options in one.choices.items()},
            "pattern": one.pattern,
            "hint": one.hint,
        }
        for one in fields
    ]


def from_offer(offered: Sequence[Mapping[str, Any]]) -> tuple[AccountField, ...]:
    """The fields a supplier's offer asks for. Its patterns stay with the supplier, who judges again; a field of an unknown kind is text."""
    known = {one.value for one in FieldKind}
    fields = []
    for one in offered[:MOST_FIELDS]:
        kind = FieldKind(one["kind"]) if one["kind"] in known else FieldKind.TEXT
        if kind is FieldKind.PHONE and "+" in str(one.get("pattern", "")):
            kind = FieldKind.WORLD_PHONE
        choices = {given: tuple(options) for given, options in one.get("choices", {}).items()}
        fields.append(
            AccountField(
                str(one["name"]),
                str(one["label"]),
                kind,
                bool(one.get("is_required", True)),
                depends_on=str(one.get("depends_on", "")),
                choices=choices,
            )
        )
    return tuple(fields)


_PROVABLE = frozenset({FieldKind.PHONE, FieldKind.WORLD_PHONE, FieldKind.EMAIL})


def in_chain(fields: Sequence[AccountField]) -> frozenset[str]:
    """The names of choices that others depend on, and of those that depend on them."""
    return frozenset(name for one in fields if one.depends_on for name in (one.name, one.depends_on))


def bound_field(fields: Sequence[AccountField]) -> AccountField | None:
    """The field that can be proved by a one-time code: the first number or address that must be stated; None where there is none."""
    return next((one for one in fields if one.kind in _PROVABLE and one.is_required), None)


def check(fields: Sequence[AccountField], stated: Mapping[str, str], *, refuses_virtual: bool = False) -> Checked:
    """Read an account as its buyer typed it: tidied values, and every fault at once."""
    values: dict[str, str] = {}
    faults: dict[str, tuple[str, Mapping[str, object]]] = {}
    for one in fields:
        text = _plain(stated.get(one.name, ""))
        if not text:
            if one.is_required:
                faults[one.name] = (NOT_A_CHOICE if one.kind is FieldKind.CHOICE else MISSING, {})
            continue
        tidy, fault = _read(one, text, values, refuses_virtual=refuses_virtual)
        if fault:
            faults[one.name] = fault
        else:
            values[one.name] = tidy
    return Checked(values, faults)


def _plain(text: str) -> str:
    """Full-width digits and signs as plain ones, without blanks at the ends."""
    return "".join(chr(ord(sign) - 0xFEE0) if "！" <= sign <= "～" else sign for sign in text).strip()


Fault = tuple[str, Mapping[str, object]]


def _read(one: AccountField, text: str, values: Mapping[str, str], *, refuses_virtual: bool) -> tuple[str, Fault | None]:
    match one.kind:
        case FieldKind.PHONE:
            return _mainland(text, refuses_virtual=refuses_virtual)
        case FieldKind.WORLD_PHONE:
            found = parse_phone(text)
            return (found.value, None) if found else ("", (NOT_A_PHONE, {}))
        case FieldKind.EMAIL:
            address = parse_email(text)
            return (address.value, None) if address else ("", (NOT_AN_EMAIL, {}))
        case FieldKind.QQ:
            digits = re.sub(r"[\s-]", "", text)
            return (digits, None) if _QQ.fullmatch(digits) else ("", (NOT_QQ, {}))
        case FieldKind.CHOICE:
            return (text, None) if text in one.options(values) else ("", (NOT_A_CHOICE, {}))
        case FieldKind.NUMBER if not (text.isascii() and text.isdigit()):
            return "", (NOT_DIGITS, {})
        case _ if not one.least <= len(text) <= one.most:
            return "", (WRONG_LENGTH, {"least": one.least, "most": one.most})
        case _ if one.pattern and not patterns.fits(one.pattern, text):
            return "", _wrong_shape(one)
    return text, None


def _wrong_shape(one: AccountField) -> Fault:
    if one.hint:
        return WRONG_SHAPE_HINTED, {"hint": one.hint}
    if one.pattern in patterns.SAFE:
        return WRONG_SHAPE, {"like": patterns.SAFE[one.pattern][1]}
    return NOT_THE_SHAPE, {}


def _mainland(text: str, *, refuses_virtual: bool) -> tuple[str, Fault | None]:
    found = parse_phone(text)
    if found is None or not found.value.startswith(CHINA):
        return "", (NOT_MAINLAND, {})
    number = found.value.removeprefix(CHINA)
    if len(number) != 11:
        return "", (NOT_MAINLAND, {})
    if refuses_virtual and number.startswith(VIRTUAL_RANGES):
        return "", (IS_VIRTUAL, {"range": number[:3]})
    return number, None


def shown(one: AccountField, value: str) -> str:
    """A value as it is read back: a mainland number in groups of 3-4-4."""
    if one.kind is FieldKind.PHONE and len(value) == 11:
        return f"{value[:3]} {value[3:7]} {value[7:]}"
    return value


def told(fields: Sequence[AccountField], values: Mapping[str, str]) -> list[dict[str, str]]:
    """What was stated, by its label: as an order keeps it for its pages, and as a product's page shows it. Nothing is masked."""
    return [{"name": one.name, "label": one.label, "value": values[one.name]} for one in fields if values.get(one.name)]


def masked(fields: Sequence[AccountField], values: Mapping[str, str]) -> list[dict[str, str]]:
    """What a buyer stated as pages show it: choices whole, of everything else the first and the last characters. Unknown fields by their name."""
    known = {one.name: one for one in fields}
    order = [*(one.name for one in fields if one.name in values), *(name for name in values if name not in known)]
    return [
        {
            "name": name,
            "label": known[name].label if name in known else name,
            "value": values[name] if name in known and known[name].kind is FieldKind.CHOICE else masked_text(values[name]),
        }
        for name in order
    ]


def masked_text(value: str) -> str:
    """Of a value the first two or three and the last two or four characters; of a short one the first alone."""
    if len(value) <= 4:
        return value[:1] + "***"
    return f"{value[:3]}****{value[-4:]}" if len(value) >= 9 else f"{value[:2]}***{value[-2:]}"
