"""Signatures a recipe can describe: a text is made of named values, then hashed or signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from app.suppliers.connectors.declarative.recipe import Pairs, Signing
from app.suppliers.connectors.declarative.values import fill


class BadKey(ValueError):
    """A key that cannot be read, or is none of its kind."""


@dataclass(frozen=True, slots=True)
class Signable:
    """What there is to sign of one message: its named values by the place they travel in, and its raw body."""

    body: Mapping[str, Any] = field(repr=False)
    query: Mapping[str, Any] = field(repr=False)
    raw: str = field(repr=False)
    values: Mapping[str, str] = field(repr=False)


def text_to_sign(signing: Signing, message: Signable) -> str:
    """The signature's base text. It may hold a secret."""
    named = {**message.values, "body": message.raw}
    match signing.over:
        case "template":
            return fill(signing.template, named)
        case "body":
            return fill(signing.template, named) if signing.template else message.raw
        case _:
            return _pairs(signing.pairs, message)


def signature_of(signing: Signing, text: str, values: Mapping[str, str]) -> str:
    """Raises: BadKey."""
    raw = text.encode("utf-8")
    match signing.hash:
        case "hmac-sha256":
            digest = hmac.new(_secret(signing, values), raw, hashlib.sha256).digest()
        case "rsa-sha256":
            digest = private_key(fill(signing.key, values)).sign(raw, padding.PKCS1v15(), hashes.SHA256())
        case _:
            digest = hashlib.new(signing.hash, raw, usedforsecurity=False).digest()
    written = digest.hex() if signing.written == "hex" else base64.b64encode(digest).decode("ascii")
    return written.upper() if signing.upper else written


def is_signed(signing: Signing, text: str, values: Mapping[str, str], *, given: str, ignores_case: bool) -> bool:
    """Whether a message carries the right signature, compared in constant time. Raises: BadKey."""
    if signing.hash == "rsa-sha256":
        return _is_rsa_signed(signing, text, values, given)
    ours = signature_of(signing, text, values)
    if ignores_case and signing.written == "hex":
        ours, given = ours.lower(), given.lower()
    return hmac.compare_digest(ours.encode(), given.encode("utf-8", "replace"))


def private_key(text: str) -> RSAPrivateKey:
    """PEM, or its base64 alone as consoles show it. Raises: BadKey."""
    try:
        if "-----BEGIN" in text:
            key = serialization.load_pem_private_key(text.encode(), password=None)
        else:
            key = serialization.load_der_private_key(base64.b64decode(text, validate=False), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey("the private key cannot be read") from error
    if not isinstance(key, RSAPrivateKey):
        raise BadKey("the key is no RSA key")
    return key


def public_key(text: str) -> RSAPublicKey:
    """As `private_key`. Raises: BadKey."""
    try:
        key = (
            serialization.load_pem_public_key(text.encode())
            if "-----BEGIN" in text
            else serialization.load_der_public_key(base64.b64decode(text, validate=False))
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey("the public key cannot be read") from error
    if not isinstance(key, RSAPublicKey):
        raise BadKey("the key is no RSA key")
    return key


def _is_rsa_signed(signing: Signing, text: str, values: Mapping[str, str], given: str) -> bool:
    try:
        raw = bytes.fromhex(given) if signing.written == "hex" else base64.b64decode(given, validate=True)
        public_key(fill(signing.key, values)).verify(raw, text.encode("utf-8"), padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature) as fault:
        if isinstance(fault, BadKey):
            raise
        return False
    return True


def _pairs(pairs: Pairs, message: Signable) -> str:
    more = {name: fill(template, message.values) for name, template in pairs.more.items()}
    sources = {"body": message.body, "query": message.query, "more": more}
    found = [(name, as_text(value)) for source in pairs.of for name, value in sources[source].items()]
    kept = [(name, text) for name, text in found if name not in pairs.leave_out and (text != "" or not pairs.leave_out_empty)]
    if pairs.is_sorted:
        kept.sort()
    joined = pairs.between_pairs.join(
        f"{name}{pairs.between_name_and_value}{text}" if pairs.with_names else text for name, text in kept
    )
    return fill(pairs.before, message.values) + joined + fill(pairs.after, message.values)


def as_text(value: Any) -> str:
    """A value as it is signed: texts as they are, the rest as JSON, nothing for null."""
    if isinstance(value, str | Decimal):
        return str(value)
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _secret(signing: Signing, values: Mapping[str, str]) -> bytes:
    secret = fill(signing.key, values)
    if not secret:
        raise BadKey("the secret to sign with is empty")
    return secret.encode("utf-8")
