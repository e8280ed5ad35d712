"""Misbehaviour on demand: which step goes wrong and how, and what the whole company is like."""

import time
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec

MAX_RULES = 1000
HANG_S = 120.0
HUGE_BYTES = 50_000_000

Step = Literal["place", "query", "catalog", "goods", "pre_check", "balance", "statement", "token", "other", "notice"]
Untruth = Literal[
    "other_order", "fewer_cards", "more_cards", "empty_card", "sold_card", "face_value", "cost", "negative_cost", "nan_cost"
]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which steps a rule is for. What is left out matches anything."""

    on: Step | None = None
    out_no: str | None = None
    sku: str | None = None
    client_id: int | None = None


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One misbehaviour; the actions of a rule add up."""

    delay_ms: Milliseconds = 0
    before: Literal["drop"] | None = None
    drop: bool = False
    hang: bool = False
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    http_500_after_effect: bool = False
    refuse: str = ""
    not_found: bool = False
    body: Literal["html", "huge", "empty", "list", "truncated"] | None = None
    misstate: Untruth | None = None
    decide_ms: Milliseconds | None = None
    decision: Literal["success", "failure"] | None = None
    repeat: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    forge: Literal["signature", "body", "other_client"] | None = None
    reorder: bool = False


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Actions for the steps that match, `times` times or for good."""

    actions: Annotated[list[Action], msgspec.Meta(max_length=10)]
    match: Match = Match()
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None


GOOD = Action()


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

    def take(self, step: Step, *, out_no: str | None, sku: str | None, client_id: int | None) -> Action:
        """How this step has to go; uses the rule up by one."""
        for live in self._rules:
            match = live.rule.match
            wanted = ((match.on, step), (match.out_no, out_no), (match.sku, sku), (match.client_id, client_id))
            if live.times_left == 0 or any(want is not None and want != is_ for want, is_ in wanted):
                continue
            if live.times_left is not None:
                live.times_left -= 1
            return _sum(live.rule.actions)
        return GOOD


class Conduct(msgspec.Struct, forbid_unknown_fields=True):
    """What the company is like as a whole, until told otherwise."""

    state: Literal["up", "down", "unavailable", "hanging", "flapping"] = "up"
    """`down` cuts each connection, `unavailable` answers 503, `hanging` never answers, `flapping` is down every other period."""
    flap_ms: Milliseconds = 5000
    latency_ms: Milliseconds = 0
    """Each call takes at least so long."""
    decide_ms: Milliseconds = 0
    """So long after it is placed a purchase is decided."""
    most_at_once: Annotated[int, msgspec.Meta(ge=0)] = 0
    """More calls than this at a time are told that the company is busy; 0 is no limit."""
    most_per_second: Annotated[float, msgspec.Meta(ge=0)] = 0
    repeats: Literal["protocol", "same", "refuse", "again"] = "protocol"
    """What a number used before gets: what the protocol says, the first purchase, a refusal, or another purchase."""


@dataclass(slots=True)
class Door:
    """Who is let in: the limits of calls at once and per second."""

    conduct: Conduct = field(default_factory=Conduct)
    at_once: int = 0
    highest_at_once: int = 0
    _second: int = 0
    _in_second: int = 0

    def state(self) -> str:
        if self.conduct.state != "flapping":
            return self.conduct.state
        period_s = max(self.conduct.flap_ms, 1) / 1000
        return "up" if int(time.time() / period_s) % 2 == 0 else "down"

    def is_busy(self) -> bool:
        """Counts the call as one of this second."""
        second = int(time.time())
        self._in_second = self._in_second + 1 if second == self._second else 1
        self._second = second
        limit, rate = self.conduct.most_at_once, self.conduct.most_per_second
        return bool((limit and self.at_once > limit) or (rate and self._in_second > rate))

    def enter(self) -> None:
        self.at_once += 1
        self.highest_at_once = max(self.highest_at_once, self.at_once)

    def leave(self) -> None:
        self.at_once -= 1


def _sum(actions: list[Action]) -> Action:
    chosen = {field: value for action in actions for field, value in _set_fields(action).items()}
    return Action(**chosen)


def _set_fields(action: Action) -> dict[str, Any]:
    fields = {field: getattr(action, field) for field in action.__struct_fields__}
    return {field: value for field, value in fields.items() if value != getattr(GOOD, field)}
