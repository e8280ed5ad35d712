"""A database that is slow, silent or gone: a bounded wait, a sentence with 503, and then everything again as before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest

from app.kernel.ids import new_id
from app.ordering import placing
from app.settings import settings
from tenants import session
from tenants.directory import PLATFORM
from tenants.session import Databases, databases, tenant_tx, use_databases
from tests.world import World
from torture.proxy import DatabaseProxy

pytestmark = [pytest.mark.anyio]
SIZE = 4
BOUND_S = 120.0
"""Ends a test that would wait for ever; nothing is measured by it."""


@pytest.fixture
async def cable(world: World) -> AsyncIterator[DatabaseProxy]:
    """This process reaches its database through a cable that can be cut."""
    parts = urlsplit(settings().database_url)
    before = databases()
    with DatabaseProxy(target_port=parts.port or 5432) as made:
        url = parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{made.port}").geturl()
        use_databases(Databases({"main": url}, size=SIZE, statement_cache=True))
        yield made
        made.is_open = True
        made.reset()
        async with asyncio.timeout(BOUND_S):
            await databases().close()
        use_databases(before)


async def pages(world: World, path: str, count: int) -> list[httpx2.Response]:
    """So many requests at once."""
    client = world.client()
    async with asyncio.timeout(BOUND_S):
        return await asyncio.gather(*(client.get(path) for _ in range(count)))


def assert_sentences(answers: list[httpx2.Response]) -> None:
    """Each is a page, or a sentence that says when to come back."""
    for answer in answers:
        assert answer.status_code in (200, 503), answer.text[:300]
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) > 0
            assert "Nothing was changed" in answer.text


async def use_all_connections(world: World) -> None:
    assert {answer.status_code for answer in await pages(world, "/orders", 4 * SIZE)} == {200}


@pytest.mark.case("J05")
async def test_connections_that_fell_silent_are_given_up_and_replaced(world: World, cable: DatabaseProxy) -> None:
    product = await world.product()
    path = f"/products/{product.id}"
    await use_all_connections(world)
    assert cable.hang() > 0
    world_shelf_is_old(world)
    assert_sentences(await pages(world, path, 3 * SIZE))
    async with asyncio.timeout(BOUND_S):
        while {answer.status_code for answer in await pages(world, path, SIZE)} != {200}:
            world_shelf_is_old(world)


def world_shelf_is_old(world: World) -> None:
    """The next page reads the database, and the directory too."""
    from app.storefront.shelf import forget_shelf
    from tenants import routing

    forget_shelf(world.tenant)
    routing.forget()


@pytest.mark.case("J05")
async def test_while_the_database_cannot_be_reached_every_page_says_so(world: World, cable: DatabaseProxy) -> None:
    product = await world.product()
    await use_all_connections(world)
    cable.is_open = False
    cable.reset()
    world_shelf_is_old(world)
    for path in ("/", f"/products/{product.id}", "/orders"):
        assert_sentences(await pages(world, path, 2))
    assert [(await pages(world, path, 1))[0].status_code for path in ("/healthz", "/readyz")] == [200, 503]
    cable.is_open = True
    world_shelf_is_old(world)
    assert (await pages(world, "/readyz", 1))[0].status_code == 200
    assert (await pages(world, "/", 1))[0].status_code == 200


@pytest.mark.case("J05")
async def test_every_connection_taken_is_a_bounded_wait_and_a_sentence(world: World, cable: DatabaseProxy) -> None:
    product = await world.product()
    taken, go_on = asyncio.Barrier(SIZE + 1), asyncio.Event()

    async def hold() -> None:
        async with tenant_tx(world.tenant):
            await taken.wait()
            await go_on.wait()

    holders = [asyncio.create_task(hold()) for _ in range(SIZE)]
    await taken.wait()
    world_shelf_is_old(world)
    answers = await pages(world, f"/products/{product.id}", 2)
    assert {answer.status_code for answer in answers} == {503}
    assert_sentences(answers)
    go_on.set()
    await asyncio.gather(*holders)
    assert (await pages(world, f"/products/{product.id}", 1))[0].status_code == 200


@pytest.mark.case("J05")
async def test_a_row_that_stays_locked_is_a_bounded_wait_and_a_sentence(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 3)
    client = world.client()
    page = await client.get(f"/products/{product.id}")
    form = {name: page.text.split(f'name="{name}" value="')[1].split('"')[0] for name in ("_csrf", "request_id")}
    form |= {"listing": str(product.skus[0].listing.id), "quantity": "1", "contact": "13800132046"}
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("lock table stock in access exclusive mode")
        answer = await client.post("/checkout", data=form)
    assert_sentences([answer])
    assert answer.status_code == 503
    assert (await client.post("/checkout", data=form)).status_code == 303


@pytest.mark.case("J05")
async def test_a_transaction_that_idles_is_ended_by_the_server(world: World) -> None:
    async with tenant_tx(PLATFORM) as tx:
        assert await tx.fetchval("show idle_in_transaction_session_timeout") == "30s"
        assert await tx.fetchval("show lock_timeout") == "5s"
    with pytest.raises(session.AWAY):
        await idle(world)
    assert await world.value("select 1") == 1


async def idle(world: World) -> None:
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("set local idle_in_transaction_session_timeout = '50ms'")
        gone = asyncio.Event()
        tx.connection.add_termination_listener(lambda *_: gone.set())
        await gone.wait()
        await tx.fetchval("select 1")


@pytest.mark.case("J02")
async def test_an_order_whose_commit_was_cut_off_is_found_by_asking_again(world: World, cable: DatabaseProxy) -> None:
    """The commit reaches the server and its answer does not come back: whoever asks again has one order, not two."""
    product = await world.product()
    await world.stock(product.skus[0].id, 30)
    cut = 0
    for number in range(12):
        request = await world.request(product.skus[0].listing.id, contact=f"1380013{number:04d}", key=str(new_id()))
        placing_it = asyncio.create_task(placing.place(world.tenant, request))
        for _ in range(number):
            await asyncio.sleep(0)
        cut += cable.reset()
        await asyncio.gather(placing_it, return_exceptions=True)
        async with asyncio.timeout(BOUND_S):
            placed = await placing.place(world.tenant, request)
        assert await world.value("select count(*) from shop_order where idempotency_key = $1", request.idempotency_key) == 1
        assert placed.order_no == await world.value(
            "select order_no from shop_order where idempotency_key = $1", request.idempotency_key
        )
    assert cut > 0
    assert await world.value("select reserved from stock") == 12


async def test_a_transaction_that_failed_to_begin_leaves_its_connection_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_BEGIN", "begin; set local role nobody_at_all")
    with pytest.raises(asyncpg.PostgresError):
        async with tenant_tx(world.tenant):
            pass
    monkeypatch.undo()
    assert await world.value("select current_schema()") == world.tenant.schema
