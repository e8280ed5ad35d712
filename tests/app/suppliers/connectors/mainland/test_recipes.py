"""Recipes: read whole with all their faults, tried without sending, and unable to do anything but say what is sent and meant."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.kernel.http import Answer
from app.suppliers.connectors import open_connector
from app.suppliers.connectors.declarative import trying, values
from app.suppliers.connectors.declarative.answering import open_secret
from app.suppliers.connectors.declarative.connector import read_config
from app.suppliers.connectors.declarative.pointers import at
from app.suppliers.connectors.declarative.presets import preset, preset_names
from app.suppliers.connectors.declarative.recipe import BadRecipe, Recipe, read_recipe
from app.suppliers.connectors.declarative.signing import signature_of
from app.suppliers.connectors.port import (
    Delivered,
    Forged,
    IncompleteConnection,
    Purchase,
    PurchaseNotice,
    RawNotice,
    Rejected,
    Unknown,
)

NOW = datetime(2026, 11, 21, 4, 5, 6, 789_000, tzinfo=UTC)
PURCHASE = Purchase("Q26112100000001", "10001", {"qq": "12345"}, 5000, "CNY", Decimal("49.5"), "https://app.example/n")
SAMPLE = trying.Sample(NOW, "n" * 32, PURCHASE, supplier_ref="R1")
SETTINGS = {"user": "7", "key": "s3cr&t"}
PLACE = {"path": "/buy", "answer": {"code_at": "/code", "codes": {"0": "accepted"}}}
QUERY = {"path": "/ask", "answer": {"code_at": "/code", "codes": {"0": "accepted"}}}


def written(**changes: Any) -> str:
    recipe: dict[str, Any] = {
        "title": "Test",
        "base_url": "https://supplier.example/v1",
        "settings": [{"name": "user"}, {"name": "key", "is_secret": True}],
        "calls": {"place": PLACE, "query": QUERY},
    }
    return json.dumps(recipe | changes)


def shown(**changes: Any) -> trying.Shown:
    return trying.show_request(read_recipe(written(**changes)), SETTINGS, "place", SAMPLE)


def meaning(answer: Mapping[str, Any], body: object, *, status: int = 200, **changes: Any) -> trying.Meaning:
    recipe = read_recipe(written(calls={"place": PLACE, "query": {"path": "/ask", "answer": answer}}, **changes))
    text = body if isinstance(body, str) else json.dumps(body)
    return trying.read_answer(recipe, SETTINGS, "query", SAMPLE, Answer(status, text.encode(), {}))


# Reading


def test_presets_are_whole_and_say_what_nobody_verified() -> None:
    assert preset_names() == ["family_962699", "family_exchange", "family_haixin"]
    for name in preset_names():
        recipe = read_recipe(preset(name))
        assert recipe.verified_on
        assert recipe.not_verified
    with pytest.raises(KeyError):
        preset("../recipe")


def test_all_faults_are_told_at_once_with_their_places() -> None:
    text = json.dumps(
        {
            "base_url": "ftp://x",
            "encoding": "xml",
            "surprise": 1,
            "headers": {"X": "{settings.nobody}"},
            "calls": {
                "place": {
                    "path": "buy",
                    "body": {"a": "{asked.out_no}", "b": "{purchase.nothing}"},
                    "answer": {"code_at": "code", "codes": {"1": "won"}},
                },
            },
        }
    )
    with pytest.raises(BadRecipe) as caught:
        read_recipe(text)
    places = {where for where, _ in caught.value.faults}
    assert {"title", "base_url", "encoding", "surprise", "headers.X", "calls.place.path", "calls.place.body.a"} <= places
    assert {"calls.place.body.b", "calls.place.answer.code_at", "calls.place.answer.codes.1"} <= places


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({}, "say where the code or the status stands"),
        ({"code_at": "/c", "codes": {"0": "ok"}}, "needs a status_at"),
        ({"status_at": "/s", "statuses": {"1": "ok"}}, "a status cannot be ok"),
        ({"status_at": "/s", "statuses": {"1": "delivered"}}, "has to name the purchase"),
        ({"code_at": "/c", "codes": {"0": "accepted"}, "status_at": "/s"}, "one of codes has to be ok"),
    ],
)
def test_answers_that_could_only_be_guessed_are_refused(answer: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRecipe, match=says):
        read_recipe(written(calls={"place": PLACE, "query": {"path": "/ask", "answer": answer}}))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"a":1,"a":2}', "{" * 50, "x" * 70_000, '{"title":NaN}'])
def test_text_that_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(BadRecipe):
        read_recipe(text)


@pytest.mark.parametrize(
    "template",
    ["{settings.__class__}", "{purchase.out_no.upper}", "{0}", "{purchase[out_no]}", "{{7*7}}", "{time.text!r}", "{", "%s}"],
)
def test_templates_reach_nothing_but_named_values(template: str) -> None:
    with pytest.raises(BadRecipe):
        read_recipe(written(calls={"place": {**PLACE, "body": {"a": template}}, "query": QUERY}))


def test_values_are_not_filled_in_again() -> None:
    assert values.fill("{account.a}-{account.b}", {"account.a": "{settings.key}", "settings.key": "s"}) == "{settings.key}-"


def test_a_value_cannot_leave_its_place_in_the_path() -> None:
    recipe = read_recipe(written(calls={"place": {**PLACE, "path": "/buy/{purchase.supplier_sku}"}, "query": QUERY}))
    sample = trying.Sample(NOW, "n", Purchase("Q1", "../../admin?x=1#", {}, None, "CNY", None, ""))
    assert (
        trying.show_request(recipe, SETTINGS, "place", sample).url == "https://supplier.example/v1/buy/..%2F..%2Fadmin%3Fx%3D1%23"
    )


# What is sent


def test_request_is_shown_whole_with_its_signed_text_and_without_secrets() -> None:
    body = {
        "no": "{purchase.out_no}",
        "n": "{purchase.quantity|number}",
        "to": "{account.qq}",
        "none": "{account.phone}",
        "at": "{time.text}",
    }
    signing = {"pairs": {"after": "&key={settings.key}"}, "upper": True}
    call = {**PLACE, "body": body, "query": {"user": "{settings.user}"}, "headers": {"X-Key": "{settings.key}"}}
    found = shown(calls={"place": call, "query": QUERY}, signing=signing)
    text = "at=2026-11-21 12:05:06&n=1&no=Q26112100000001&to=12345&user=7&key="
    sign = hashlib.md5((text + "s3cr&t").encode()).hexdigest().upper()
    assert found.signed_text == text + "‹key›"
    assert found.headers == {"X-Key": "‹key›", "Content-Type": "application/json"}
    assert found.url == "https://supplier.example/v1/buy?user=7"
    assert json.loads(found.body) == {"no": "Q26112100000001", "n": 1, "to": "12345", "at": "2026-11-21 12:05:06", "sign": sign}
    assert shown(calls={"place": call, "query": QUERY}, signing=signing) == found


@pytest.mark.parametrize(
    ("signing", "text", "digest"),
    [
        (
            {"hash": "sha1", "over": "template", "template": "{settings.user}{time.seconds}{settings.key}"},
            "71795233906s3cr&t",
            "sha1",
        ),
        ({"hash": "sha256", "over": "body"}, '{"no":"Q26112100000001"}', "sha256"),
        (
            {"hash": "sha256", "over": "body", "template": "{settings.key}{method}{path}{body}"},
            's3cr&tPOST/buy{"no":"Q26112100000001"}',
            "sha256",
        ),
        ({"hash": "md5", "pairs": {"between_pairs": "", "between_name_and_value": ""}}, "noQ26112100000001", "md5"),
        ({"hash": "md5", "pairs": {"with_names": False, "before": "<", "after": ">"}}, "<Q26112100000001>", "md5"),
        (
            {"hash": "md5", "pairs": {"of": ["more", "body"], "is_sorted": False, "more": {"z": "1"}}},
            "z=1&no=Q26112100000001",
            "md5",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize(("where", "name"), [("field", "sign"), ("query", "sig"), ("header", "X-Sign")])
def test_signature_is_made_of_the_text_and_put_where_the_recipe_says(
    signing: dict[str, Any], text: str, digest: str, where: str, name: str
) -> None:
    recipe = read_recipe(
        written(
            calls={"place": {**PLACE, "body": {"no": "{purchase.out_no}"}}, "query": QUERY},
            signing={**signing, "put": {"where": where, "name": name}},
        )
    )
    prepared = trying.exact_request(recipe, SETTINGS, "place", SAMPLE)
    assert prepared.signed_text == text
    sign = hashlib.new(digest, text.encode()).hexdigest()
    places = {
        "field": json.loads(prepared.call.body).get(name),
        "query": prepared.call.url.partition(f"{name}=")[2],
        "header": prepared.call.headers.get(name),
    }
    assert places[where] == sign


def test_hmac_and_base64() -> None:
    signing = read_recipe(
        written(signing={"over": "body", "hash": "hmac-sha256", "key": "{settings.key}", "written": "base64"})
    ).signing
    assert signing is not None
    made = signature_of(signing, "text", {"settings.key": "s3cr&t"})

    assert base64.b64decode(made) == hmac.new(b"s3cr&t", b"text", hashlib.sha256).digest()


# What answers mean


ANSWER = {
    "code_at": "/code",
    "codes": {"0": "ok", "9": "not_found"},
    "status_at": "/d/0/s",
    "statuses": {"2": "delivered", "1": "accepted", "true": "rejected:out_of_stock"},
    "out_no": "/d/0/no",
    "supplier_ref": "/d/0/ref",
    "unit_cost": "/d/0/cost",
    "cards": "/d/0/cards",
    "card": {"number": "", "expires": "/no"},
}


def told(**changes: Any) -> dict[str, Any]:
    return {"code": 0, "d": [{"s": 2, "no": PURCHASE.out_no, "ref": "R1", "cost": "1.5", **changes}]}


def test_delivered_with_everything() -> None:
    found = meaning(ANSWER, told(cards=["ABC-1"])).outcome
    assert isinstance(found, Delivered)
    assert (found.supplier_ref, found.unit_cost, found.issued[0].number) == ("R1", Decimal("1.5"), "ABC-1")


@pytest.mark.parametrize(
    "body",
    [
        told(s=3),
        told(s=None),
        told(no="Q2"),
        told(ref="R2"),
        told(no=None, ref=None),
        told(cards=["A", "B"]),
        told(cards=[" "]),
        told(cards=[["A"]]),
        told(cost=-1),
        told(cost="1e5"),
        told(cost="NaN"),
        told(cost=[1]),
        '{"code":0,"d":[{"s":2,"no":"Q26112100000001","ref":"R1","cost":NaN}]}',
        {"code": 5},
        {},
        {"code": 0, "d": {}},
        "<html>",
        "",
    ],
    ids=str,
)
def test_what_is_not_listed_or_not_ours_is_unknown(body: object) -> None:
    assert isinstance(meaning(ANSWER, body).outcome, Unknown)


@pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
def test_other_statuses_are_unknown_whatever_they_say(status: int) -> None:
    assert isinstance(meaning(ANSWER, told(), status=status).outcome, Unknown)


def test_words_lead_to_outcomes() -> None:
    refused = meaning(ANSWER, told(s=True)).outcome
    assert isinstance(refused, Rejected)
    assert refused.reason == "out_of_stock"
    assert type(meaning(ANSWER, {"code": 9}).outcome).__name__ == "NoSuchPurchase"
    assert type(meaning(ANSWER, told(s=1)).outcome).__name__ == "Accepted"


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("", {"a/b": [1, {"m~n": 2}]}), ("/a~1b/0", 1), ("/a~1b/1/m~0n", 2), ("/a~1b/2", None), ("/a~1b/01", None), ("/x", None)],
)
def test_pointers(pointer: str, value: object) -> None:
    assert at({"a/b": [1, {"m~n": 2}]}, pointer) == value


def test_secrets_are_opened_or_refused() -> None:
    assert open_secret(" A ", "none", "") == "A"
    assert open_secret("QUJD", "base64", "") == "ABC"
    for text in ("QUJ", "!!!", "QUJD"):
        with pytest.raises(ValueError, match="decrypted"):
            open_secret(text, "aes-256-ecb", "k" * 32)


# Notices and connections


def test_notice_is_tried_by_the_code_that_reads_real_ones() -> None:
    signing = {"pairs": {"after": "{settings.key}"}, "put": {"where": "header", "name": "X-Sign"}}
    recipe = read_recipe(written(notice={"encoding": "json", "signing": signing, "out_no": "/no"}))
    body = b'{"no":"Q1","n":9.50}'
    headers = {"x-sign": hashlib.md5(b"n=9.50&no=Q1s3cr&t").hexdigest()}
    assert isinstance(trying.read_message(recipe, SETTINGS, "notice", RawNotice(headers, "", body), NOW), PurchaseNotice)
    assert isinstance(trying.read_message(recipe, SETTINGS, "notice", RawNotice(headers, "", body + b" "), NOW), PurchaseNotice)
    assert isinstance(
        trying.read_message(recipe, SETTINGS, "notice", RawNotice(headers, "", body.replace(b"9.50", b"9.5")), NOW), Forged
    )
    assert isinstance(trying.read_message(recipe, SETTINGS, "notice", RawNotice({}, "", body), NOW), Forged)


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"recipe": "{}"}, "recipe"),
        ({"credentials": "user = 7"}, "credentials"),
        ({"credentials": "user = 7\nkey ="}, "credentials"),
        ({"credentials": "who = 7"}, "credentials"),
        ({"base_url": "file:///etc/passwd"}, "base_url"),
        ({"recipe": written(signing={"hash": "rsa-sha256", "key": "{settings.key}"})}, "credentials"),
        ({"recipe": written(secrets={"cipher": "aes-256-ecb", "key": "{settings.key}"})}, "credentials"),
    ],
    ids=str,
)
def test_connection_that_lacks_something_is_refused_with_its_place(changes: dict[str, str], setting: str) -> None:
    config = {"recipe": written(), "credentials": "user = 7\nkey = s3cr&t", **changes}
    with pytest.raises(IncompleteConnection) as caught:
        open_connector("declarative", config)
    assert caught.value.setting == setting


def test_credentials_may_go_on_over_lines_and_the_address_may_be_the_connections() -> None:
    recipe, settings = read_config(
        {
            "recipe": written(),
            "credentials": "user = 7\nkey = -----BEGIN X-----\nAAA=\n-----END X-----\n",
            "base_url": "https://other.example",
        }
    )
    assert settings == {"user": "7", "key": "-----BEGIN X-----\nAAA=\n-----END X-----"}
    assert isinstance(recipe, Recipe)
    assert recipe.base_url == "https://other.example"
