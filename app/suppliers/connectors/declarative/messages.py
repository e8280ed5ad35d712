"""Checks and reads the notices a recipe describes. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from app.kernel import strict_json
from app.kernel.http import MAX_BODY_BYTES
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors.declarative.answering import word_at
from app.suppliers.connectors.declarative.recipe import NoticePart
from app.suppliers.connectors.declarative.signing import BadKey, Signable, as_text, is_signed, text_to_sign
from app.suppliers.connectors.port import Forged, Notice, PurchaseNotice, RawNotice

MAX_FIELDS = 100


def verify(part: NoticePart, raw: RawNotice, values: Mapping[str, str]) -> Notice:
    """A hint to ask about one purchase, or Forged. The signature is checked before anything is believed."""
    try:
        fields, query = _fields(part, raw), _parsed(raw.query)
        text = _text(part, raw, fields=fields, query=query, values=values)
        given = _given(part, raw, fields=fields, query=query)
        if not given:
            return Forged("the notice is not signed")
        if not is_signed(part.signing, text, values, given=given, ignores_case=part.ignores_case):
            return Forged("the notice's signature is wrong")
        out_no = word_at(fields, part.out_no)
        ref = "" if part.supplier_ref is None else word_at(fields, part.supplier_ref)
        told = "\n".join(word_at(fields, pointer) for pointer in part.event)
    except (NotStrictJson, BadKey) as fault:
        return Forged(str(fault))
    if not out_no:
        return Forged("the notice names no purchase")
    event = f"{out_no}\n{told}".encode() if part.event else raw.query.encode() + b"\n" + raw.body
    return PurchaseNotice(hashlib.sha256(event).hexdigest()[:40], out_no, ref or None)


def _text(
    part: NoticePart, raw: RawNotice, *, fields: Mapping[str, Any], query: Mapping[str, str], values: Mapping[str, str]
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


def _given(part: NoticePart, raw: RawNotice, *, fields: Mapping[str, Any], query: Mapping[str, str]) -> str:
    name = part.signing.put.name
    match part.signing.put.where:
        case "header":
            return raw.headers.get(name.lower(), "")
        case "query":
            return query.get(name, "")
        case _:
            return as_text(fields.get(name))


def _fields(part: NoticePart, raw: RawNotice) -> Mapping[str, Any]:
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
