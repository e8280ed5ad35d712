"""Which rule applies, and how long its price holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.pricing.rules import ANYBODY, Audience, Effect, Rule, Standing, Who, ladder, lowest, price, unit_price

NOW = datetime(2027, 5, 31, 10, tzinfo=UTC)
SKU, GOLD, SILVER = UUID(int=1), UUID(int=2), UUID(int=3)
MEMBER, GOLDEN = Who(UUID(int=9)), Who(UUID(int=9), GOLD)
LIST = 1990
_ids = iter(range(100, 10_000))


def rule(value: int, effect: Effect = Effect.UNIT_PRICE, **more: object) -> Rule:
    return Rule(UUID(int=next(_ids)), 1, more.pop("sku_id", SKU), effect, value, **more)  # type: ignore[arg-type]


def asked(rules: list[Rule], quantity: int = 1, *, who: Who = ANYBODY, at: datetime = NOW, left: int = 50) -> int:
    return price(LIST, rules, quantity, Standing(who, at, left)).unit_price_minor


def test_the_best_rule_is_of_the_highest_priority_then_names_most_then_is_the_lowest() -> None:
    tier = rule(1800, least_quantity=10)
    cases: list[tuple[str, list[Rule], dict[str, object], int]] = [
        ("no rule", [], {}, 1990),
        ("too few", [tier], {"quantity": 9}, 1990),
        ("enough", [tier], {"quantity": 10}, 1800),
        ("the lower of two steps", [tier, rule(1700, least_quantity=50)], {"quantity": 60}, 1700),
        ("a level beats being logged in", [rule(1500, audience=Audience.REGISTERED), rule(1600, audience=Audience.LEVEL, level_id=GOLD)], {"who": GOLDEN}, 1600),
        ("another level's is nobody else's", [rule(1000, audience=Audience.LEVEL, level_id=SILVER)], {"who": GOLDEN}, 1990),
        ("a guest has no level", [rule(1000, audience=Audience.LEVEL, level_id=GOLD)], {"who": MEMBER}, 1990),
        ("priority beats what names more", [rule(2500, priority=1), tier], {"quantity": 10}, 2500),
        ("the SKU's own beats the product's", [rule(1000, sku_id=None), rule(1900)], {}, 1900),
        ("few left raises the price", [rule(2_000, Effect.SHARE, stock_below=10)], {"left": 9}, 2388),
        ("enough left does not", [rule(2_000, Effect.SHARE, stock_below=10)], {"left": 10}, 1990),
        ("not yet", [rule(900, starts_at=NOW + timedelta(seconds=1))], {}, 1990),
        ("from its first instant", [rule(900, starts_at=NOW)], {}, 900),
        ("until just before its end", [rule(900, ends_at=NOW)], {}, 1990),
    ]  # fmt: skip
    for says, rules, how, wanted in cases:
        assert asked(rules, **how) == wanted, says  # type: ignore[arg-type]


def test_shares_are_rounded_half_up_and_nothing_is_free() -> None:
    for list_price, value, effect, wanted in [
        (1990, -1_000, Effect.SHARE, 1791),
        (5, -1_000, Effect.SHARE, 5),
        (15, -1_000, Effect.SHARE, 14),
        (1, -9_900, Effect.SHARE, 1),
        (100, 350, Effect.SHARE, 104),
        (1990, -200, Effect.AMOUNT, 1790),
        (100, -500, Effect.AMOUNT, 1),
        (100, 5, Effect.AMOUNT, 105),
    ]:
        assert unit_price(list_price, rule(value, effect)) == wanted


def test_a_price_says_how_long_it_holds() -> None:
    rules = [
        rule(900, starts_at=NOW - timedelta(hours=1), ends_at=NOW + timedelta(hours=1)),
        rule(2500, stock_below=10),
        rule(2900, stock_below=3),
        rule(1, least_quantity=90, starts_at=NOW + timedelta(minutes=1)),
    ]
    found = price(LIST, rules, 1, Standing(ANYBODY, NOW, 7))
    assert (found.since, found.until) == (NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    assert (found.least_left, found.most_left) == (3, 9)
    assert not found.always_holds
    assert price(LIST, [rule(1800, least_quantity=10)], 10, Standing(ANYBODY, NOW, 7)).always_holds


def test_the_ladder_leaves_out_steps_that_change_nothing() -> None:
    rules = [
        rule(1800, least_quantity=10),
        rule(1800, least_quantity=20),
        rule(1500, least_quantity=50),
        rule(1, least_quantity=5, ends_at=NOW),
    ]
    assert ladder(LIST, rules, Standing(ANYBODY, NOW, 9)) == [(1, 1990), (10, 1800), (50, 1500)]
    assert ladder(LIST, [], Standing(ANYBODY, NOW, 9)) == [(1, 1990)]


INSTANTS = st.one_of(st.none(), st.integers(-5, 5).map(lambda hours: NOW + timedelta(hours=hours)))
RULES = st.builds(
    lambda value, least, audience, begins, ends, below, priority: rule(
        value, least_quantity=least, audience=audience, level_id=GOLD if audience is Audience.LEVEL else None,
        starts_at=begins, ends_at=ends, stock_below=below, priority=priority,
    ),
    st.integers(1, 5000), st.integers(1, 20), st.sampled_from(Audience), INSTANTS, INSTANTS, st.one_of(st.none(), st.integers(1, 20)),
    st.integers(0, 2),
)  # fmt: skip


@given(
    rules=st.lists(RULES, max_size=6),
    quantity=st.integers(1, 25),
    who=st.sampled_from([ANYBODY, MEMBER, GOLDEN]),
    left=st.integers(0, 25),
    hours=st.integers(-6, 6),
    left_then=st.integers(0, 25),
    hours_then=st.integers(-6, 6),
)
def test_while_it_holds_the_same_price_is_asked(
    rules: list[Rule], quantity: int, who: Who, *, left: int, hours: int, left_then: int, hours_then: int
) -> None:
    """What the order function compares is enough: between these bounds no other rule can apply."""
    at, then = NOW + timedelta(hours=hours), NOW + timedelta(hours=hours_then)
    found = price(LIST, rules, quantity, Standing(who, at, left))
    holds = (
        (found.since is None or then >= found.since)
        and (found.until is None or then < found.until)
        and left_then >= (found.least_left or 0)
        and (found.most_left is None or left_then <= found.most_left)
    )
    assert lowest(LIST, rules) <= found.unit_price_minor
    assert found == price(LIST, list(reversed(rules)), quantity, Standing(who, at, left)), "the order of rules is nothing"
    if holds:
        assert price(LIST, rules, quantity, Standing(who, then, left_then)) == found
