"""Draining: each task once, in fair turns, found again whatever was lost, and never silently gone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app.kernel import clock
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, TaskRow, add_task, add_tasks, handles
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx
from tests.world import World
from workers import drain as draining
from workers.drain import drain, drain_home, sweep

pytestmark = [pytest.mark.anyio, pytest.mark.database]
Behaviour = Callable[[Tenant, list[TaskRow]], Awaitable[None]]


class Bench:
    """What the tests' own kinds of task do, and what was asked of them."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[UUID | None]]] = []
        self.behave: Behaviour = self.nothing

    async def nothing(self, _tenant: Tenant, _tasks: list[TaskRow]) -> None:
        return

    async def take(self, tenant: Tenant, tasks: list[TaskRow]) -> None:
        self.calls.append((tenant.slug, [task.subject_id for task in tasks]))
        await self.behave(tenant, tasks)

    @property
    def done(self) -> Counter[UUID | None]:
        return Counter(subject for _, subjects in self.calls for subject in subjects)


bench = Bench()


@handles("tests.single", lane=Lane.ORDERS, timeout_s=2, tries=3)
async def _single(tenant: Tenant, tasks: list[TaskRow]) -> None:
    await bench.take(tenant, tasks)


@handles("tests.many", lane=Lane.ORDERS, timeout_s=2, at_once=100, tries=3)
async def _many(tenant: Tenant, tasks: list[TaskRow]) -> None:
    await bench.take(tenant, tasks)


@pytest.fixture(autouse=True)
async def clean(world: World) -> None:
    """Each test begins with an idle bench and without the bells of other tests."""
    bench.__init__()  # type: ignore[misc]
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("delete from work.bell")


async def ask(
    world: World, kind: str = "tests.single", count: int = 1, *, tenant: Tenant | None = None, **more: Any
) -> list[UUID]:
    subjects = [new_id() for _ in range(count)]
    async with tenant_tx(tenant or world.tenant) as tx:
        await add_tasks(tx, kind, lane=Lane.ORDERS, subject_ids=subjects, **more)
    return subjects


async def ask_again(world: World, subject: UUID, **more: Any) -> None:
    async with tenant_tx(world.tenant) as tx:
        await add_task(tx, "tests.single", lane=Lane.ORDERS, subject_id=subject, **more)


async def ask_and_fail(world: World) -> None:
    """The verb that wants the task fails after it has asked for it."""
    async with tenant_tx(world.tenant) as tx:
        await add_task(tx, "tests.single", lane=Lane.ORDERS, subject_id=new_id())
        raise ZeroDivisionError


async def make_due(world: World) -> None:
    """Time passes for what waits for its next try."""
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update task set run_at = now() where state = 'waiting'")


async def task_of(world: World, subject: UUID) -> dict[str, Any] | None:
    rows = await world.rows("select * from task where subject_id = $1", subject)
    return rows[0] if rows else None


async def bells(world: World) -> int:
    return int(await world.value("select count(*) from work.bell where home = $1", world.tenant.schema, tenant=PLATFORM))


async def sweep_ours(*tenants: Tenant) -> None:
    """Sweep, and leave the bells of other tests' tenants to nobody."""
    await sweep()
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("delete from work.bell where not home = any($1)", [tenant.schema for tenant in tenants])


# Asking


async def test_asking_twice_is_one_task_at_the_earlier_time(world: World) -> None:
    subject = new_id()
    later = clock.now() + timedelta(hours=2)
    await ask_again(world, subject, run_at=later)
    await ask_again(world, subject)
    await ask_again(world, subject, run_at=later)
    assert await drain(Lane.ORDERS) == 1
    assert bench.done == {subject: 1}
    assert await task_of(world, subject) is None


