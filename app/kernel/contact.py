"""Buyers' and staff's contacts: phone numbers and e-mail addresses, normalised so that one contact has one blind index."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import phonenumbers

from app.kernel.errors import N_

PHONE = "phone"
EMAIL = "email"
NOT_A_PHONE = N_("Type an 11-digit mobile number, or one with its country code, such as +852 5123 4567.")
NOT_AN_EMAIL = N_("Type a whole e-mail address, such as name@company.com.")
NOT_A_CONTACT = N_("Type a mobile number or an e-mail address.")

_EMAIL = re.compile(
    r"^[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+$"
)


@dataclass(frozen=True, slots=True)
class Contact:
    """A phone number in E.164 or an e-mail address in lower case. Its repr shows only the mask."""

    kind: str
    value: str

    def __repr__(self) -> str:
        return f"Contact({self.kind}, {self.masked})"

    __str__ = __repr__

    @property
    def masked(self) -> str:
        """138****2046, or lin***@mail.com."""
        if self.kind == EMAIL:
            name, _, host = self.value.partition("@")
            return f"{name[:3] if len(name) > 3 else name[:1]}***@{host}"
        local = self.value.removeprefix("+86")
        return f"{local[:3]}****{local[-4:]}"

    @property
    def tail(self) -> str:
        """The last four digits of a phone; an address has none, so its name's last four letters serve."""
        return self.value.partition("@")[0][-4:]


@dataclass(frozen=True, slots=True)
class Contacts:
    """How a buyer is reached: his contact, and for one with a phone the e-mail address that is written to when it takes no text message."""

    first: Contact
    second: Contact | None = None


def parse_phone(text: str) -> Contact | None:
    """A mobile number as people write it (138 0013 8000, +86…, full-width digits); None when it is not one. No country code means China."""
    plain = "".join(chr(ord(c) - 0xFEE0) if "！" <= c <= "～" else c for c in text.strip())
    if _chinese_mobile().fullmatch(local := plain.removeprefix("+86")):
        return Contact(PHONE, f"+86{local}")
    try:
        number = phonenumbers.parse(plain, "CN")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or number.extension:
        return None
    return Contact(PHONE, phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def parse_email(text: str) -> Contact | None:
    """An address, lower case; None when it is not one. Whether it exists only a mail can tell."""
    plain = text.strip().lower()
    return Contact(EMAIL, plain) if len(plain) <= 254 and _EMAIL.match(plain) and ".." not in plain else None


def parse_contact(text: str, rule: str = "either") -> Contact | None:
    """A contact of the kind a rule asks for (`phone`, `email`, `either`)."""
    if "@" in text:
        return parse_email(text) if rule in ("email", "either") else None
    return parse_phone(text) if rule in ("phone", "either") else None


@cache
def _chinese_mobile() -> re.Pattern[str]:
    """The library's own pattern of a Chinese mobile number: what most buyers type is then read at once."""
    known = phonenumbers.PhoneMetadata.metadata_for_region("CN")
    assert known is not None
    assert known.mobile is not None
    return re.compile(f"(?=[0-9]{{11}}$)(?:{known.mobile.national_number_pattern})", re.ASCII)
