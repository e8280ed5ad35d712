"""A connection's goods: filters, pages, the exclusion list, goods typed by hand; and their import into products."""

from __future__ import annotations

import html
import re
from decimal import Decimal

import pytest

from app.kernel.tasks import Lane
from app.suppliers import importing
from app.suppliers.connectors.port import AccountField, FieldKind
from tenants.session import tenant_tx
from tests.app.suppliers.linked import Linked, item, keep, linked, stranger
from tests.simulators import SupplierSimulator
from tests.world import World

pytestmark = [pytest.mark.anyio]
RULES = {"markup": "10", "add": "0", "ending": "", "sku_name": "Standard", "category": ""}


def names(page: str) -> list[str]:
    return re.findall(r'<a class="b" href="[^"]+">([^<]+)</a>', html.unescape(page))


async def test_list_goes_page_by_page_both_ways(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, goods=0)
    await keep(world, link.id, *(item(f"s{n:03d}", name=f"Item {n:03d}") for n in range(120)))
    seen, path, pages = [], f"{link.path}/offers", []
    while path:
        page = (await link.owner.get(path)).text
        pages.append(names(page))
        seen += pages[-1]
        found = re.search(r'href="([^"]+after=[^"]+)"[^>]*>Next', page)
        path = html.unescape(found[1]).removeprefix(link.owner.base) if found else ""
    assert seen == [f"Item {n:03d}" for n in range(120)]
    assert [len(page) for page in pages] == [50, 50, 20]
    back = re.search(r'href="([^"]+before=[^"]+)"[^>]*>Previous', page)
    assert back is not None
    assert names((await link.owner.get(html.unescape(back[1]).removeprefix(link.owner.base))).text) == pages[1]


async def test_filters_show_what_they_count(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, goods=0)
    gone, kept, *_ = await keep(
        world, link.id, item("a", name="Alpha 100%"), item("b", name="Beta"), item("c", name="Gamma", is_on_sale=False)
    )
    await link.owner.post(f"/suppliers/offers/{gone}/exclusion")
    for query, wanted in (
        ("", ["Alpha 100%", "Beta", "Gamma"]), ("?show=fresh", ["Beta"]), ("?show=excluded", ["Alpha 100%"]),
        ("?show=off_sale", ["Gamma"]), ("?q=100%25", ["Alpha 100%"]), ("?q=c", ["Gamma"]), ("?show=nonsense", ["Alpha 100%", "Beta", "Gamma"]),
    ):  # fmt: skip
        assert names((await link.owner.get(f"{link.path}/offers{query}")).text) == wanted, query
    assert "No item holds these words. Without them there are 3." in (await link.owner.get(f"{link.path}/offers?q=zzz")).text
    assert "No item is listed here. All in all there are 3." in (await link.owner.get(f"{link.path}/offers?show=mapped")).text
    assert (await link.owner.get(f"{link.path}/offers?after=nonsense")).status_code == 404
    assert kept


async def test_empty_list_leads_on(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, goods=0)
    assert "No goods known yet" in (await link.owner.get(f"{link.path}/offers")).text


async def test_exclusion_is_put_on_and_taken_off_for_many(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, goods=3)
    first = str(await world.value("select id from supplier_offer order by name limit 1"))
    path = f"{link.path}/offers/exclusions"
    for _ in range(2):
        assert (await link.owner.post(path, {"ids": first})).status_code == 303
    assert await world.value("select count(*) from supplier_offer where is_excluded") == 1
    await link.owner.post(path, {"all_matching": "yes", "show": "fresh"})
    assert await world.value("select count(*) from supplier_offer where is_excluded") == 3
    await link.owner.post(path, {"all_matching": "yes", "show": "excluded", "do": "include"})
    assert await world.value("select count(*) from supplier_offer where is_excluded") == 0
    assert await world.value("select count(*) from audit_entry where action = 'supplier.offers_excluded'") == 2