async def test_what_was_rolled_back_never_runs_and_never_rings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr("app.kernel.tasks._ring", lambda schema, _lane: rung.append(schema))
    with pytest.raises(ZeroDivisionError):
        await ask_and_fail(world)
    assert rung == []
    assert await bells(world) == 0
    assert await drain(Lane.ORDERS, schemas=[world.tenant.schema]) == 0
    subjects = await ask(world, count=40)
    assert rung == [world.tenant.schema], "one commit rings once"
    await drain(Lane.ORDERS)
    assert bench.done == dict.fromkeys(subjects, 1)


async def test_a_task_for_later_waits(world: World) -> None:
    await ask(world, run_at=clock.now() + timedelta(seconds=60))
    assert await drain(Lane.ORDERS, schemas=[world.tenant.schema]) == 0


# Once


async def run_two_drains(world: World) -> Counter[UUID | None]:
    """Twenty tasks that take a while, and two drains that start together."""

    async def slowly(_tenant: Tenant, _tasks: list[TaskRow]) -> None:
        await asyncio.sleep(0.03)

    bench.behave = slowly
    await ask(world, count=20)
    await asyncio.gather(*(drain(Lane.ORDERS, schemas=[world.tenant.schema]) for _ in range(2)))
    return bench.done


async def test_two_drains_at_once_run_each_task_once(world: World) -> None:
    done = await run_two_drains(world)
    assert len(done) == 20
    assert set(done.values()) == {1}


