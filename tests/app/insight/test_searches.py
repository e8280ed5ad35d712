"""What buyers search for: counted, bounded, shown beside what might be culled, and never a key or a number of theirs."""

from __future__ import annotations

import pytest

from app.insight import searches
from tenants.session import tenant_tx
from tests.app.insight.test_stock_report import old
from tests.app.staff import staff
from tests.app.storefront.buyer import Buyer, words
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Video   MONTH ", "video month"),
        ("5G 流量", "5g 流量"),
        ("视频会员", "视频会员"),
        ("wi-fi", "wi-fi"),
        ("", None),
        ("13800132046", None),
        ("mei@shop.example", None),
        ("KEY-9F3A0C12D4E5B6A7", None),
        ("AB12CD", None),
        ("XKCD-PLQM-WERT", None),
        ("ABCDEFGHIJKLM", None),
        ("词" * 41, None),
    ],
)
def test_what_may_be_a_key_or_somebodys_number_is_not_counted(typed: str, kept: str | None) -> None:
    assert searches.countable(typed) == kept


async def test_searches_of_buyers_are_evidence_of_what_to_cull_and_what_to_introduce(world: World) -> None:
    dead = await world.product(name="Lantern Music")
    await world.stock(dead.skus[0].id, 6)
    await old(world)
    shop, owner = Buyer(world.client()), await staff(world)
    assert "Every search found something" in words((await owner.get("/stock-report")).text)
    for asked in ("lantern", "LANTERN music", "chess", "Chess ", "go", "KEY-9F3A0C12D4E5B6A7", ""):
        assert (await shop.get("/search", params={"q": asked})).status_code == 200
    page = words((await owner.get("/stock-report")).text)
    assert "Lantern Music Month nothing sold in 30 days 6 ¥88.20 0 2" in page
    missed = page[page.index("Searched for and not found") : page.index("Age of the stock")]
    assert "chess 2 go 1" in missed
    assert "lantern" not in missed
    assert await world.value("select count(*) from shop_search") == 4
    assert await world.value("select count(*) from shop_search where words ~ '9f3a'") == 0


async def test_a_flood_of_words_is_not_written_and_old_ones_are_deleted(world: World) -> None:
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(
            "insert into shop_search (day, words, found) select current_date + d, 'w' || n, 0 from generate_series(1, $1) n, unnest(array[-1, 0, 1]) d",
            searches.MOST_A_DAY,
        )
        await searches.count(tx, "another", found=1)
        await searches.count(tx, "w7", found=3)
        assert await tx.fetchval("select count(*) from shop_search where words = 'another'") == 0
        assert await tx.fetchval("select sum(times) from shop_search where words = 'w7'") == 4
        assert next(one for one in await searches.lately(tx, days=5) if one.words == "w7").times == 4
        await tx.execute("update shop_search set day = day - 92 where words <> 'w7'")
        assert await searches.forget(tx) == 3 * (searches.MOST_A_DAY - 1)
