"""Plays a recorded exchange to a connector: checks each request byte by byte, gives the answer that was written down for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.kernel.http import Answer, Call, Client, NotSent, Unanswered
from app.suppliers.connectors.port import Asked, Purchase, RawNotice

FOLDER = Path(__file__).parent / "vectors"


@dataclass
class Player(Client):
    """Answers as recorded. Whatever is asked beyond that, or otherwise, fails the test."""

    exchanges: list[Mapping[str, Any]]
    sent: list[Call] = field(default_factory=list)

    async def send(self, call: Call, *, read_s: float = 0, total_s: float = 0) -> Answer:
        assert self.exchanges, f"{call.method} {call.url} is not in the record"
        exchange = self.exchanges.pop(0)
        self.sent.append(call)
        _compare(call, exchange["request"])
        answer = exchange["answer"]
        if answer == "timeout":
            raise Unanswered("the supplier gave no complete answer (ReadTimeout)")
        if answer == "unreachable":
            raise NotSent("the supplier could not be reached (ConnectError)")
        body = answer["text"] if "text" in answer else json.dumps(answer["json"])
        return Answer(answer["status"], body.encode("utf-8"), {})


def vectors() -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Every recorded vector with its name, of all files."""
    for file in sorted(FOLDER.glob("*.json")):
        document = json.loads(file.read_text(encoding="utf-8"))
        for vector in document["vectors"]:
            yield f"{file.stem}: {vector['name']}", {"connector": document["connector"], "config": document["config"], **vector}


def purchase_of(values: Mapping[str, Any]) -> Purchase:
    return Purchase(
        out_no=values["out_no"],
        supplier_sku=values["supplier_sku"],
        account=values.get("account", {}),
        face_value_minor=values.get("face_value_minor"),
        currency=values.get("currency", "USD"),
        most_cost=None,
        notice_url="",
    )


def asked_of(values: Mapping[str, Any]) -> Asked:
    return Asked(values["out_no"], values.get("supplier_ref"), datetime.fromisoformat(values["sent_at"]))


def notice_of(values: Mapping[str, Any]) -> RawNotice:
    return RawNotice(values["headers"], values.get("query", ""), values["body"].encode("utf-8"))


def told(outcome: object) -> dict[str, Any]:
    """An outcome as vectors write it: its kind and what it carries, without evidence and words."""
    fields = {name: getattr(outcome, name) for name in outcome.__dataclass_fields__}  # type: ignore[attr-defined]
    left_out = {"evidence", "says", "event_key"}
    return {"kind": type(outcome).__name__} | {
        name: _plain(value) for name, value in fields.items() if name not in left_out and value not in (None, "", ())
    }


def _compare(call: Call, expected: Mapping[str, Any]) -> None:
    assert (call.method, call.url) == (expected["method"], expected["url"])
    assert call.body.decode("utf-8") == expected.get("body", "")
    given = {name.lower(): value for name, value in call.headers.items()}
    for name, value in expected.get("headers", {}).items():
        assert given.get(name.lower()) == value, name


def _plain(value: object) -> object:
    match value:
        case tuple():
            return [_plain(part) for part in value]
        case Decimal():
            return str(value)
        case date():
            return value.isoformat()
        case _ if hasattr(value, "__dataclass_fields__"):
            return {key: part for key, part in told(value).items() if key != "kind"}
        case _:
            return value
