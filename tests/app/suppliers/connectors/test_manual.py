"""docs/suppliers.md says what is so: every connector with all its settings and defaults, every reason, and a recipe that works as it stands."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.kernel.http import Answer
from app.suppliers.connectors import CONNECTORS
from app.suppliers.connectors.declarative import trying
from app.suppliers.connectors.declarative.presets import preset_names
from app.suppliers.connectors.declarative.recipe import BadRecipe, Recipe, read_recipe
from app.suppliers.connectors.declarative.values import ALL, COMMON
from app.suppliers.connectors.port import (
    Delivered,
    GoodsNotice,
    Issued,
    Purchase,
    PurchaseNotice,
    RawNotice,
    Reason,
    Rejected,
    Unknown,
    UseNotice,
)

TEXT = (Path(__file__).parents[4] / "docs/suppliers.md").read_text(encoding="utf-8")
NOW = datetime(2026, 11, 22, 0, 30, tzinfo=UTC)
SAMPLE = trying.Sample(NOW, "n", Purchase("Q1", "G1", {}, None, "CNY", None, ""), supplier_ref="77")
SIGNATURES = re.findall(r"^\| [^|]+ \| `(\"[^|]+)` \|$", TEXT, re.MULTILINE)
SETTINGS = {"merchant": "m1", "key": "s3cret"}


def section(name: str) -> str:
    parts = re.split(r"^## ", TEXT, flags=re.MULTILINE)
    [found] = [part for part in parts if f"· `{name}`" in part.splitlines()[0]]
    return found


@pytest.mark.parametrize("name", sorted(CONNECTORS))
def test_connector_is_described_with_every_setting(name: str) -> None:
    text = section(name)
    missing = [setting.name for setting in CONNECTORS[name].traits.settings if f"`{setting.name}`" not in text]
    assert missing == []


@pytest.mark.parametrize("name", sorted(CONNECTORS))
def test_addresses_are_the_defaults(name: str) -> None:
    defaults = [setting.default for setting in CONNECTORS[name].traits.settings if setting.default.startswith("https://")]
    assert [default for default in defaults if default not in TEXT] == []


@pytest.mark.parametrize("name", sorted(set(CONNECTORS) - {"declarative", "reloadly_airtime"}))
def test_day_of_the_notes_is_the_connectors_own(name: str) -> None:
    read_on = CONNECTORS[name].traits.verified_on
    assert read_on.isoformat() in section(name) or (name == "dingconnect" and str(read_on.year) in section(name))


def test_reasons_and_presets_are_all_named() -> None:
    assert [word for word in [*Reason, *preset_names()] if f"`{word}`" not in TEXT] == []


def test_names_in_braces_are_all_named() -> None:
    families = {"account.*": "account.FIELD", "settings.*": "settings.NAME"}
    assert [name for name in COMMON | ALL if f"`{families.get(name, name)}`" not in TEXT] == []


def example() -> Recipe:
    [text] = [found for found in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL) if '"calls"' in found]
    return read_recipe(text)


def test_example_signs_as_it_says() -> None:
    shown = trying.show_request(example(), SETTINGS, "place", SAMPLE)
    assert shown.signed_text == "goods=G1&merchant=m1&num=1&orderNo=Q1&time=20261122083000&key=‹key›"
    signature = hashlib.md5(shown.signed_text.replace("‹key›", "s3cret").encode(), usedforsecurity=False).hexdigest().upper()
    assert shown.body.endswith(f"&sign={signature}")
    assert "s3cret" not in repr(shown)


def test_example_reads_its_answers() -> None:
    card = {"no": "A1", "pwd": "p1", "until": "2027-01-31"}
    done = {"code": 0, "data": {"orderNo": "Q1", "id": "77", "state": 2, "price": "9.50", "cards": [card]}}
    meaning = trying.read_answer(example(), SETTINGS, "query", SAMPLE, Answer(200, json.dumps(done).encode(), {}))
    assert isinstance(meaning.outcome, Delivered)
    [issued] = meaning.outcome.issued
    assert isinstance(issued, Issued)
    assert (issued.number, issued.password) == ("A1", "p1")
    sold_out = Answer(200, b'{"code": 1005, "msg": "none left"}', {})
    refused = trying.read_answer(example(), SETTINGS, "place", SAMPLE, sold_out).outcome
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.OUT_OF_STOCK


def test_example_checks_its_notices() -> None:
    signed = "id=77&orderNo=Q1&state=2&key=s3cret"
    signature = hashlib.md5(signed.encode(), usedforsecurity=False).hexdigest().upper()
    raw = RawNotice({}, "", f"orderNo=Q1&id=77&state=2&sign={signature}".encode())
    notice = trying.read_message(example(), SETTINGS, "notice", raw, NOW)
    assert isinstance(notice, PurchaseNotice)
    assert (notice.out_no, notice.supplier_ref) == ("Q1", "77")


def test_example_with_its_messages_of_goods_and_uses_reads_them() -> None:
    parts = [json.loads("{" + text + "}") for text in re.findall(r"```json\n(\"(?:goods|use)_notice\".*?)```", TEXT, re.DOTALL)]
    recipe = Recipe.model_validate(example().model_dump(mode="json") | parts[0] | parts[1])
    at = str(int(NOW.timestamp() * 1000))
    pairs = {"event": "used", "id": "77", "orderNo": "Q1", "shop": "West Lake", "time": at, "useId": "5"}
    text = "&".join(f"{name}={value}" for name, value in pairs.items())
    sign = hashlib.md5((text + "s3cret").encode(), usedforsecurity=False).hexdigest()
    used = trying.read_message(recipe, SETTINGS, "use_notice", RawNotice({}, "", f"{text}&sign={sign}".encode()), NOW)
    assert isinstance(used, UseNotice)
    assert (used.out_no, used.supplier_ref, used.used_at, used.place, used.is_taken_back) == ("Q1", "77", NOW, "West Lake", False)
    body = json.dumps({"data": [{"goodsId": "G1", "price": "9.5", "num": 3, "state": "1", "time": at}]}).encode()
    sign = hashlib.md5(body + b"s3cret", usedforsecurity=False).hexdigest()
    told = trying.read_message(recipe, SETTINGS, "goods_notice", RawNotice({"sign": sign}, "", body), NOW)
    assert isinstance(told, GoodsNotice)
    assert [(one.supplier_sku, str(one.unit_cost), one.stock, one.is_on_sale) for one in told.told] == [("G1", "9.5", 3, True)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"used_values": []}, "used_values"),
        ({"taken_back_values": ["used"]}, "cannot mean both"),
        ({"out_no": None}, "out_no"),
        ({"used_at_form": "moons"}, "used_at_form"),
        ({"place": "shop"}, "place"),
    ],
)
def test_a_faulty_description_of_uses_is_refused_with_its_place(changes: dict[str, object], says: str) -> None:
    [text] = re.findall(r"```json\n(\"use_notice\".*?)```", TEXT, re.DOTALL)
    part = json.loads("{" + text + "}")["use_notice"] | changes
    with pytest.raises(BadRecipe, match=says):
        read_recipe(json.dumps(example().model_dump(mode="json", exclude_none=True) | {"use_notice": part}))


@pytest.mark.parametrize("row", SIGNATURES)
def test_signatures_of_the_table_are_what_a_recipe_may_say(row: str) -> None:
    document = example().model_dump(mode="json") | {"signing": json.loads("{" + row + "}")}
    Recipe.model_validate(document)


def test_table_of_signatures_is_read() -> None:
    assert len(SIGNATURES) == 5


@pytest.mark.parametrize("address", ["javascript:alert(1)", "http://plain.example", "https://a b", 'https://x"onclick=', "//x"])
def test_recipe_never_delivers_a_link_that_is_no_web_address(address: str) -> None:
    document = example().model_dump(mode="json")
    document["calls"]["query"]["answer"]["card"] = {"link": "/link"}
    done = {"code": 0, "data": {"orderNo": "Q1", "id": "77", "state": 2, "cards": [{"link": address}]}}
    answer = Answer(200, json.dumps(done).encode(), {})
    meaning = trying.read_answer(Recipe.model_validate(document), SETTINGS, "query", SAMPLE, answer)
    assert isinstance(meaning.outcome, Unknown)
