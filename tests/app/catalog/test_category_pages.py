"""The page of categories."""

from uuid import uuid4

import pytest

from app.access.models import MemberRole
from app.storefront.shelf import shelf_of
from tests.app.staff import Staff, staff
from tests.world import World

pytestmark = [pytest.mark.anyio]


async def names(world: World) -> list[str]:
    return [row["name"] for row in await world.rows("select name from category order by position, name")]


async def made(owner: Staff, *wanted: str) -> None:
    for name in wanted:
        assert (await owner.post("/categories", {"name": name})).status_code == 303


async def test_categories_are_made_renamed_moved_and_deleted(world: World) -> None:
    owner = await staff(world)
    await made(owner, "Video", "Music", "Games")
    ids = {row["name"]: row["id"] for row in await world.rows("select id, name from category")}
    assert await names(world) == ["Video", "Music", "Games"]
    await owner.post(f"/categories/{ids['Games']}/position", {"to": "up"})
    assert await names(world) == ["Video", "Games", "Music"]
    await owner.post(f"/categories/{ids['Video']}/position", {"to": "up"})
    assert await names(world) == ["Video", "Games", "Music"]
    await owner.post(f"/categories/{ids['Music']}", {f"name-{ids['Music']}": "Audio"})
    assert [name for _, name in (await shelf_of(world.tenant)).categories] == ["Video", "Games", "Audio"]
    assert (await owner.post(f"/categories/{ids['Games']}/removal")).status_code == 303
    assert await names(world) == ["Video", "Audio"]
    assert "Audio" in (await owner.get("/categories")).text


async def test_category_made_twice_is_one(world: World) -> None:
    owner = await staff(world)
    await made(owner, "Video", "Video")
    assert await names(world) == ["Video"]


async def test_category_that_holds_products_is_kept(world: World) -> None:
    owner = await staff(world)
    await made(owner, "Video")
    category = await world.value("select id from category")
    await world.product(category_id=category)
    refused = await owner.post(f"/categories/{category}/removal")
    assert refused.status_code == 409
    assert "still holds 1 products" in refused.text
    assert await names(world) == ["Video"]
    assert "Skylark Video" in (await owner.get(f"/products?category={category}")).text


@pytest.mark.parametrize("typed", ["", "  ", "x" * 61, "two\nlines"])
async def test_bad_name_is_refused_beside_its_field(world: World, typed: str) -> None:
    owner = await staff(world)
    await made(owner, "Video")
    category = await world.value("select id from category")
    assert 'id="f-name-error"' in (await owner.post("/categories", {"name": typed})).text
    renamed = await owner.post(f"/categories/{category}", {f"name-{category}": typed})
    assert renamed.status_code == 422
    assert f'id="f-name-{category}-error"' in renamed.text
    assert await names(world) == ["Video"]


async def test_name_that_is_taken_is_refused(world: World) -> None:
    owner = await staff(world)
    await made(owner, "Video", "Music")
    music = await world.value("select id from category where name = 'Music'")
    refused = await owner.post(f"/categories/{music}", {f"name-{music}": "Video"})
    assert refused.status_code == 422
    assert "already a category called Video" in refused.text


async def test_strangers_and_readers_change_nothing(world: World) -> None:
    await made(await staff(world), "Video")
    category = await world.value("select id from category")
    reader = await staff(world, MemberRole.READ_ONLY)
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await reader.get("/categories")).status_code == 200
    for path in ("/categories", f"/categories/{category}", f"/categories/{category}/removal", f"/categories/{category}/position"):
        assert (await reader.post(path, {"name": "x", "to": "up"})).status_code == 403
    for path in (
        f"/categories/{category}",
        f"/categories/{category}/removal",
        f"/categories/{category}/position",
        f"/categories/{uuid4()}",
    ):
        assert (await stranger.post(path, {"to": "up"})).status_code == 404
    assert await names(world) == ["Video"]
    assert (await (await staff(world)).post(f"/categories/{category}/position", {"to": "sideways"})).status_code == 400
