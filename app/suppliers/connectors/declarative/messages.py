"""Checks and reads the notices a recipe describes. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from app.kernel import strict_json
from app.kernel.http import MAX_BODY_BYTES
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors.declarative.answering import optional_amount, word_at
from app.suppliers.connectors.declarative.pointers import at
from app.suppliers.connectors.declarative.recipe import GoodsNoticePart, MessagePart, NoticePart, TimeForm, UseNoticePart
from app.suppliers.connectors.declarative.signing import BadKey, Signable, as_text, is_signed, text_to_sign
from app.suppliers.connectors.port import (
    Forged,
    GoodsNotice,
    GoodsTold,
    Notice,
    OtherNotice,
    PurchaseNotice,
    RawNotice,
    UseNotice,
)

MAX_FIELDS = 100
MOST_TOLD = 500
"""So many goods of one message are read; the rest are counted as unread."""
MOST_PLACE_CHARS = 120
MOST_STOCK = 2_000_000_000
AHEAD = timedelta(minutes=10)
"""How far the supplier's clock may be ahead of ours."""


def verify(part: NoticePart, raw: RawNotice, values: Mapping[str, str]) -> Notice:
    """A hint to ask about one purchase, or Forged. The signature is checked before anything is believed."""
    try:
        fields = _genuine(part, raw, values)
        out_no = word_at(fields, part.out_no)
        ref = "" if part.supplier_ref is None else word_at(fields, part.supplier_ref)
        if not out_no:
            return Forged("the notice names no purchase")
        return PurchaseNotice(_event_key(part, raw, fields, about=out_no), out_no, ref or None)
    except (NotStrictJson, BadKey) as fault:
        return Forged(str(fault))


def verify_goods(part: GoodsNoticePart, raw: RawNotice, values: Mapping[str, str], clock: Clock) -> GoodsNotice | Forged:
    """What a message says of goods, or Forged. An entry that makes no sense is counted and left out, and so is one of a SKU that is named twice."""
    try:
        fields = _genuine(part, raw, values)
        event_key = _event_key(part, raw, fields)
        found = fields if part.items is None else at(fields, part.items)
    except (NotStrictJson, BadKey) as fault:
        return Forged(str(fault))
    entries = found if isinstance(found, list) else [found]
    named = Counter(_sku(part, entry) for entry in entries)
    read = [_told(part, entry, clock) for entry in entries[:MOST_TOLD]]
    told = tuple(one for one in read if one is not None and named[one.supplier_sku] == 1)
    return GoodsNotice(event_key, told[0].supplier_sku if len(told) == 1 else "", told, len(entries) - len(told))


def verify_use(part: UseNoticePart, raw: RawNotice, values: Mapping[str, str], clock: Clock) -> UseNotice | OtherNotice | Forged:
    """What a message says of a use, or Forged. A time that cannot be, or a message that names no purchase, is Forged too: nothing is guessed."""
    try:
        fields = _genuine(part, raw, values)
        out_no, ref, state, place, at = (
            "" if pointer is None else word_at(fields, pointer)
            for pointer in (part.out_no, part.supplier_ref, part.state, part.place, part.used_at)
        )
        if not out_no:
            return Forged("the notice names no purchase")
        event_key = _event_key(part, raw, fields, about=out_no)
        if part.state is not None and state not in (*part.used_values, *part.taken_back_values):
            return OtherNotice(event_key)
        used_at = None if part.used_at is None else clock.read(at, part.used_at_form)
    except (NotStrictJson, BadKey) as fault:
        return Forged(str(fault))
    shown = " ".join("".join(sign if sign.isprintable() else " " for sign in place).split())
    return UseNotice(event_key, out_no, ref or None, state in part.taken_back_values, used_at, shown[:MOST_PLACE_CHARS])


def _sku(part: GoodsNoticePart, entry: Any) -> str:
    """What an entry names; empty where that cannot be read."""
    try:
        return word_at(entry, part.supplier_sku)
    except NotStrictJson:
        return ""


