"""Reads what a recipe says an answer means. Pure: the same bytes are always the same outcome."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from app.kernel import strict_json
from app.kernel.http import MAX_BODY_BYTES, Answer
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors.declarative.pointers import at
from app.suppliers.connectors.declarative.recipe import AnswerPart, Item, Recipe
from app.suppliers.connectors.declarative.values import fill
from app.suppliers.connectors.port import (
    Accepted,
    CatalogItem,
    Delivered,
    Found,
    Issued,
    NoSuchPurchase,
    Reason,
    Rejected,
    Unknown,
)
from app.suppliers.connectors.wire import is_web_link

MAX_EVIDENCE_CHARS = 500
MAX_SECRET_CHARS = 4000
MOST = Decimal(10) ** 9
_AMOUNT = re.compile(r"\d{1,12}(\.\d{1,6})?")
_DAY = re.compile(r"(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})")


@dataclass(frozen=True, slots=True)
class Ours:
    """What an answer is about: its numbers have to be these. `supplier_ref` is None before the supplier gave one."""

    out_no: str
    supplier_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A readable answer and what its code and status mean together."""

    document: Any = field(repr=False)
    word: str
    says: str
    evidence: str


def read(part: AnswerPart, answer: Answer) -> Said | Unknown:
    """The meaning of an answer. Any status but 2xx, and what cannot be read, is Unknown."""
    if not 200 <= answer.status < 300:
        return Unknown(f"the supplier answered {answer.status}", evidence=f"HTTP {answer.status}")
    try:
        document = strict_json.parse_value(answer.body, max_bytes=MAX_BODY_BYTES, exact=True)
        code = "" if part.code_at is None else word_at(document, part.code_at)
        status = "" if part.status_at is None else word_at(document, part.status_at)
        says = "" if part.says_at is None else word_at(document, part.says_at)[:200]
    except NotStrictJson as fault:
        return Unknown(f"the answer cannot be read: {fault}", evidence=f"HTTP {answer.status}, {len(answer.body)} bytes")
    word = "ok" if part.code_at is None else part.codes.get(code, "unknown")
    if word == "ok" and part.status_at is not None:
        word = part.statuses.get(status, "unknown")
    told = {"code": code, "status": status, "message": says}
    evidence = " ".join([f"HTTP {answer.status}", *(f"{name}={value}" for name, value in told.items() if value)])
    return Said(document, word, f"code {code or '-'}, status {status or '-'}: {says}".strip(": "), evidence[:MAX_EVIDENCE_CHARS])


def outcome(recipe: Recipe, part: AnswerPart, said: Said, ours: Ours, values: Mapping[str, str]) -> Found:
    """What an answer to placing or asking says of the purchase. An answer about another one is Unknown, whatever it says."""
    try:
        ref, is_bound = _refers(part, said.document, ours)
        match said.word.partition(":"):
            case ("delivered", _, _) if not is_bound:
                return Unknown("the answer does not name the purchase", evidence=said.evidence)
            case ("delivered", _, _):
                return Delivered(
                    supplier_ref=ref or ours.out_no,
                    issued=tuple(_issued(recipe, part, said.document, values)),
                    unit_cost=optional_amount(said.document, part.unit_cost),
                    evidence=said.evidence,
                )
            case ("accepted", _, _):
                return Accepted(ref, said.evidence)
            case ("not_found", _, _):
                return NoSuchPurchase(said.evidence)
            case ("rejected", _, reason):
                return Rejected(Reason(reason), said.says[:200], said.evidence)
            case _:
                return Unknown(f"the supplier's answer is not listed ({said.says[:200]})", evidence=said.evidence)
    except NotStrictJson as fault:
        return Unknown(f"the answer cannot be used: {fault}", evidence=said.evidence)


def _refers(part: AnswerPart, document: Any, ours: Ours) -> tuple[str | None, bool]:
    """The supplier's number, and whether the answer names this purchase at all. Raises: NotStrictJson where it names another."""
    out_no = "" if part.out_no is None else word_at(document, part.out_no)
    ref = "" if part.supplier_ref is None else word_at(document, part.supplier_ref)
    if out_no not in ("", ours.out_no):
        raise NotStrictJson("it speaks of another of our numbers")
    if ref and ours.supplier_ref and ref != ours.supplier_ref:
        raise NotStrictJson("it speaks of another of the supplier's numbers")
    return ref or ours.supplier_ref, bool(out_no) or bool(ref and ours.supplier_ref)


# Cards. ---------------------------------------------------------------------------------------------------------------


