"""Reading the rows of a recipients' file, each as a recipient or with what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.catalog import accounts
from app.catalog.accounts import AccountField, FieldKind
from app.kernel.contact import EMAIL, NOT_A_CONTACT, PHONE, Contact, parse_contact
from app.kernel.errors import N_

DUPLICATE = N_("Stands further up in the file")
_CHINA = "+86"
_OF_CONTACT = {FieldKind.PHONE: PHONE, FieldKind.WORLD_PHONE: PHONE, FieldKind.EMAIL: EMAIL}


Fault = tuple[str, str, Mapping[str, object]]
"""What is wrong with a column: its label, empty for the contact, a msgid, and the facts that fill its places."""


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row of the file: whom it names and what it states for him, or everything that is wrong with it."""

    row_no: int
    contact: Contact | None
    account: Mapping[str, str] = field(default_factory=dict, repr=False)
    masked: str = ""
    faults: tuple[Fault, ...] = ()
    is_duplicate: bool = False


def without_heading(cells: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """The rows without a first one that has neither a digit nor an @ where the contact stands."""
    is_heading = bool(cells) and not any(sign.isdigit() or sign == "@" for sign in cells[0][1][0])
    return cells[1:] if is_heading else cells


def read_rows(
    cells: Iterable[tuple[int, list[str]]], fields: Sequence[AccountField], *, refuses_virtual: bool = False
) -> Iterator[ReadRow]:
    """The rows of a file: the contact first, then a column for each field.

    An empty column of the first field that could be the contact takes the contact. The same recipient, with the same account, counts once.
    """
    seen: set[tuple[str, ...]] = set()
    for row_no, row in cells:
        read = _read(row_no, row, fields, refuses_virtual=refuses_virtual)
        if read.contact and not read.faults:
            same = (read.contact.value, *read.account.values())
            if same in seen:
                read = replace(read, faults=(("", DUPLICATE, {}),), is_duplicate=True)
            seen.add(same)
        yield read


def _read(row_no: int, row: Sequence[str], fields: Sequence[AccountField], *, refuses_virtual: bool) -> ReadRow:
    text = row[0].strip()
    contact = parse_contact(text)
    stated = _stated(row, fields, contact)
    checked = accounts.check(fields, stated, refuses_virtual=refuses_virtual)
    faults: list[Fault] = [] if contact else [("", NOT_A_CONTACT, {})]
    faults += [(one.label, *checked.faults[one.name]) for one in fields if one.name in checked.faults]
    wrong = [stated[one.name] for one in fields if one.name in checked.faults and stated[one.name]]
    masked = " ".join([contact.masked if contact else accounts.masked_text(text), *map(accounts.masked_text, wrong)])
    return ReadRow(row_no, contact, checked.values, masked, tuple(faults))


def _stated(row: Sequence[str], fields: Sequence[AccountField], contact: Contact | None) -> dict[str, str]:
    stated = {one.name: (row[at] if at < len(row) else "").strip() for at, one in enumerate(fields, start=1)}
    bound = accounts.bound_field(fields)
    if contact and bound and not stated[bound.name] and _OF_CONTACT[bound.kind] == contact.kind:
        stated[bound.name] = contact.value.removeprefix(_CHINA) if bound.kind is FieldKind.PHONE else contact.value
    return stated
