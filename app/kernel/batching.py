"""Many requests of one process in one transaction: whoever comes while a batch runs rides in the next one; whoever comes alone is served at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

import asyncpg

from app.kernel.errors import DomainError
from app.kernel.vault import CannotOpen, KeyWornOut

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
DATABASE_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
_FAULTS = (*DATABASE_FAULTS, CannotOpen, KeyWornOut)
_AT_MOST = 32
"""One batch is put together while another is in the database: 64 waiting callers in one batch leave each half idle in turn."""
_BATCHES_AT_ONCE = 2
_batches: set[asyncio.Task[None]] = set()


class Batcher(Generic[Asked, Answer]):
    """A line of requests. `together` answers a batch in its order, refusals among the answers; when the database or its keys fail it, nothing of the
    batch stands and `alone` serves each by itself. Requests of one `key` never share a batch, so the later one finds what the earlier did;
    without a key all may. So many batches run `at_once`; each waits `gather_s` for more to come.
    """

    def __init__(
        self,
        *,
        together: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer | DomainError]]],
        alone: Callable[[Asked], Awaitable[Answer]],
        key: Callable[[Asked], Hashable] | None = None,
        at_once: int = _BATCHES_AT_ONCE,
        gather_s: float = 0,
    ) -> None:
        self._at_once = at_once
        self._gather_s = gather_s
        self._together = together
        self._alone = alone
        self._key = key
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._running = 0

    async def ask(self, asked: Asked) -> Answer:
        """Wait in line with the others. The request of a caller that goes away is served all the same.

        Raises: the refusal among the answers, or what serving it alone raised.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        self._start()
        return await asyncio.shield(future)

    def _start(self) -> None:
        if self._waiting and self._running < self._at_once:
            self._running += 1
            task = asyncio.get_running_loop().create_task(self._serve_all())
            _batches.add(task)
            task.add_done_callback(_batches.discard)

    async def _serve_all(self) -> None:
        try:
            while self._waiting:
                if self._gather_s:
                    await asyncio.sleep(self._gather_s)
                await self._serve(self._take())
        finally:
            self._running -= 1
            self._start()

    async def _serve(self, batch: list[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._together([asked for asked, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                _settle(future, answer)
        except _FAULTS:
            await asyncio.gather(*(self._serve_alone(asked, future) for asked, future in batch))
        finally:
            for _, future in batch:
                future.cancel()  # nobody waits for an answer that a bug took; answered ones stay as they are

    async def _serve_alone(self, asked: Asked, future: asyncio.Future[Answer]) -> None:
        try:
            _settle(future, await self._alone(asked))
        except (DomainError, *_FAULTS) as error:
            _settle(future, error)

    def _take(self) -> list[tuple[Asked, asyncio.Future[Answer]]]:
        """The next in line, each key once: a repeated key waits for the next batch."""
        batch: list[tuple[Asked, asyncio.Future[Answer]]] = []
        later: list[tuple[Asked, asyncio.Future[Answer]]] = []
        keys: set[Hashable] = set()
        for asked, future in self._waiting:
            key = self._key(asked) if self._key else None
            fits = len(batch) < _AT_MOST and (key is None or key not in keys)
            keys.add(key)
            (batch if fits else later).append((asked, future))
        self._waiting = later
        return batch


def _settle(future: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
