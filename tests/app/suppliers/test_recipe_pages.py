"""The bench of recipes: what would be sent and what an answer would mean, without sending; kept only when it is whole."""

from __future__ import annotations

import html
import json
from uuid import UUID

import pytest

from app.kernel import clock
from app.suppliers.connectors.declarative.presets import preset_names
from tests.app.fulfillment.noticing import GOODS_NOTICE, USE_NOTICE, signed
from tests.app.staff import Staff, staff
from tests.app.storefront.buyer import words
from tests.app.suppliers.connectors.mainland.companies import completed
from tests.app.suppliers.linked import form, reader, stranger, supplier
from tests.simulators import SupplierSimulator
from tests.world import World

pytestmark = [pytest.mark.anyio]
RECIPE = json.dumps(completed("family_962699"))


async def by_recipe(world: World) -> tuple[Staff, str]:
    """A connection that speaks by recipe; the owner and its path."""
    owner = await staff(world)
    supplier_id = await supplier(owner)
    sent = {
        "protocol": "declarative", "name": "By recipe", "mode": "test", "calls_per_second": "5", "calls_at_once": "4", "set-recipe": RECIPE,
        "set-credentials": "app_id = 7\napp_key = s3cret-key",
    }  # fmt: skip
    answer = await owner.post(f"/suppliers/{supplier_id}/connections", sent)
    assert answer.status_code == 303, answer.text
    return owner, f"/suppliers/connections/{UUID(answer.headers['location'].rpartition('/')[2])}"


async def test_presets_start_a_recipe(world: World) -> None:
    owner, path = await by_recipe(world)
    page = html.unescape((await owner.get(f"{path}/recipe")).text)
    for name in preset_names():
        assert name in page
    shown = html.unescape((await owner.get(f"{path}/recipe?preset=family_haixin")).text)
    assert '"calls"' in shown
    supplier_id = await world.value("select supplier_id from supplier_connection")
    fresh = await owner.get(f"/suppliers/{supplier_id}/connections/new?protocol=declarative&preset=family_962699")
    assert "https://www.962699.com" in html.unescape(fresh.text)


async def test_trying_shows_the_request_without_secrets_and_reads_a_pasted_answer(world: World) -> None:
    owner, path = await by_recipe(world)
    sent = {
        "recipe": RECIPE, "act": "try", "call": "place", "out_no": "T1", "supplier_sku": "8801",
        "pasted": '{"code": 200, "data": {"customerOrderNo": "T1", "orderNo": "R-77"}}',
    }  # fmt: skip
    page = html.unescape((await owner.post(f"{path}/recipe", sent)).text)
    assert "/api/order/card" in page
    assert "customerOrderNo=T1" in page
    assert "s3cret-key" not in page
    assert "‹app_key›" in page
    assert "The answer means: accepted" in page
    assert "R-77" in page
    other = html.unescape((await owner.post(f"{path}/recipe", sent | {"pasted": "<html>busy</html>"})).text)
    assert "The answer means: unknown" in other
    assert json.loads(await stored(world, owner, path)) == json.loads(RECIPE)


async def test_a_pasted_message_is_read_as_a_real_one_would_be(world: World) -> None:
    owner, path = await by_recipe(world)
    recipe = json.dumps(completed("family_962699") | {"use_notice": USE_NOTICE, "goods_notice": GOODS_NOTICE})

    async def read(kind: str, fields: dict[str, str], *, key: str = "s3cret-key") -> str:
        pasted = {"message_kind": kind, "message": signed(fields, key).decode()}
        shown = (await owner.post(f"{path}/recipe", {"recipe": recipe, "act": "try", "call": "place", **pasted})).text
        assert "s3cret-key" not in shown
        return words(html.unescape(shown))

    now = str(int(clock.now().timestamp() * 1000))
    used = {"customerOrderNo": "T1", "orderNo": "R1", "event": "used", "time": now, "shop": "West Lake"}
    assert "It is genuine: T1 was used" in await read("use_notice", used)
    assert "a use of T1 is taken back" in await read("use_notice", used | {"event": "void"})
    assert "says nothing of a use" in await read("use_notice", used | {"event": "shipped"})
    assert "leaves no trace: the notice's signature is wrong" in await read("use_notice", used, key="another")
    assert "the supplier is asked about T1 (their number: R1)" in await read("notice", used)
    assert "1 goods are read (8801), 0 entries are unclear" in await read(
        "goods_notice", {"productId": "8801", "price": "9", "time": now}
    )
    recipe = RECIPE
    assert "The recipe describes no such messages." in await read("use_notice", used)
    assert await world.value("select count(*) from told_use") == 0


async def stored(world: World, owner: Staff, path: str) -> str:
    page = html.unescape((await owner.get(f"{path}/recipe")).text)
    return page.partition('name="recipe"')[2].partition(">")[2].partition("</textarea>")[0].strip()


async def test_every_fault_of_a_recipe_is_told_and_nothing_is_kept(world: World) -> None:
    owner, path = await by_recipe(world)
    wrong = json.loads(RECIPE) | {"base_url": "ftp://x", "grace_s": 1}
    for text, told in ((json.dumps(wrong), ("base_url", "grace_s")), ("{", ("recipe",)), ("", ("recipe",)), ("[1]", ("recipe",))):
        for act in ("try", "keep"):
            answer = await owner.post(f"{path}/recipe", {"recipe": text, "act": act})
            assert answer.status_code == 422, text
            assert all(word in answer.text for word in told)
    assert json.loads(await stored(world, owner, path)) == json.loads(RECIPE)


async def test_kept_recipe_needs_another_test_order(world: World) -> None:
    owner, path = await by_recipe(world)
    changed = json.loads(RECIPE) | {"title": "Ours"}
    for _ in range(2):
        assert (await owner.post(f"{path}/recipe", {"recipe": json.dumps(changed), "act": "keep"})).status_code == 303
    assert json.loads(await stored(world, owner, path))["title"] == "Ours"
    assert await world.value("select tested_at from supplier_connection") is None


async def test_bench_is_for_those_who_may_and_for_recipes_alone(world: World, company: SupplierSimulator) -> None:
    owner, path = await by_recipe(world)
    assert (await (await reader(world)).get(f"{path}/recipe")).status_code == 403
    assert (await (await stranger(world)).get(f"{path}/recipe")).status_code == 404
    answer = await owner.post("/suppliers", {"name": "Another company"})
    other = answer.headers["location"].split("/")[-3]
    sent = form(company, company.client(), name="Another connection")
    made = await owner.post(f"/suppliers/{other}/connections", sent)
    assert (await owner.get(made.headers["location"].removeprefix(owner.base) + "/recipe")).status_code == 404
