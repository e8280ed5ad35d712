"""Bodies no page of ours sends, to every address that takes one: a refusal, never an error of ours, and nothing changes."""

from __future__ import annotations

import pytest

from tests.attacks.merchant import buyers_session, fingerprint, merchant
from tests.attacks.routes import routes
from tests.attacks.table import ROWS
from tests.attacks.test_forgery import unsafe, visitor_of
from tests.attacks.test_matrix import ids_of
from tests.attacks.visitors import Caller
from tests.attacks.whom import For
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.case("H15")]
FORM, PARTS = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
FIELDS = ("name", "reason", "email", "password", "contact", "note", "keys", "q", "slug", "host", "role", "code", "query")
BODIES: dict[str, tuple[str, bytes]] = {
    "NUL": (FORM, "&".join(f"{name}=%00" for name in FIELDS).encode()),
    "a NUL in a name": (FORM, b"na%00me=x&reason=xxxx"),
    "a lone surrogate": (FORM, "&".join(f"{name}=%ED%A0%80" for name in FIELDS).encode()),
    "no UTF-8": (FORM, "&".join(f"{name}=%ff%fe" for name in FIELDS).encode()),
    "one long text": (FORM, b"reason=" + b"a" * 150_000),
    "a megabyte": (FORM, b"name=" + b"a" * 1_000_000),
    "two thousand fields": (FORM, "&".join(f"f{n}=x" for n in range(2_000)).encode()),
    "one field two thousand times": (FORM, b"&".join([b"reason=x"] * 2_000)),
    "brackets": (FORM, b"name[][a][b]=x&reason[$ne]=1&" + b"a" + b"[a]" * 500 + b"=1"),
    "nested JSON": ("application/json", b"[" * 5_000 + b"]" * 5_000),
    "a JSON object": ("application/json", b'{"reason": {"$gt": ""}, "name": ["x"], "_csrf": true}'),
    "NaN and twice": ("application/json", b'{"a": NaN, "a": Infinity, "b": 1e999999, "c": -0}'),
    "a huge integer": ("application/json", b'{"quantity": ' + b"9" * 5_000 + b"}"),
    "no parts": (PARTS, b""),
    "a part without an end": (PARTS, b'--x\r\nContent-Disposition: form-data; name="reason"\r\n\r\nxxxx'),
    "a part without a name": (PARTS, b"--x\r\nContent-Disposition: form-data\r\n\r\nxxxx\r\n--x--\r\n"),
    "a file as a text": (PARTS, b'--x\r\nContent-Disposition: form-data; name="reason"; filename="a"\r\n\r\nxxxx\r\n--x--\r\n'),
    "parts in parts": (
        PARTS,
        b'--x\r\nContent-Type: multipart/mixed; boundary=y\r\nContent-Disposition: form-data; name="reason"\r\n\r\n--y\r\n--y--\r\n--x--\r\n',
    ),
    "an unknown encoding": ("application/x-www-form-urlencoded; charset=utf-7", b"reason=+ACI-"),
    "no kind of ours": (
        "application/xml",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    ),
    "compressed": (FORM, b"\x1f\x8b\x08\x00" + b"\x00" * 100),
}
CHANGES_BY_ITSELF = frozenset({route for route, row in ROWS.items() if row in (For.ANYBODY, For.BUYERS, For.LOGGED_IN)})
"""Addresses that do their one act without any field, such as logging out or pressing a button."""

MAY_BE_FULL = frozenset({"POST /trial", "POST /sign-up"})
"""Addresses that say so when no shop stands ready, however they are asked: each call here may take one."""


@pytest.mark.parametrize("sent_as", ["application/x", "multipart", "application/json"])
async def test_no_address_breaks_on_a_body_it_does_not_know(world: World, sent_as: str) -> None:
    shop, wrong = await merchant(world, world.tenant), []
    buyer = await buyers_session(world, world.tenant)
    for route in unsafe(world.app):
        who = await visitor_of(world, route, buyer)
        for name, (kind, content) in BODIES.items():
            if kind.startswith(sent_as):
                headers = {"content-type": kind} | ({"content-encoding": "gzip"} if name == "compressed" else {})
                answer = await who.ask(route, ids_of(shop, route), content=content, headers=headers)
                if answer.status_code >= 500 and not (answer.status_code == 503 and str(route) in MAY_BE_FULL):
                    wrong.append(f"{route} of {name}: {answer.status_code}")
    assert wrong == []


async def test_a_stranger_changes_nothing_by_it(world: World) -> None:
    await merchant(world, world.tenant)
    nobody, before = Caller(world, world.tenant), await fingerprint(world.tenant)
    for name in ("NUL", "a lone surrogate", "a megabyte", "two thousand fields", "nested JSON", "no UTF-8"):
        kind, content = BODIES[name]
        for route in routes(world.app):
            if str(route) in CHANGES_BY_ITSELF and not route.is_safe and not route.parameters:
                answer = await nobody.ask(route, {}, content=content, headers={"content-type": kind})
                is_full = answer.status_code == 503 and str(route) in MAY_BE_FULL
                assert answer.status_code < 500 or is_full, (route, name)
    assert await fingerprint(world.tenant) == before
