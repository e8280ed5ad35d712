"""What buyers search for in a shop: counted by day and words, so that a merchant sees what is wanted and what is missed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from app.kernel import clock
from tenants.session import Tx

KEPT_DAYS = 90
MOST_A_DAY = 500
"""Different words counted on one day; a flood of others is not written."""
_LONGEST = 40
_SECRET = re.compile(r"\d{5}|[a-z0-9]{13}|(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{6}|[a-z0-9]+-[a-z0-9]+-|@", re.ASCII)
"""What may be a number of somebody or a key that was pasted: long runs of digits or signs, letters mixed with digits, groups. None is kept."""


@dataclass(frozen=True, slots=True)
class Searched:
    """Words and how often they were searched for; `found` is how many products the last search for them found."""

    words: str
    times: int
    found: int


def finds(query: str, text: str) -> bool:
    """Whether every word of the query stands in the text of a product. Pure."""
    words, held = query.casefold().split(), text.casefold()
    return bool(words) and all(word in held for word in words)


def countable(query: str) -> str | None:
    """The words as they are counted; None for nothing, for what is too long, and for what may be secret or personal. Pure."""
    words = " ".join(query.casefold().split())
    return words if words and len(words) <= _LONGEST and not _SECRET.search(words) else None


async def count(tx: Tx, query: str, *, found: int) -> None:
    """Count one search of today. Not idempotent: each call is a search. Locks: the row of these words."""
    if (words := countable(query)) is not None:
        await tx.execute(_COUNT, clock.business_day(), words, found, MOST_A_DAY)


async def lately(tx: Tx, *, days: int) -> list[Searched]:
    """What was searched for within so many days, the most wanted first."""
    return [Searched(**dict(row)) for row in await tx.fetch(_LATELY, clock.business_day() - timedelta(days=days), MOST_A_DAY)]


async def forget(tx: Tx) -> int:
    """Delete what is older than it is kept; how many rows."""
    return await tx.execute("delete from shop_search where day < $1", clock.business_day() - timedelta(days=KEPT_DAYS))


_COUNT = """
insert into shop_search (day, words, found)
select $1, $2, $3
where exists (select 1 from shop_search where day = $1 and words = $2) or (select count(*) from shop_search where day = $1) < $4
on conflict (day, words) do update set times = shop_search.times + 1, found = excluded.found
"""
_LATELY = """
select words, sum(times)::int as times, (array_agg(found order by day desc))[1] as found
from shop_search where day > $1 group by words order by 2 desc, words limit $2
"""
