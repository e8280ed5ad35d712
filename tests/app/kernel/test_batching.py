"""Requests that ride together: who comes alone, who shares, what a failed batch and a caller that goes away leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from app.kernel.batching import Batcher
from app.kernel.errors import DomainError

pytestmark = pytest.mark.anyio


class TooMuch(DomainError):
    message = "Too much."


class Counter:
    """Doubles what it is asked, refuses thirteen, and can be told that the database is away for batches, or for everything."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.alone: list[int] = []
        self.refuses_batches = False
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def double_all(self, asked: Sequence[int]) -> list[int | DomainError]:
        self.batches.append(list(asked))
        await self.gate.wait()
        if self.refuses_batches or self.is_away:
            raise OSError("away")
        return [TooMuch() if number == 13 else number * 2 for number in asked]

    async def double(self, number: int) -> int:
        self.alone.append(number)
        if self.is_away:
            raise OSError("away")
        if number == 13:
            raise TooMuch
        return number * 2


def batcher_of(counter: Counter, *, by_parity: bool = False) -> Batcher[int, int]:
    return Batcher(together=counter.double_all, alone=counter.double, key=(lambda number: number % 2) if by_parity else None)


async def test_who_comes_alone_is_served_at_once() -> None:
    counter = Counter()
    assert await batcher_of(counter).ask(4) == 8
    assert counter.batches == [[4]]


async def test_who_waits_rides_with_the_others() -> None:
    counter = Counter()
    counter.gate.clear()
    batcher = batcher_of(counter)
    asking = [asyncio.create_task(batcher.ask(number)) for number in range(100, 200)]
    await asyncio.sleep(0)
    counter.gate.set()
    assert await asyncio.gather(*asking) == [number * 2 for number in range(100, 200)]
    assert sum(len(batch) for batch in counter.batches) == 100
    assert max(len(batch) for batch in counter.batches) == 32


async def test_one_refusal_is_its_own_callers_alone() -> None:
    batcher = batcher_of(Counter())
    answers = await asyncio.gather(*(batcher.ask(number) for number in (12, 13, 14)), return_exceptions=True)
    assert (answers[0], type(answers[1]), answers[2]) == (24, TooMuch, 28)


async def test_those_of_one_key_never_share_a_batch() -> None:
    counter = Counter()
    batcher = batcher_of(counter, by_parity=True)
    await asyncio.gather(*(batcher.ask(number) for number in (1, 2, 3, 4, 5)))
    assert all(len({number % 2 for number in batch}) == len(batch) for batch in counter.batches)


async def test_a_failed_batch_is_served_one_by_one() -> None:
    counter = Counter()
    counter.refuses_batches = True
    batcher = batcher_of(counter)
    answers = await asyncio.gather(*(batcher.ask(number) for number in (1, 13, 3)), return_exceptions=True)
    assert (answers[0], type(answers[1]), answers[2]) == (2, TooMuch, 6)
    assert sorted(counter.alone) == [1, 3, 13]


async def test_when_the_database_is_away_every_caller_hears_it() -> None:
    counter = Counter()
    counter.is_away = True
    batcher = batcher_of(counter)
    answers = await asyncio.gather(*(batcher.ask(number) for number in (1, 2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OSError, OSError]
    counter.is_away = False
    assert await batcher.ask(3) == 6


async def test_a_caller_that_goes_away_is_served_all_the_same() -> None:
    counter = Counter()
    counter.gate.clear()
    batcher = batcher_of(counter)
    asking = asyncio.create_task(batcher.ask(7))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    counter.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await batcher.ask(8) == 16
    assert [7] in counter.batches
