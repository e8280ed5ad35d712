"""A large batch leaves the shelf by a task, thousands of keys at a time, and its page says how far it is."""

import pytest

from app.inventory import quarantining
from app.kernel.tasks import Lane
from tenants.session import tenant_session, tenant_tx
from tests.app.staff import staff
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
REASON = {"reason": "The supplier recalls it"}


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantining, "TURNED_AT_ONCE", 3)


async def batch(world: World, keys: int = 8) -> str:
    product = await world.product()
    return await world.stock(product.skus[0].id, keys)


async def counters(world: World) -> tuple[int, int]:
    row = (await world.rows("select available, quarantined from stock"))[0]
    return row["available"], row["quarantined"]


async def test_a_large_batch_is_turned_by_a_task_and_shows_its_progress(world: World) -> None:
    batch_no, owner = await batch(world), await staff(world)
    assert (await owner.post(f"/imports/{batch_no}/quarantine", REASON)).status_code == 303
    assert await counters(world) == (5, 3)
    page = (await owner.get(f"/imports/{batch_no}")).text
    assert "Taking the keys off the shelf" in page
    assert "3 / 8" in page
    assert "3 / 8" in (await owner.get(f"/imports/{batch_no}/progress", part=True)).text
    await world.work(Lane.BULK)
    assert await counters(world) == (0, 8)
    assert await world.value("select state from import_batch") == "quarantined"
    assert (await owner.post(f"/imports/{batch_no}/release", REASON)).status_code == 303
    assert await world.value("select state from import_batch") == "releasing"
    await world.work(Lane.BULK)
    assert (await counters(world), await world.value("select state from import_batch")) == ((8, 0), "imported")


async def test_a_killed_task_goes_on_where_it_was_and_two_workers_count_once(world: World) -> None:
    batch_no = await batch(world)
    async with tenant_session(world.tenant) as session:
        made = await quarantining.quarantine(session, batch_no=batch_no, reason="recalled", actor=STAFF)
    async with tenant_tx(world.tenant) as tx:
        assert await quarantining._turn_some(tx, made.id)
    for _ in range(2):
        await quarantining.go_on(world.tenant, made.id)
    assert await counters(world) == (0, 8)
    assert await world.value("select lines_done from import_batch") == 8


async def test_what_is_being_released_is_stopped_again_at_once(world: World) -> None:
    batch_no = await batch(world)
    async with tenant_session(world.tenant) as session:
        made = await quarantining.quarantine(session, batch_no=batch_no, reason="recalled", actor=STAFF)
    await quarantining.go_on(world.tenant, made.id)
    for verb in (quarantining.unquarantine, quarantining.quarantine):
        async with tenant_session(world.tenant) as session:
            await verb(session, batch_no=batch_no, reason="changed our mind", actor=STAFF)
    await world.work(Lane.BULK)
    assert await counters(world) == (0, 8)
