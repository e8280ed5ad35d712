"""The account a top-up credits: what may stand in its fields."""

from __future__ import annotations

import pytest

from app.catalog import accounts
from app.catalog.accounts import AccountField, FieldKind, check, fields_of, from_offer, shown, stored

PHONE = AccountField("phone", "Phone", FieldKind.PHONE)
QQ = AccountField("qq", "QQ", FieldKind.QQ)
REGION = AccountField("region", "Region", FieldKind.CHOICE, choices={"": ("East", "West")})
SERVER = AccountField("server", "Server", FieldKind.CHOICE, depends_on="region", choices={"East": ("Lake",), "West": ("Dune",)})


@pytest.mark.parametrize("typed", ["13800132046", "138 0013 2046", "+86 138-0013-2046", "１３８００１３２０４６"])
def test_a_mainland_number_is_read_as_people_write_it(typed: str) -> None:
    assert check([PHONE], {"phone": typed}).values == {"phone": "13800132046"}


@pytest.mark.parametrize("typed", ["1380013204", "138001320461", "12345678901", "+85251234567", "abc", "010-12345678"])
def test_what_is_no_mainland_mobile_number_is_refused(typed: str) -> None:
    assert check([PHONE], {"phone": typed}).faults["phone"][0] == accounts.NOT_MAINLAND


@pytest.mark.parametrize("start", accounts.VIRTUAL_RANGES)
def test_a_virtual_carriers_number_is_refused_where_the_product_says_so(start: str) -> None:
    typed = {"phone": f"{start}00132046"}
    assert check([PHONE], typed).values == typed
    assert check([PHONE], typed, refuses_virtual=True).faults["phone"] == (accounts.IS_VIRTUAL, {"range": start})


@pytest.mark.parametrize(
    ("typed", "fits"),
    [("10000", True), ("12345678901", True), ("1234", False), ("123456789012", False), ("01234", False), ("1234a", False)],
)
def test_a_qq_number_has_five_to_eleven_digits(typed: str, fits: bool) -> None:
    assert (check([QQ], {"qq": typed}).values == {"qq": typed}) is fits


def test_every_fault_is_found_at_once() -> None:
    assert set(check([PHONE, QQ, REGION], {"phone": "1", "qq": "1"}).faults) == {"phone", "qq", "region"}


def test_a_choice_is_held_to_the_list_of_the_choice_before_it() -> None:
    assert not check([REGION, SERVER], {"region": "East", "server": "Lake"}).faults
    assert set(check([REGION, SERVER], {"region": "East", "server": "Dune"}).faults) == {"server"}
    assert set(check([REGION, SERVER], {"region": "North", "server": "Lake"}).faults) == {"region", "server"}


def test_what_need_not_be_filled_in_may_be_empty() -> None:
    note = AccountField("note", "Note", is_required=False)
    found = check([note], {"note": " "})
    assert not found.faults
    assert not found.values


def test_fields_are_kept_as_they_were() -> None:
    assert fields_of(stored([PHONE, REGION, SERVER])) == (PHONE, REGION, SERVER)


def test_an_offers_pattern_stays_with_its_supplier() -> None:
    taken = from_offer([{"name": "phone", "label": "Phone", "kind": "phone", "pattern": r"\+?\d{7,15}", "is_required": True}])
    assert taken == (AccountField("phone", "Phone", FieldKind.WORLD_PHONE),)
    assert from_offer([{"name": "x", "label": "X", "kind": "odd"}])[0].kind is FieldKind.TEXT


def test_a_number_is_read_back_in_groups() -> None:
    assert shown(PHONE, "13800132046") == "138 0013 2046"