async def test_without_the_claim_two_drains_run_tasks_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The red control: the same test fails once the claim only looks."""
    only_looks = """
    select id, kind, subject_id, attempts from task
    where lane = $1 and state = 'waiting' and run_at <= now() and $3::uuid is not null and $4::text[] is not null and $5::int[] is not null
    order by run_at limit $2
    """
    monkeypatch.setattr(draining, "_CLAIM", only_looks)
    monkeypatch.setattr(draining, "_TURN", 20)

    async def ring_no_more(*_args: object) -> None:
        return

    monkeypatch.setattr(draining, "ring_bell", ring_no_more)
    done = await run_two_drains(world)
    assert max(done.values()) > 1


async def test_a_lease_that_ran_out_is_run_again_and_the_first_worker_settles_nothing(world: World) -> None:
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hang_once(_tenant: Tenant, _tasks: list[TaskRow]) -> None:
        if len(bench.calls) == 1:
            held.set()
            await go_on.wait()
            raise ValueError("too late")

    bench.behave = hang_once
    [subject] = await ask(world)
    first = asyncio.create_task(drain_home(world.tenant, Lane.ORDERS))
    await held.wait()
    assert await drain(Lane.ORDERS, schemas=[world.tenant.schema]) == 0, "leased"
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update task set lease_until = now() - interval '1 second'")
    await sweep_ours(world.tenant)
    assert await drain(Lane.ORDERS) == 1
    go_on.set()
    await first
    assert bench.done == {subject: 2}
    assert await task_of(world, subject) is None


async def test_a_batch_that_waited_drops_what_is_no_longer_its_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "_RENEW_AFTER_S", 0.0)
    monkeypatch.setattr(draining, "_HANDLERS_AT_ONCE", 1)

    async def rob(_tenant: Tenant, _tasks: list[TaskRow]) -> None:
        async with tenant_tx(world.tenant) as tx:
            await tx.execute("update task set lease_token = gen_random_uuid()")

    bench.behave = rob
    await ask(world, count=3)
    await drain_home(world.tenant, Lane.ORDERS)
    assert len(bench.calls) == 1


# Failing


async def test_a_batch_that_fails_is_tried_one_by_one(world: World) -> None:
    subjects = await ask(world, "tests.many", 5)
    bad = subjects[2]

    async def choke(_tenant: Tenant, tasks: list[TaskRow]) -> None:
        if bad in [task.subject_id for task in tasks]:
            raise ValueError("one of them is bad \x00")

    bench.behave = choke
    await drain_home(world.tenant, Lane.ORDERS)
    assert len(bench.calls) == 6
    left = await world.rows("select subject_id, state, attempts, last_error from task")
    assert [(row["subject_id"], row["state"], row["attempts"]) for row in left] == [(bad, "waiting", 1)]
    assert "one of them is bad" in left[0]["last_error"]


async def test_used_up_tries_leave_the_task_for_a_person_who_may_start_it_over(world: World) -> None:
    async def refuse(_tenant: Tenant, _tasks: list[TaskRow]) -> None:
        raise RuntimeError("no")

    bench.behave = refuse
    [subject] = await ask(world)
    for attempt in (1, 2, 3):
        assert await drain_home(world.tenant, Lane.ORDERS) == 1
        row = await task_of(world, subject)
        assert row is not None
        assert (row["attempts"], row["state"]) == (attempt, "failed" if attempt == 3 else "waiting")
        await make_due(world)
    assert await drain_home(world.tenant, Lane.ORDERS) == 0
    bench.behave = bench.nothing
    await ask_again(world, subject)
    assert await drain(Lane.ORDERS) == 1
    assert await task_of(world, subject) is None


async def test_a_handler_that_takes_too_long_is_stopped(world: World) -> None:
    async def sleep(_tenant: Tenant, _tasks: list[TaskRow]) -> None:
        await asyncio.sleep(30)

    bench.behave = sleep
    [subject] = await ask(world)
    async with asyncio.timeout(25):  # the handler itself would sleep longer
        await drain_home(world.tenant, Lane.ORDERS)
    row = await task_of(world, subject)
    assert row is not None
    assert row["last_error"].startswith("TimeoutError")


async def test_a_task_that_ends_its_worker_each_time_is_given_up(world: World) -> None:
    """A handler that makes the process die never writes its failure; the count of its claims does."""
    [subject] = await ask(world)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update task set attempts = 3")
    await drain_home(world.tenant, Lane.ORDERS)
    row = await task_of(world, subject)
    assert row is not None
    assert (row["state"], bench.calls) == ("failed", [])


async def test_an_unknown_kind_is_visible(world: World) -> None:
    subject = new_id()
    async with tenant_tx(world.tenant) as tx:
        await add_task(tx, "tests.nobody_does_this", lane=Lane.ORDERS, subject_id=subject)
    await drain(Lane.ORDERS)
    row = await task_of(world, subject)
    assert row is not None
    assert (row["state"], row["last_error"]) == ("failed", "no handler for this kind of task")


# Asked for while it runs


@pytest.mark.parametrize("first_try_fails", [False, True])
async def test_what_is_asked_for_while_it_runs_runs_once_more(world: World, first_try_fails: bool) -> None:
    subject = new_id()

    async def be_asked(_tenant: Tenant, _tasks: list[TaskRow]) -> None:
        if len(bench.calls) == 1:
            await ask_again(world, subject)
            if first_try_fails:
                raise ValueError

    bench.behave = be_asked
    await ask_again(world, subject)
    assert await drain(Lane.ORDERS) == 2
    assert bench.done == {subject: 2}
    assert await task_of(world, subject) is None


async def test_a_wish_between_the_statements_of_finishing_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is asked for by another transaction right before it would be deleted."""
    [subject] = await ask(world)
    finish = draining._finish

    async def be_asked_first(turn: Any, tasks: list[TaskRow]) -> None:
        if len(bench.calls) == 1:
            await ask_again(world, subject)
        await finish(turn, tasks)

    monkeypatch.setattr(draining, "_finish", be_asked_first)
    assert await drain(Lane.ORDERS) == 2


# Fairness, and what was lost


async def test_one_order_does_not_stand_behind_another_merchants_five_hundred(world: World) -> None:
    busy, small = world.tenant, await world.new_tenant("Small", with_gateway=False)

    async def a_moment(_tenant: Tenant, _tasks: list[TaskRow]) -> None:
        await asyncio.sleep(0.002)

    bench.behave = a_moment
    await ask(world, count=500, tenant=busy)
    [single] = await ask(world, tenant=small)
    await drain(Lane.ORDERS, schemas=[busy.schema, small.schema])
    order = [subjects[0] for _, subjects in bench.calls]
    assert len(order) == 501
    assert order.index(single) <= 100, "within the busy merchant's first turn"
    assert set(bench.done.values()) == {1}


