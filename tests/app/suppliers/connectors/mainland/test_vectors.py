"""Recorded requests, signatures, answers and notices: the exact bytes, and what they come to. Made with other tools than the connectors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from app.kernel import clock
from app.kernel.http import Answer, Call, Client
from app.suppliers.connectors import open_connector
from app.suppliers.connectors.declarative import values
from app.suppliers.connectors.declarative.presets import preset
from app.suppliers.connectors.port import Asked, Connector, Purchase, RawNotice

pytestmark = pytest.mark.anyio
FOLDER = Path(__file__).parent / "vectors"
Vector = Mapping[str, Any]


class Recorder:
    """Stands in for the client: keeps the call, gives the recorded answer."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = answer
        self.calls: list[Call] = []

    async def send(self, call: Call, **_limits: float) -> Answer:
        self.calls.append(call)
        return Answer(self.answer["status"], self.answer["body"].encode(), {})


def vectors() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.json")):
        for vector in json.loads(path.read_text(encoding="utf-8"))["vectors"]:
            yield pytest.param(vector, id=f"{path.stem}: {vector['name']}")


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch, vector: Vector) -> datetime:
    now = datetime.fromisoformat(vector["at"])
    monkeypatch.setattr(clock, "now", lambda: now)
    monkeypatch.setattr(values.secrets, "token_hex", lambda size: "0" * (2 * size))
    return now


@pytest.mark.parametrize("vector", list(vectors()))
async def test_vector(vector: Vector, frozen: datetime) -> None:
    recorder = Recorder(vector.get("answer", {}))
    connector = opened(vector, cast(Client, recorder))
    if "notice" in vector:
        told = vector["notice"]
        found: object = connector.verify_notice(RawNotice(told["headers"], told["query"], told["body"].encode()), frozen)
    else:
        found = await asked(connector, vector["ask"])
        [call] = recorder.calls
        assert (call.method, call.url, call.body.decode()) == tuple(vector["request"][part] for part in ("method", "url", "body"))
        assert call.headers == vector["request"]["headers"]
        assert vector["signature"] in call.body.decode() + json.dumps(dict(call.headers)) or "%" in call.body.decode()
    assert_is(found, vector["outcome"])


def test_each_vector_says_where_its_fact_stands() -> None:
    assert all(vector.values[0]["source"] for vector in vectors())
    assert len(list(vectors())) > 60


def opened(vector: Vector, client: Client) -> Connector:
    if "preset" not in vector:
        return open_connector(vector["connector"], vector["config"], client)
    recipe = json.loads(preset(vector["preset"]))
    for place, value in vector["filled_in"].items():
        *steps, last = place.split(".")
        part = recipe
        for step in steps:
            part = part[step]
        part[last] = value
    return open_connector("declarative", {"recipe": json.dumps(recipe), **vector["config"]}, client)


async def asked(connector: Connector, ask: Mapping[str, Any]) -> object:
    match ask["verb"]:
        case "place":
            told = ask["purchase"]
            return await connector.place(Purchase(**{**told, "most_cost": Decimal(told["most_cost"])}))
        case "query":
            told = ask["asked"]
            return await connector.query(Asked(told["out_no"], told["supplier_ref"], datetime.fromisoformat(told["sent_at"])))
        case _:
            return await connector.balance()


def assert_is(found: object, expected: Mapping[str, Any]) -> None:
    assert type(found).__name__ == expected["kind"], found
    for name, value in expected.items():
        if name == "issued":
            told = [[one.number, one.password, one.link, str(one.expires_on) if one.expires_on else None] for one in found.issued]  # type: ignore[attr-defined]
            assert told == value
        elif name != "kind":
            said = getattr(found, name)
            assert (str(said) if isinstance(said, Decimal) else said) == value
