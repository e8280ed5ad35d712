"""A supplier's whole catalog made into products: read page by page, priced by the import's rules, the exclusion list kept, and nothing made twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal

import pytest

from app.kernel.tasks import Lane
from app.suppliers import importing, syncing
from tests.app.suppliers.linked import Linked, linked, on
from tests.app.suppliers.test_offer_pages import import_all
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
GOODS = 240
"""The page of a catalog has 100. With 5,000 the same test takes a minute and a half, nearly all of it in the making of products."""
EXCLUDED = range(0, GOODS, 12)
MARKUP, ADD, ENDING = Decimal("1.125"), 30, 90
RULES = {"markup": "12.5", "add": "0.30", "ending": "90", "floor": "5", "is_put_on_sale": "yes"}


@pytest.fixture
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    """A company of its own: its catalog is read to the end."""
    with supplier_simulator(tmp_path_factory.mktemp("catalog"), "kasushou") as started:
        yield started


def sku(number: int) -> str:
    return f"G{number:05d}"


def name(number: int) -> str:
    return f"Card {number:05d}{', retired' if number in EXCLUDED else ''}"


def cost(number: int) -> Decimal:
    """From 0.01 to 99.37, so that every ending and rounding occurs."""
    return Decimal(number * 37 % 9_937 + 1) / 100


def price_minor(number: int) -> int:
    """The import's rules once more, in plain words: a share more, rounded up, a fixed part, then up to the ending."""
    minor = int((cost(number) * 100 * MARKUP).to_integral_value(ROUND_CEILING)) + ADD
    while minor % 100 != ENDING:
        minor += 1
    return minor


async def read_all(world: World, company: SupplierSimulator) -> Linked:
    """A connection whose goods were all read from its catalog."""
    link = await linked(world, company, goods=0)
    company.goods(*({"sku": sku(n), "name": name(n), "kind": "card", "cost": str(cost(n)), "stock": 100} for n in range(GOODS)))
    await syncing.sync(world.tenant, link.id)
    await on(world, link.id)
    return link


async def products(world: World) -> dict[str, tuple[int, str, int]]:
    """By supplier SKU: the price, the state and the floor of the product made of it."""
    rows = await world.rows(_MADE)
    return {row["supplier_sku"]: (row["price_minor"], row["state"], row["floor_bp"]) for row in rows}


async def results(world: World) -> list[Counter[str]]:
    """How many lines of each import came to what, the oldest import first."""
    rows = await world.rows("select import_id, result, count(*) from offer_import_line group by 1, 2 order by 1")
    imports = dict.fromkeys(row["import_id"] for row in rows)
    return [Counter({r["result"]: r["count"] for r in rows if r["import_id"] == one}) for one in imports]


async def test_a_whole_catalog_becomes_products_by_the_rules_and_the_exclusion_list_is_kept(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_A_TURN", GOODS // 3)
    link = await read_all(world, company)
    assert await world.value("select count(*) from supplier_offer where is_on_sale") == GOODS
    assert (await link.owner.post(f"{link.path}/offers/exclusions", {"all_matching": "yes", "q": "retired"})).status_code == 303
    await import_all(link, show="all", **RULES)
    await world.work(Lane.BULK)
    wanted = {sku(n): (price_minor(n), "on_sale", 500) for n in range(GOODS) if n not in EXCLUDED}
    assert await products(world) == wanted
    assert await results(world) == [Counter(made=GOODS - len(EXCLUDED), excluded=len(EXCLUDED))]
    await world.work(Lane.ORDERS)
    assert await world.value("select count(*) from stock where available = 100") == len(wanted), "each can be bought"
    company.change_goods(sku(EXCLUDED[0]), cost="55")
    await syncing.sync(world.tenant, link.id)
    assert await world.value("select count(*) from supplier_offer where is_excluded") == len(EXCLUDED), "a reading keeps the list"
    await import_all(link, show="all", **RULES)
    await world.work(Lane.BULK)
    assert (await results(world))[1] == Counter(mapped=GOODS - len(EXCLUDED), excluded=len(EXCLUDED))
    assert await products(world) == wanted


_MADE = """
select o.supplier_sku, l.price_minor, p.state, s.floor_bp
from product p
join sku s on s.product_id = p.id
join listing l on l.sku_id = s.id
join route_offer r on r.sku_id = s.id
join supplier_offer o on o.id = r.offer_id
"""
