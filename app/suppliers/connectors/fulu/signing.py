"""Fulu's signature and its hidden cards. Source: public SDKs of the protocol, version 2.0."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from app.kernel.strict_json import NotStrictJson

_TRIMMED = "".join(map(chr, range(33)))
"""Blanks, line ends, and every byte AES pads with."""


def sign(text: str, secret: str) -> str:
    """MD5 of the text's characters in order, followed by the secret; lower-case hex. The order of keys in the text is no matter, its bytes are."""
    return hashlib.md5(("".join(sorted(text)) + secret).encode("utf-8"), usedforsecurity=False).hexdigest()


def is_signed(text: str, secret: str, given: str) -> bool:
    return hmac.compare_digest(sign(text, secret).encode(), given.lower().encode("utf-8", "replace"))


def written(document: Mapping[str, Any]) -> str:
    """The text that is signed: JSON without blanks, neither unicode nor slashes escaped, numbers as they were read."""
    return "{" + ",".join(f"{_text(name)}:{_value(value)}" for name, value in document.items()) + "}"


def open_card(text: str, secret: str) -> str:
    """A number or password in the clear: base64 of AES-256-ECB with the secret as key, its ends trimmed. Raises: NotStrictJson."""
    try:
        decryptor = Cipher(AES(secret.encode("utf-8")), ECB()).decryptor()  # noqa: S305 (the protocol's choice)
        plain = (decryptor.update(base64.b64decode(text, validate=True)) + decryptor.finalize()).decode("utf-8").strip(_TRIMMED)
    except (ValueError, binascii.Error) as error:
        raise NotStrictJson("a card cannot be decrypted") from error
    if any(ord(character) < 32 for character in plain):
        raise NotStrictJson("a card cannot be decrypted")
    return plain


def _value(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return written(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_value, value)) + "]"
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
