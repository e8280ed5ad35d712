"""Whom a limit counts: the caller our own proxies vouch for, an IPv6 network as one, and never what a stranger writes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.kernel import hosts
from app.kernel.hosts import address_of
from app.settings import settings
from tests.app.access.people import browser, new_email, token
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.case("F12")]
PROXY = "10.0.0.2"


def seen(client: str, *forwarded: str, trusted: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whom an installation behind so many proxies sees."""
    monkeypatch.setattr(hosts, "settings", lambda: SimpleNamespace(trusted_proxies=trusted))
    scope: Any = {"client": (client, 40_000), "headers": [(b"x-forwarded-for", value.encode()) for value in forwarded]}
    return address_of(scope)


@pytest.mark.parametrize(
    ("trusted", "forwarded", "expected"),
    [
        (0, ["198.51.100.1"], PROXY),
        (0, [], PROXY),
        (1, [], PROXY),
        (1, ["198.51.100.1"], "198.51.100.1"),
        (1, ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        (1, ["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
        (1, ["203.0.113.9,203.0.113.8,198.51.100.1"], "198.51.100.1"),
        (1, ["198.51.100.1 "], "198.51.100.1"),
        (2, ["203.0.113.9, 198.51.100.1, 10.0.0.3"], "198.51.100.1"),
        (2, ["198.51.100.1"], PROXY),
        (1, ["unknown"], "unknown"),
        (1, ["<script>"], "unknown"),
        (1, ["198.51.100.1\r\nx: y"], "unknown"),
        (1, ["198.51.100.1:55000"], "unknown"),
        (1, [""], "unknown"),
        (1, [","], "unknown"),
        (1, ["9" * 5000], "unknown"),
        (1, ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
    ],
)
def test_only_the_hops_of_our_own_proxies_are_believed(
    trusted: int, forwarded: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seen(PROXY, *forwarded, trusted=trusted, monkeypatch=monkeypatch) == expected


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:fffe", True),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:0db8:0000:0000:0001::", True),
        ("2001:DB8::1", "2001:db8::ffff", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:198.51.100.7", "198.51.100.7", True),
        ("::ffff:c633:6407", "198.51.100.7", True),
        ("::ffff:198.51.100.7", "::ffff:198.51.100.8", False),
        ("198.51.100.7", "198.51.100.8", False),
    ],
)
def test_an_ipv6_network_is_one_caller_however_it_is_spelled(
    one: str, other: str, is_same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (seen(one, trusted=0, monkeypatch=monkeypatch) == seen(other, trusted=0, monkeypatch=monkeypatch)) is is_same


async def test_changing_headers_and_addresses_of_one_network_do_not_help_a_guesser(world: World) -> None:
    """Each try comes from another address of one /64, with another forwarding header, at another account: the network's hundred are used up."""
    assert settings().trusted_proxies == 0
    statuses = []
    for n in range(104):
        client = browser(world, address=f"2001:db8:77::{n:x}")
        data = {"_csrf": await token(client), "email": f"{n}{new_email()}", "password": "wrong one"}
        headers = {"x-forwarded-for": f"203.0.113.{n}", "x-real-ip": f"203.0.113.{n}", "forwarded": f"for=203.0.113.{n}"}
        statuses.append((await client.post("/log-in", data=data, headers=headers)).status_code)
    assert statuses == [422] * 100 + [429] * 4
    neighbour = browser(world, address="2001:db8:78::1")
    data = {"_csrf": await token(neighbour), "email": new_email(), "password": "wrong one"}
    assert (await neighbour.post("/log-in", data=data)).status_code == 422
