"""What a merchant types: defaults that are lines to correct, and what a connection is refused for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.kernel.http import Client
from app.suppliers.connectors import CONNECTORS, open_connector
from app.suppliers.connectors.assumed import assumptions, refusals_of, words
from app.suppliers.connectors.port import IncompleteConnection, Reason

NAMES = ("agiso_acpr", "dingconnect", "reloadly_airtime", "reloadly_gift_cards", "tango", "tremendous")
pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> Client:
    return Client(allow_loopback=False)


def filled(name: str) -> dict[str, str]:
    """The least a connection needs: everything without a default."""
    settings = CONNECTORS[name].traits.settings
    return {setting.name: "x1" for setting in settings if not setting.default and not re.fullmatch(setting.pattern, "")}


@pytest.mark.parametrize("name", NAMES)
async def test_connection_needs_its_credentials_and_nothing_else(name: str, client: Client) -> None:
    opened: Any = open_connector(name, filled(name), client)
    assert type(opened).traits.name == name
    for setting in filled(name):
        for value in ("", "  "):
            with pytest.raises(IncompleteConnection) as refusal:
                open_connector(name, filled(name) | {setting: value}, client)
            assert refusal.value.setting == setting


@pytest.mark.parametrize("name", NAMES)
async def test_defaults_fit_their_own_form(name: str) -> None:
    for setting in CONNECTORS[name].traits.settings:
        assert not setting.default or re.fullmatch(setting.pattern, setting.default), setting.name
        assert not (setting.is_secret and setting.default)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "address", ["ftp://x", "https://user:pass@host", "https://host/?a=1", "host", "https:// host", "javascript:x"]
)
async def test_address_that_is_none_is_refused(name: str, address: str, client: Client) -> None:
    with pytest.raises(IncompleteConnection):
        open_connector(name, filled(name) | {"base_url": address}, client)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("line", ["no.such.line = 1", "nonsense", "= 5"])
async def test_line_that_is_none_is_refused(name: str, line: str, client: Client) -> None:
    with pytest.raises(IncompleteConnection, match="there is no line named"):
        open_connector(name, filled(name) | {"assumed": line}, client)


@pytest.mark.parametrize("name", NAMES)
async def test_no_refusal_is_definite_by_default(name: str, client: Client) -> None:
    """No text of these suppliers lists codes that say nothing was bought."""
    opened: Any = open_connector(name, filled(name), client)
    assert getattr(opened, "refusals", {}) == {}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("reloadly_gift_cards", "CUSTOM_IDENTIFIER_ALREADY_USED"),
        ("reloadly_airtime", "DUPLICATE_TRANSACTION"),
        ("dingconnect", "DuplicateDistributorRef"),
    ],
)
async def test_code_for_a_used_number_cannot_be_listed_as_a_definite_no(name: str, code: str, client: Client) -> None:
    with pytest.raises(IncompleteConnection, match="does not say that nothing was bought"):
        open_connector(name, filled(name) | {"refusals": f"{code}=refused"}, client)


@pytest.mark.parametrize("path", ["//evil.example/x", "@evil.example", "https://evil.example", "/a b"])
async def test_address_in_the_table_stays_under_the_connections_own(path: str, client: Client) -> None:
    if path.startswith("//"):
        opened: Any = open_connector("tango", filled("tango") | {"assumed": f"balance.path = {path}"}, client)
        assert (opened.base_url + opened.assumed["balance.path"]).startswith("https://api.tangocard.com//")
        return
    with pytest.raises(IncompleteConnection):
        open_connector("tango", filled("tango") | {"assumed": f"balance.path = {path}"}, client)


def test_table_keeps_its_defaults_where_no_line_says_otherwise() -> None:
    defaults = {"a.path": "/x", "b": "1", "c_s": "60"}
    assert assumptions("b = 2\n\n a.path =\n", defaults) == {"a.path": "", "b": "2", "c_s": "60"}
    with pytest.raises(IncompleteConnection):
        assumptions("c_s = soon", defaults)


def test_list_of_refusals_is_read_whole() -> None:
    assert refusals_of("A=no_balance, B = bad_account\nC=refused") == {
        "A": Reason.NO_BALANCE,
        "B": Reason.BAD_ACCOUNT,
        "C": Reason.REFUSED,
    }
    for text in ("A", "A=", "=refused", "A=because"):
        with pytest.raises(IncompleteConnection):
            refusals_of(text)


def test_words_are_compared_without_case() -> None:
    assert words(" Complete, ,done ") == {"COMPLETE", "DONE"}
