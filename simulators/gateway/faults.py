"""Misbehaviour on demand: which step goes wrong, and how."""

import asyncio
from dataclasses import dataclass
from typing import Any

from litestar import Request

from simulators.gateway.requests import Action, Rule, Step, Untruth

HANG_S = 120.0
MAX_RULES = 1000

AnyRequest = Request[Any, Any, Any]
GOOD = Action()


class Dropped(Exception):
    """The connection was cut and there is nobody to answer."""


@dataclass(slots=True)
class _LiveRule:
    rule: Rule
    times_left: int | None


class Script:
    """The rules in force, tried in the order they came; the first that matches and is not used up decides."""

    def __init__(self) -> None:
        self._rules: list[_LiveRule] = []

    def add(self, rule: Rule) -> int:
        self._rules = [*self._rules, _LiveRule(rule, rule.times)][-MAX_RULES:]
        return len(self._rules)

    def clear(self) -> None:
        self._rules.clear()

    def take(self, step: Step, merchant_id: str, *numbers: str | None) -> Action:
        """How this step has to go; uses the rule up by one."""
        for live in self._rules:
            match = live.rule.match
            if match.on not in (None, step) or match.merchant_id not in (None, merchant_id):
                continue
            if match.out_no is not None and match.out_no not in numbers:
                continue
            if live.times_left == 0:
                continue
            if live.times_left is not None:
                live.times_left -= 1
            return _sum(live.rule.actions)
        return GOOD


def _sum(actions: list[Action]) -> Action:
    chosen = {field: value for action in actions for field, value in _set_fields(action).items()}
    return Action(**chosen)


def _set_fields(action: Action) -> dict[str, Any]:
    fields = {field: getattr(action, field) for field in action.__struct_fields__}
    return {field: value for field, value in fields.items() if value not in (None, False, 0, "")}


async def before_effect(action: Action, request: AnyRequest) -> None:
    if action.delay_ms:
        await asyncio.sleep(action.delay_ms / 1000)
    if action.before == "drop":
        await _cut(request)


async def after_effect(action: Action, request: AnyRequest) -> None:
    if action.hang:
        await asyncio.sleep(HANG_S)
    if action.drop or action.hang:
        await _cut(request)


async def _cut(request: AnyRequest) -> None:
    """Cut the connection without a byte of answer. Raises: Dropped."""
    extensions: Any = request.scope["extensions"]
    extensions["sandbox.cut"]()
    await asyncio.sleep(0.01)
    raise Dropped


def untrue(document: dict[str, Any], what: Untruth | bool) -> dict[str, Any]:
    """The same document with one thing in it untrue."""
    match what:
        case False:
            return document
        case "currency":
            return document | {"currency": "USD" if document["currency"] != "USD" else "CNY"}
        case "merchant":
            return document | {"merchant_id": "m_0000000000000000"}
        case "other_order":
            return document | {"out_no": document["out_no"] + "X"}
        case _:
            return document | {"amount_minor": document["amount_minor"] + 1}