async def test_offer_shows_how_its_cost_went(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, goods=0)
    for cost in ("10", "11.2345", "9"):
        (offer,) = await keep(world, link.id, item("a", cost, name="Alpha"))
    page = (await link.owner.get(f"/suppliers/offers/{offer}")).text
    assert "¥10.00 → ¥11.2345" in page
    assert "¥11.2345 → ¥9.00" in page
    assert "was ¥11.2345" in (await link.owner.get(f"{link.path}/offers")).text
    assert (await (await stranger(world)).get(f"/suppliers/offers/{offer}")).status_code == 404


async def test_one_item_is_read_again_and_nonsense_changes_nothing(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    row = (await world.rows("select id, supplier_sku from supplier_offer"))[0]
    company.change_goods(row["supplier_sku"], cost="12.75", stock=3)
    path = f"/suppliers/offers/{row['id']}"
    assert (await link.owner.post(f"{path}/reading")).status_code == 303
    assert "Read just now" in (await link.owner.get(path)).text
    assert await world.value("select unit_cost from supplier_offer") == Decimal("12.75")
    for nonsense in ({"body": "html"}, {"misstate": "negative_cost"}, {"misstate": "nan_cost"}):
        company.clear_script()
        company.script(nonsense)
        await link.owner.post(f"{path}/reading")
        assert await world.value("select unit_cost from supplier_offer") == Decimal("12.75"), nonsense


async def test_goods_are_typed_by_hand_where_there_is_no_catalog(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, goods=0)
    sent = {"supplier_sku": "GC-50", "name": "Gift card 50", "kind": "card_key", "unit_cost": "48.125", "currency": "CNY"}
    assert (await link.owner.post(f"{link.path}/offers", sent)).status_code == 303
    again = await link.owner.post(f"{link.path}/offers", sent)
    assert again.status_code == 422
    assert "known already" in again.text
    for field, typed in (
        ("unit_cost", "-1"), ("unit_cost", "NaN"), ("unit_cost", "Infinity"), ("unit_cost", "1e9"), ("supplier_sku", ""),
        ("currency", "yuan"), ("kind", "bundle"), ("name", "x" * 121),
    ):  # fmt: skip
        answer = await link.owner.post(f"{link.path}/offers", sent | {"supplier_sku": "other", field: typed})
        assert answer.status_code == 422, (field, typed)
        assert f'id="f-{field}-error"' in answer.text
    assert await world.value("select count(*) from supplier_offer") == 1


async def test_goods_of_any_value_are_typed_with_their_range(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, goods=0)
    sent = {"supplier_sku": "GC", "name": "Gift card", "kind": "card_key", "unit_cost": "0.95", "currency": "USD"}
    for typed, field in (
        ({"most": "500"}, "least"), ({"step": "5"}, "least"), ({"least": "10", "most": "5"}, "most"), ({"least": "0"}, "least"),
        ({"least": "10", "step": "0"}, "step"), ({"least": "ten"}, "least"), ({"least": "10", "most": "-1"}, "most"),
    ):  # fmt: skip
        answer = await link.owner.post(f"{link.path}/offers", sent | typed)
        assert answer.status_code == 422, typed
        assert f'id="f-{field}-error"' in answer.text, typed
    assert (await link.owner.post(f"{link.path}/offers", sent | {"least": "10", "most": "500", "step": "5"})).status_code == 303
    assert (await link.owner.post(f"{link.path}/offers", sent | {"supplier_sku": "GC-ANY", "least": "1"})).status_code == 303
    rows = await world.rows("select least_minor, most_minor, step_minor from supplier_offer order by supplier_sku")
    assert [tuple(row.values()) for row in rows] == [(1000, 50_000, 500), (100, None, None)]
    offer_id = await world.value("select id from supplier_offer where supplier_sku = 'GC'")
    assert "for 1 of value" in (await link.owner.get(f"/suppliers/offers/{offer_id}")).text


async def import_all(link: Linked, **changes: str) -> str:
    answer = await link.owner.post(f"{link.path}/imports", {**RULES, "all_matching": "yes", "show": "fresh", **changes})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"]).removeprefix(link.owner.base)


async def test_import_makes_products_with_prices_and_routes(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, goods=3)
    path = await import_all(link, markup="12.5", add="0.30", ending="90", floor="5", is_put_on_sale="yes")
    assert "0 products made" in html.unescape((await link.owner.get(f"{path}?progress=yes", part=True)).text)
    await world.work(Lane.BULK)
    prices = await world.rows(
        "select p.name, p.state, l.price_minor, s.name as sku from product p join sku s on s.product_id = p.id join listing l on l.sku_id = s.id order by p.name"
    )
    assert [(row["price_minor"], row["state"], row["sku"]) for row in prices] == [
        (1290, "on_sale", "Standard"), (1390, "on_sale", "Standard"), (1490, "on_sale", "Standard"),
    ]  # fmt: skip
    assert await world.value("select count(*) from route_offer") == 3
    assert await world.value("select distinct floor_bp from sku where floor_bp is not null") == 500
    page = (await link.owner.get(path)).text
    assert "3 products made" in page
    assert "Product made" in page
    assert (await link.owner.get(f"{path}?result=made")).status_code == 200


async def test_import_leaves_out_what_makes_no_product_and_says_why(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, goods=0)
    good, excluded, *_ = await keep(
        world, link.id, item("ok"), item("excluded"), item("free", "0"), item("dollar", currency="USD"),
        item("kind", delivery_kind="rumour"), item("range", least_minor=100, most_minor=900), item("gone", is_on_sale=False),
        item("dear", "99999999999"),
    )  # fmt: skip
    await link.owner.post(f"/suppliers/offers/{excluded}/exclusion")
    path = await import_all(link, show="all")
    await world.work(Lane.BULK)
    results = await world.rows(
        "select o.supplier_sku, l.result from offer_import_line l join supplier_offer o on o.id = l.offer_id order by 1"
    )
    assert {row["supplier_sku"]: row["result"] for row in results} == {
        "ok": "made", "excluded": "excluded", "free": "nonsense", "dollar": "other_currency", "kind": "nonsense", "range": "range",
        "gone": "not_on_sale", "dear": "nonsense",
    }  # fmt: skip
    page = (await link.owner.get(path)).text
    assert "7 items were left out" in page
    assert "its cost is in another currency" in page
    again = await import_all(link, show="all")
    await world.work(Lane.BULK)
    assert await world.value("select count(*) from product") == 1
    assert "Left out: serves a SKU already" in (await link.owner.get(again)).text
    assert good


async def test_import_cut_off_halfway_goes_on_and_makes_nothing_twice(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await linked(world, company, goods=7)
    await import_all(link)
    monkeypatch.setattr(importing, "_AT_ONCE", 2)
    made = 0
    real = importing._make

    async def dies(*given: object) -> object:
        nonlocal made
        made += 1
        if made == 4:
            raise RuntimeError("the worker died")
        return await real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(importing, "_make", dies)
    import_id = await world.value("select id from offer_import")
    with pytest.raises(RuntimeError):
        await importing.go_on(world.tenant, import_id)
    assert await world.value("select count(*) from product") == 2
    await importing.go_on(world.tenant, import_id)
    await importing.go_on(world.tenant, import_id)
    assert await world.value("select count(*) from product") == 7
    assert await world.value("select count(*) from offer_import_line where result = 'made'") == 7


async def test_long_import_makes_room_for_others_between_turns(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await linked(world, company, goods=6)
    monkeypatch.setattr(importing, "_AT_ONCE", 2)
    monkeypatch.setattr(importing, "_A_TURN", 4)
    await import_all(link)
    await importing.go_on(world.tenant, await world.value("select id from offer_import"))
    assert await world.value("select count(*) from product") == 4
    await world.work(Lane.BULK)
    assert await world.value("select count(*) from product") == 6


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("markup", "-1"), ("markup", "NaN"), ("markup", "1e3"), ("markup", "1001"), ("markup", "12.345"), ("add", "-1"), ("ending", "9"),
        ("ending", "900"), ("ending", "xy"), ("floor", "100"), ("sku_name", ""), ("sku_name", "x" * 61), ("category", "nonsense"),
        ("category", "0192f0c1-0000-7000-8000-000000000000"),
    ],
)  # fmt: skip
async def test_bad_rules_are_refused_beside_their_field(world: World, company: SupplierSimulator, field: str, typed: str) -> None:
    link = await linked(world, company)
    answer = await link.owner.post(f"{link.path}/imports", {**RULES, "all_matching": "yes", field: typed})
    assert answer.status_code == 422, (field, typed)
    assert f'id="f-{field}-error"' in answer.text
    assert await world.value("select count(*) from offer_import") == 0


async def test_nothing_chosen_and_too_many_are_refused(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await linked(world, company, goods=2)
    nothing = await link.owner.post(f"{link.path}/imports", {**RULES, "all_matching": "yes", "q": "zzz"})
    assert nothing.status_code == 422
    assert "Choose at least one" in nothing.text
    monkeypatch.setattr(importing, "MOST_CHOSEN", 1)
    refused = await link.owner.post(f"{link.path}/imports", {**RULES, "all_matching": "yes"})
    assert refused.status_code == 422
    assert "At most 1 goods" in refused.text
    assert await world.value("select count(*) from offer_import") == 0


async def test_selected_goods_go_on_to_the_form_of_their_import(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, goods=3)
    ids = [str(row["id"]) for row in await world.rows("select id from supplier_offer order by name limit 2")]
    some = await link.owner.post(f"{link.path}/offers/selection", {"ids": ids, "show": "fresh"})
    assert "_csrf" not in some.headers["location"]
    assert "2 items chosen" in (await link.owner.get(some.headers["location"].removeprefix(link.owner.base))).text
    everything = await link.owner.post(f"{link.path}/offers/selection", {"all_matching": "yes", "show": "fresh"})
    assert "3 items chosen" in (await link.owner.get(everything.headers["location"].removeprefix(link.owner.base))).text
    assert (await link.owner.post(f"{link.path}/imports", {**RULES, "ids": ids})).status_code == 303
    assert await world.value("select count(*) from offer_import_line") == 2


async def test_import_of_another_merchant_is_not_there(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    path = await import_all(link)
    assert (await (await stranger(world)).get(path)).status_code == 404


async def test_five_thousand_offers_are_listed_and_chosen_at_once(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, goods=0)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(_MANY, link.id)
    page = await link.owner.get(f"{link.path}/imports?show=fresh&all_matching=yes")
    assert "5000 items chosen" in page.text
    await import_all(link)
    assert await world.value("select count(*) from offer_import_line") == 5000
    assert len(names((await link.owner.get(f"{link.path}/offers?q=Item 49")).text)) == 50


async def test_imported_top_up_asks_its_buyers_what_the_supplier_asks_for(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, goods=0)
    phone = AccountField("phone", "Phone", FieldKind.PHONE)
    await keep(
        world,
        link.id,
        item("a", delivery_kind="direct_top_up", account_fields=(phone,)),
        item("b", delivery_kind="direct_top_up"),
    )
    await import_all(link, is_put_on_sale="yes")
    await world.work(Lane.BULK)
    rows = await world.rows("select name, state, jsonb_array_length(account_fields) as fields from product order by name")
    assert [(row["name"], row["state"], row["fields"]) for row in rows] == [("Item a", "on_sale", 1), ("Item b", "draft", 0)]


_MANY = """
insert into supplier_offer (id, connection_id, supplier_sku, name, delivery_kind, unit_cost, seen_at)
select gen_random_uuid(), $1, 'm' || n, 'Item ' || n, 'card_key', 10, now() from generate_series(1, 5000) as n
"""