async def test_a_merchant_whose_handlers_hang_holds_up_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "_LOOK_AGAIN_S", 0.05)
    slow, other = world.tenant, await world.new_tenant("Other", with_gateway=False)

    async def hang(tenant: Tenant, _tasks: list[TaskRow]) -> None:
        if tenant.schema == slow.schema:
            await ask(world, tenant=other)
            try:
                await asyncio.sleep(30)
            finally:
                ended.append(tenant.schema)

    ended: list[str] = []
    bench.behave = hang
    await ask(world, tenant=slow)
    running = asyncio.create_task(drain(Lane.ORDERS))
    async with asyncio.timeout(25):
        while len(bench.calls) < 2:  # noqa: ASYNC110  # the drain brings it about
            await asyncio.sleep(0.01)
    assert ended == [], "the other's task, asked for meanwhile, is done while the first still hangs"
    assert await running == 2


async def test_a_merchant_whose_tables_are_gone_stops_nobody(world: World) -> None:
    broken, other = world.tenant, await world.new_tenant("Other", with_gateway=False)
    await ask(world, tenant=broken)
    [subject] = await ask(world, tenant=other)
    import asyncpg

    owner = await asyncpg.connect(world.urls.owner_url)
    await owner.execute(f"alter table {broken.schema}.task rename to task_away")
    try:
        await drain(Lane.ORDERS, schemas=[broken.schema, other.schema])
        assert bench.done == {subject: 1}
        await ask(world, tenant=other)
        async with tenant_tx(PLATFORM) as tx:
            await tx.execute("delete from work.bell")
        await sweep_ours(broken, other)
        assert await drain(Lane.ORDERS) == 1
    finally:
        await owner.execute(f"alter table {broken.schema}.task_away rename to task")
        await owner.close()


async def test_a_lost_ring_is_found_by_the_look_and_a_lost_bell_by_the_sweep(world: World) -> None:
    [first] = await ask(world)
    assert await drain(Lane.ORDERS) == 1, "no ring, but the bell is there"
    [second] = await ask(world)
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("delete from work.bell")
    assert await drain(Lane.ORDERS) == 0, "neither ring nor bell"
    await sweep_ours(world.tenant)
    assert await drain(Lane.ORDERS) == 1
    assert bench.done == {first: 1, second: 1}


async def test_a_failed_try_rings_for_its_next_one(world: World) -> None:
    async def refuse(_tenant: Tenant, _tasks: list[TaskRow]) -> None:
        raise RuntimeError("no")

    bench.behave = refuse
    await ask(world)
    await drain(Lane.ORDERS)
    assert await bells(world) == 1


async def test_a_drain_that_must_end_gives_its_tasks_back(world: World) -> None:
    begun = asyncio.Event()

    async def hang(_tenant: Tenant, _tasks: list[TaskRow]) -> None:
        begun.set()
        await asyncio.sleep(30)

    bench.behave = hang
    [subject] = await ask(world)
    running = asyncio.create_task(drain(Lane.ORDERS))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    row = await task_of(world, subject)
    assert row is not None
    assert (row["state"], row["attempts"], row["lease_token"]) == ("waiting", 0, None)
    bench.behave = bench.nothing
    assert await drain(Lane.ORDERS) == 1


async def test_a_drain_that_is_told_to_stop_claims_nothing_more(world: World) -> None:
    told: Iterator[bool] = iter([False, True, True])
    await ask(world, count=250)
    done = await drain(Lane.ORDERS, schemas=[world.tenant.schema], is_over=lambda: next(told))
    assert done == 100