def _told(part: GoodsNoticePart, entry: Any, clock: Clock) -> GoodsTold | None:
    """None where it names nothing, says nothing, or has a cost, a number or a time that cannot be."""
    try:
        cost, stock = (optional_amount(entry, pointer) for pointer in (part.unit_cost, part.stock))
        sale = "" if part.on_sale is None else word_at(entry, part.on_sale)
        told_at = None if part.told_at is None else clock.read(word_at(entry, part.told_at), part.told_at_form)
    except NotStrictJson:
        return None
    is_whole = stock is None or (stock == stock.to_integral_value() and stock <= MOST_STOCK)
    sku = _sku(part, entry)
    if not sku or not is_whole or (cost is None and stock is None and not sale):
        return None
    return GoodsTold(sku, cost, None if stock is None else int(stock), sale in part.on_sale_values if sale else None, told_at)


@dataclass(frozen=True, slots=True)
class Clock:
    """Now, and the zone in which a supplier writes its times."""

    now: datetime
    zone: str

    def read(self, text: str, form: TimeForm) -> datetime:
        """An instant as the supplier writes it. Raises: NotStrictJson for none, and for one that is still to come."""
        try:
            match form:
                case "seconds" | "milliseconds":
                    if not text.isascii() or not text.isdigit():
                        raise NotStrictJson("the time is not a number")
                    told = datetime.fromtimestamp(int(text) / (1 if form == "seconds" else 1000), UTC)
                case _:
                    written = "%Y-%m-%d %H:%M:%S" if form == "text" else "%Y%m%d%H%M%S"
                    told = datetime.strptime(text, written).replace(tzinfo=ZoneInfo(self.zone))
        except (ValueError, OverflowError, OSError) as error:
            raise NotStrictJson("the time cannot be read") from error
        if told > self.now + AHEAD:
            raise NotStrictJson("the time is still to come")
        return told.astimezone(UTC)


def _genuine(part: MessagePart, raw: RawNotice, values: Mapping[str, str]) -> Mapping[str, Any]:
    """The fields of a message whose signature is right. Raises: NotStrictJson, BadKey."""
    fields, query = _fields(part, raw), _parsed(raw.query)
    text = _text(part, raw, fields=fields, query=query, values=values)
    given = _given(part, raw, fields=fields, query=query)
    if not given:
        raise NotStrictJson("the notice is not signed")
    if not is_signed(part.signing, text, values, given=given, ignores_case=part.ignores_case):
        raise NotStrictJson("the notice's signature is wrong")
    return fields


def _event_key(part: MessagePart, raw: RawNotice, fields: Mapping[str, Any], *, about: str = "") -> str:
    told = "\n".join(word_at(fields, pointer) for pointer in part.event)
    event = f"{about}\n{told}".encode() if part.event else raw.query.encode() + b"\n" + raw.body
    return hashlib.sha256(event).hexdigest()[:40]


def _text(
    part: MessagePart, raw: RawNotice, *, fields: Mapping[str, Any], query: Mapping[str, str], values: Mapping[str, str]
) -> str:
    try:
        body = raw.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotStrictJson("the notice is not UTF-8") from error
    named = {
        **values,
        **{f"header.{name.replace('-', '_')}": value for name, value in raw.headers.items()},
        **{f"notice.{name}": as_text(value) for name, value in fields.items()},
    }
    in_query = part.encoding == "query"
    return text_to_sign(part.signing, Signable({} if in_query else fields, query, body, named))


def _given(part: MessagePart, raw: RawNotice, *, fields: Mapping[str, Any], query: Mapping[str, str]) -> str:
    name = part.signing.put.name
    match part.signing.put.where:
        case "header":
            return raw.headers.get(name.lower(), "")
        case "query":
            return query.get(name, "")
        case _:
            return as_text(fields.get(name))


def _fields(part: MessagePart, raw: RawNotice) -> Mapping[str, Any]:
    match part.encoding:
        case "json":
            return strict_json.parse_object(raw.body, max_bytes=MAX_BODY_BYTES, exact=True)
        case "query":
            return _parsed(raw.query)
        case _:
            return _parsed(raw.body.decode("utf-8", "replace"))


def _parsed(text: str) -> dict[str, str]:
    """Raises: NotStrictJson for a name given twice, which two readers would understand differently."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise NotStrictJson("the notice is not a form") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise NotStrictJson("the notice gives one name twice")
    return fields
