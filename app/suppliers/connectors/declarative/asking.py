"""Turns a recipe's call and named values into the exact request, signature included. Sends nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from app.kernel.http import Call
from app.suppliers.connectors.declarative.recipe import CallPart, Recipe, Signing
from app.suppliers.connectors.declarative.signing import Signable, signature_of, text_to_sign
from app.suppliers.connectors.declarative.values import fill, fill_value
from app.suppliers.connectors.port import Purchase

MEDIA_TYPES = {"form": "application/x-www-form-urlencoded", "json": "application/json"}

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One request and the text its signature is made over, which may hold a secret."""

    call: Call
    signed_text: str = field(repr=False)


def prepare(recipe: Recipe, call: CallPart, values: Values) -> Prepared:
    """Raises: values.Missing, signing.BadKey."""
    encoding = call.encoding or recipe.encoding
    filled = fill_value(dict(call.body), values)
    assert isinstance(filled, dict)
    body = {name: value for name, value in filled.items() if value not in ("", None) or not call.leave_out_empty}
    query = {
        name: value for name, template in call.query.items() if (value := fill(template, values)) or not call.leave_out_empty
    }
    headers = {name: fill(template, values) for name, template in {**recipe.headers, **call.headers}.items()}
    path = _segments(call.path, values)
    signed_text = ""
    if recipe.signing is not None and call.is_signed:
        named = {**values, "method": call.method, "path": path}
        message = Signable(body, query, _written(body, call, encoding, recipe), named)
        signed_text = text_to_sign(recipe.signing, message)
        _put(recipe.signing, signature_of(recipe.signing, signed_text, named), body=body, query=query, headers=headers)
    raw = _written(body, call, encoding, recipe).encode("utf-8")
    if raw:
        headers.setdefault("Content-Type", MEDIA_TYPES[encoding])
    address = recipe.base_url.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
    return Prepared(Call(call.method, address, headers, raw), signed_text)


def of_purchase(purchase: Purchase) -> dict[str, str]:
    """The names a call that buys may use. Amounts in whole units of currency, with two places."""
    value = purchase.face_value_minor
    return {
        "purchase.out_no": purchase.out_no,
        "purchase.supplier_sku": purchase.supplier_sku,
        "purchase.quantity": "1",
        "purchase.face_value": "" if value is None else f"{value // 100}.{value % 100:02d}",
        "purchase.face_value_minor": "" if value is None else str(value),
        "purchase.most_cost": "" if purchase.most_cost is None else format(purchase.most_cost, "f"),
        "purchase.notice_url": purchase.notice_url,
        **{f"account.{name}": text for name, text in purchase.account.items()},
    }


def _put(signing: Signing, signature: str, *, body: dict[str, Any], query: dict[str, str], headers: dict[str, str]) -> None:
    match signing.put.where:
        case "header":
            headers[signing.put.name] = signature
        case "query":
            query[signing.put.name] = signature
        case _:
            body[signing.put.name] = signature


def _written(body: Mapping[str, Any], call: CallPart, encoding: str, recipe: Recipe) -> str:
    """The body as it travels; nothing for a GET."""
    if call.method == "GET":
        return ""
    if encoding == "form":
        return urlencode({name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()})
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=recipe.keys_sorted)


def _segments(path: str, values: Values) -> str:
    """Values in a path are escaped, so that none of them can leave its segment."""
    return fill(path, {name: quote(value, safe="") for name, value in values.items()})
