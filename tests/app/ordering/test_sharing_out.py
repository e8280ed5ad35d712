"""How the price of a bundle is shared out over its units: whole, fair, and the same every time."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from app.ordering.rules import AccountMissing, NothingInIt, Offered, Part, quote, share_out

ID = UUID(int=1)
PARTS = some.lists(some.tuples(some.integers(0, 10_000_000), some.integers(1, 20)), min_size=1, max_size=20)


def part(worth_minor: int, quantity: int, n: int = 1, kind: str = "card_key") -> Part:
    return Part(ID, UUID(int=100 + n), ID, f"Part {n}", "One", kind, quantity, worth_minor)


def offered(price_minor: int, *parts: Part) -> Offered:
    return Offered(ID, ID, ID, "Tea Time", "Single", "bundle", price_minor, "CNY", None, False, parts=parts, policy="partial")


@pytest.mark.case("A07")
@given(parts=PARTS, extra=some.integers(0, 100_000_000), quantity=some.integers(1, 100))
def test_shares_sum_to_the_price_and_none_is_nothing(parts: list[tuple[int, int]], extra: int, quantity: int) -> None:
    asked = [part(worth, number, n) for n, (worth, number) in enumerate(parts)]
    units = sum(number for _, number in parts)
    shares = share_out(units + extra, asked)
    assert sum(shares) == units + extra
    assert len(shares) == units
    assert min(shares) >= 1
    assert shares == share_out(units + extra, asked)
    line = quote([(offered(units + extra, *asked), quantity)]).lines[0]
    assert sum(sum(one.amounts_minor) for one in line.parts()) == line.total_minor
    assert [len(one.amounts_minor) for one in line.parts()] == [number * quantity for _, number in parts]


@given(parts=PARTS, price=some.integers(100_000, 100_000_000))
def test_shares_are_in_proportion_to_what_the_units_cost_alone(parts: list[tuple[int, int]], price: int) -> None:
    asked = [part(worth, number, n) for n, (worth, number) in enumerate(parts)]
    worths = [one.worth_minor for one in asked for _ in range(one.quantity)]
    assume(min(worths) * price >= sum(worths) > 0)
    assert all(
        abs(share * sum(worths) - price * worth) < sum(worths)
        for worth, share in zip(worths, share_out(price, asked), strict=True)
    )


@pytest.mark.parametrize(
    ("price", "worths", "shares"),
    [(3000, (2000, 2000), [1500, 1500]), (100, (100, 100, 100), [34, 33, 33]), (3, (1_000_000, 1, 1), [1, 1, 1])],
)
def test_examples(price: int, worths: tuple[int, ...], shares: list[int]) -> None:
    assert share_out(price, [part(worth, 1, n) for n, worth in enumerate(worths)]) == shares


def test_a_bundle_without_parts_or_with_too_small_a_price_is_refused() -> None:
    for one in (offered(100), offered(2, part(10, 3))):
        with pytest.raises(NothingInIt):
            quote([(one, 1)])


def test_a_top_up_in_a_bundle_wants_its_account() -> None:
    one = offered(100, part(10, 1, kind="direct_top_up"), part(10, 1, 2))
    with pytest.raises(AccountMissing):
        quote([(one, 1)])
    line = quote([(one, 2)], {(ID, UUID(int=101)): {"phone": "13800132046"}}).lines[0]
    assert [dict(quoted.account) for quoted in line.parts()] == [{"phone": "13800132046"}, {}]