def _issued(recipe: Recipe, part: AnswerPart, document: Any, values: Mapping[str, str]) -> Iterator[Issued]:
    """At most one card: one unit was bought. Raises: NotStrictJson."""
    found = None if part.cards is None else at(document, part.cards)
    cards = found if isinstance(found, list) else [] if found in (None, "") else [found]
    if len(cards) > 1:
        raise NotStrictJson(f"it holds {len(cards)} cards for one unit")
    for card in cards:
        places = part.card
        number, password, link = (_secret(recipe, card, place, values) for place in (places.number, places.password, places.link))
        if not (number or password or link):
            raise NotStrictJson("it holds a card without a number")
        if link and not is_web_link(link):
            raise NotStrictJson("it holds a link that is no web address")
        if not number and not link:
            number, password = password, ""
        yield Issued(number, password, link, expires_on=_day(card, places.expires))


def _secret(recipe: Recipe, card: Any, pointer: str | None, values: Mapping[str, str]) -> str:
    text = "" if pointer is None else word_at(card, pointer, most=MAX_SECRET_CHARS)
    return text and open_secret(text, recipe.secrets.cipher, fill(recipe.secrets.key, values))


def open_secret(text: str, cipher: str, key: str) -> str:
    """The plain text of a hidden number or password, its ends trimmed. Raises: NotStrictJson."""
    try:
        if cipher == "none":
            return text.strip()
        raw = base64.b64decode(text, validate=True)
        if cipher == "aes-256-ecb":
            decryptor = Cipher(AES(key.encode("utf-8")), ECB()).decryptor()  # noqa: S305 (the supplier's choice)
            raw = decryptor.update(raw) + decryptor.finalize()
        plain = raw.decode("utf-8").strip(_TRIMMED)
    except (ValueError, binascii.Error) as error:
        raise NotStrictJson("a card cannot be decrypted") from error
    if any(ord(character) < 32 for character in plain):
        raise NotStrictJson("a card cannot be decrypted")
    return plain


_TRIMMED = "".join(map(chr, range(33)))
"""Blanks, line ends and every padding byte of AES."""


def _day(card: Any, pointer: str | None) -> date | None:
    """The day a card expires; None where none is told or it is no date."""
    found = _DAY.match("" if pointer is None else word_at(card, pointer))
    try:
        return None if found is None else date(*map(int, found.groups()))
    except ValueError:
        return None


# Goods. ---------------------------------------------------------------------------------------------------------------


def catalog_items(recipe: Recipe, part: AnswerPart, document: Any) -> tuple[list[CatalogItem], int]:
    """The goods that make sense, and how many entries did not. Raises: NotStrictJson where there is no list at all."""
    assert part.items is not None
    assert part.item is not None
    found = at(document, part.items)
    entries = found if isinstance(found, list) else [found] if isinstance(found, dict) else None
    if entries is None:
        raise NotStrictJson("there are no goods where they should stand")
    items = [item for entry in entries if (item := _item(recipe, part.item, entry)) is not None]
    return items, len(entries) - len(items)


def _item(recipe: Recipe, places: Item, entry: Any) -> CatalogItem | None:
    try:
        cost, value = amount_at(entry, places.unit_cost), optional_amount(entry, places.face_value)
        sku, name = word_at(entry, places.supplier_sku), word_at(entry, places.name)
        stock = optional_amount(entry, places.stock)
        if not sku or not name or (stock is not None and stock != stock.to_integral_value()):
            return None
        return CatalogItem(
            supplier_sku=sku,
            name=name,
            delivery_kind=_kind(places, entry),
            unit_cost=cost,
            currency=recipe.currency,
            is_on_sale=places.on_sale is None or word_at(entry, places.on_sale) in places.on_sale_values,
            stock=None if stock is None else int(stock),
            face_value_minor=None if value is None else int(value * 100),
        )
    except NotStrictJson:
        return None


def _kind(places: Item, entry: Any) -> str:
    kind = "" if places.kind is None else word_at(entry, places.kind)
    return places.kinds.get(kind, places.usual_kind)


# Single values. -------------------------------------------------------------------------------------------------------


def word_at(document: Any, pointer: str, *, most: int = 512) -> str:
    """A text, number or truth as a text; empty where nothing stands. Raises: NotStrictJson for a list or an object."""
    value = at(document, pointer)
    if value is None:
        return ""
    if isinstance(value, bool):
        return json.dumps(value)
    if not isinstance(value, str | int | Decimal) or len(str(value)) > most:
        raise NotStrictJson(f"{pointer} is not a short text")
    return str(value).strip()


def amount_at(document: Any, pointer: str) -> Decimal:
    """An amount of money from zero up. Raises: NotStrictJson for −1, texts that are no number, and nothing."""
    text = word_at(document, pointer)
    if not _AMOUNT.fullmatch(text) or Decimal(text) > MOST:
        raise NotStrictJson(f"{pointer} is not an amount")
    return Decimal(text)


def optional_amount(document: Any, pointer: str | None) -> Decimal | None:
    """As `amount_at`, or None where nothing stands. Raises: NotStrictJson."""
    return None if pointer is None or word_at(document, pointer) == "" else amount_at(document, pointer)
