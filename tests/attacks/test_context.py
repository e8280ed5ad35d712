"""Whose rows a connection shows, whatever happened on it before: one connection for everybody, and no order of events leaves a trace."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import asyncpg
import httpx2
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from app.access.models import MemberRole
from tenants.directory import Tenant
from tenants.session import Databases, databases, raw, tenant_session, tenant_tx, use_databases
from tests.attacks.routes import Route
from tests.attacks.visitors import Caller, member
from tests.installation import Installation
from tests.world import World

pytestmark = [pytest.mark.anyio]
T = TypeVar("T")
WAIT_S = 30
SEED = 20261122


@pytest.fixture
def one_connection(world: World, installation: Installation) -> Iterator[None]:
    """Every door of this process leads through one connection each."""
    usual = databases()
    use_databases(Databases({"main": installation.urls.app_url}, size=1, statement_cache=True))
    yield
    use_databases(usual)


class TenantContext(RuleBasedStateMachine):
    """Enters tenants by either door, writes, fails, goes back to savepoints, commits in the middle, leaves in any way.

    `kept` is what each tenant's row must say once nothing is open, `written` what it says inside, `marks` the savepoints.
    """

    world: World
    other: Tenant
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.door: Any = None

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT_S)

    @property
    def is_in(self) -> bool:
        return self.door is not None

    @initialize()
    def begin(self) -> None:
        self.kept = {tenant.id: self.do(_tagline(tenant)) for tenant in (self.world.tenant, self.other)}

    @precondition(lambda self: not self.is_in)
    @rule(is_first=st.booleans(), is_raw=st.booleans())
    def enter(self, is_first: bool, is_raw: bool) -> None:
        self.tenant = self.world.tenant if is_first else self.other
        self.door = tenant_tx(self.tenant) if is_raw else tenant_session(self.tenant)
        self.on = self.do(self.door.__aenter__())
        self.is_raw, self.written, self.marks = is_raw, self.kept[self.tenant.id], []

    def ask(self, query: str) -> Any:
        async def asked() -> Any:
            return await (await raw(self.on)).fetchval(query)

        return self.do(asked())

    @precondition(lambda self: self.is_in)
    @rule()
    def look(self) -> None:
        assert self.ask("select current_user::text") == self.tenant.role
        assert self.ask("select current_schemas(false)::text[]") == [self.tenant.schema]
        assert self.ask("select tagline from storefront") == self.written

    @precondition(lambda self: self.is_in)
    @rule(n=st.integers(0, 999))
    def write(self, n: int) -> None:
        self.ask(f"update storefront set tagline = 'said {n}' returning tagline")
        self.written = f"said {n}"

    @precondition(lambda self: self.is_in and len(self.marks) < 3)
    @rule()
    def mark(self) -> None:
        self.ask(f"savepoint m{len(self.marks)}")
        self.marks.append(self.written)

    @precondition(lambda self: self.is_in and self.marks)
    @rule(goes_back=st.booleans(), fails=st.booleans())
    def end_mark(self, goes_back: bool, fails: bool) -> None:
        if fails:
            with suppress(asyncpg.DivisionByZeroError):
                self.ask("select 1 / 0")
        was = self.marks.pop()
        if fails or goes_back:
            self.ask(f"rollback to savepoint m{len(self.marks)}")
            self.written = was
        self.ask(f"release savepoint m{len(self.marks)}")

    @precondition(lambda self: self.is_in and not self.is_raw and not self.marks)
    @rule()
    def commit_in_the_middle(self) -> None:
        self.do(self.on.commit())
        self.kept[self.tenant.id] = self.written

    @precondition(lambda self: self.is_in)
    @rule(how=st.sampled_from(["well", "raise", "sql error", "cancel"]))
    def leave(self, how: str) -> None:
        door, self.door = self.door, None
        error: BaseException | None = None
        if how == "sql error":
            with suppress(asyncpg.DivisionByZeroError):
                self.ask("select 1 / 0")
            error = ZeroDivisionError()
        elif how != "well":
            error = LookupError() if how == "raise" else asyncio.CancelledError()
        self.do(_exit(door, error))
        if error is None:
            self.kept[self.tenant.id] = self.written

    @precondition(lambda self: not self.is_in)
    @rule(is_raw=st.booleans(), after_s=st.sampled_from([0, 0.001, 0.005]))
    def be_cut_short(self, is_raw: bool, after_s: float) -> None:
        self.do(_sleep_and_be_cancelled(self.world.tenant, is_raw, after_s))

    @invariant()
    def the_connection_is_nobodys(self) -> None:
        if not self.is_in:
            for state in self.do(_left_behind()):
                assert state == ("quanyi_app", '"$user", public', "off", 0, False)
            for tenant in (self.world.tenant, self.other):
                assert self.do(_tagline(tenant)) == self.kept[tenant.id]

    def teardown(self) -> None:
        if self.is_in:
            self.do(_exit(self.door, LookupError()))


async def _tagline(tenant: Tenant) -> str:
    async with tenant_tx(tenant) as tx:
        return str(await tx.fetchval("select tagline from storefront"))


async def _exit(door: Any, error: BaseException | None) -> None:
    with suppress(LookupError, ZeroDivisionError, asyncio.CancelledError):
        await door.__aexit__(type(error) if error else None, error, None)


async def _sleep_and_be_cancelled(tenant: Tenant, is_raw: bool, after_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(after_s):
            if is_raw:
                async with tenant_tx(tenant) as tx:
                    await tx.fetchval("select pg_sleep(5)")
            else:
                async with tenant_session(tenant) as session:
                    await session.execute(text("select pg_sleep(5)"))


_STATE = """
select current_user::text, current_setting('search_path'), current_setting('transaction_read_only'),
       (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
       pg_current_xact_id_if_assigned() is not null
"""


async def _left_behind() -> list[tuple[Any, ...]]:
    """What the next borrower of either connection finds, before he binds it."""
    async with (await databases().pool("main")).acquire() as connection:
        bare = tuple(await connection.fetchrow(_STATE))
    async with databases().engine("main").connect() as connected:
        return [bare, tuple((await connected.execute(text(_STATE))).one())]


@pytest.mark.case("G04", "G05")
@pytest.mark.usefixtures("one_connection")
async def test_no_order_of_events_leaves_a_tenant_on_a_connection(world: World) -> None:
    TenantContext.world, TenantContext.other = world, await world.new_tenant("Other")
    TenantContext.loop = asyncio.get_running_loop()
    chosen = settings(
        max_examples=40, stateful_step_count=30, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck)
    )
    await asyncio.to_thread(run_state_machine_as_test, TenantContext, settings=chosen)


@pytest.mark.case("G04", "G05")
@pytest.mark.usefixtures("one_connection")
async def test_red_a_binding_that_is_not_for_the_transaction_alone_follows_the_connection(world: World) -> None:
    """The same ways to leave, with `set` in place of `set local`: the next borrower stands in the tenant before him."""
    async with (await databases().pool("main")).acquire() as connection:
        await connection.execute(f"begin; set role {world.tenant.role}; set search_path to {world.tenant.schema}; commit")
    try:
        assert (await _left_behind())[0][:2] == (world.tenant.role, world.tenant.schema)
    finally:
        async with (await databases().pool("main")).acquire() as connection:
            await connection.execute("reset role; reset search_path")


@pytest.mark.case("G04")
@pytest.mark.usefixtures("one_connection")
async def test_pages_of_two_tenants_through_one_connection_show_each_his_own(world: World) -> None:
    """Five hundred requests in turn, a third of them cut short by their caller or answered with a refusal."""
    print(f"seed {SEED}")
    chance, other = random.Random(SEED), await world.new_tenant("Other")
    people = [
        (await member(world, tenant, MemberRole.OWNER), name) for tenant, name in ((world.tenant, "Skylark"), (other, "Marlin"))
    ]
    for who, name in people:
        await world.product(tenant=who.tenant, name=f"{name} Video")
    names = [name for _, name in people]
    shown = 0
    for n in range(500):
        who, name = people[n % 2]
        answer = await _asked(who, chance)
        if answer is not None and answer.status_code == 200:
            shown += 1
            assert name in answer.text
            assert not any(foreign in answer.text for foreign in names if foreign != name)
    assert shown > 200


async def _asked(who: Caller, chance: random.Random) -> httpx2.Response | None:
    """One request; None when its caller went away."""
    ids = {"tenant_slug": who.tenant.slug, "order_no": "N261121-AAAAAAA"}
    fate = chance.choice(["page", "page", "page", "cut", "not there", "wrong"])
    if fate == "not there":
        return await who.ask(Route("GET", "/m/{tenant_slug}/orders/{order_no}"), ids)
    if fate == "wrong":
        return await who.ask(Route("POST", "/m/{tenant_slug}/products"), ids, {"name": ""})
    try:
        async with asyncio.timeout(chance.uniform(0, 0.02) if fate == "cut" else None):
            return await who.ask(Route("GET", "/m/{tenant_slug}/products"), ids)
    except TimeoutError:
        return None


@pytest.mark.case("G05")
async def test_what_is_left_of_a_transaction_after_it_reaches_nothing(world: World) -> None:
    async with tenant_tx(world.tenant) as tx:
        kept = tx
    with pytest.raises(asyncpg.InterfaceError):
        await kept.fetchval("select name from storefront")


@pytest.mark.case("G05")
async def test_work_after_the_answer_binds_its_own_tenant(world: World) -> None:
    """What runs after a commit has no transaction of the one before it, and sees the tenant it names itself."""
    other, seen = await world.new_tenant("Other"), []

    async def later() -> None:
        async with tenant_tx(other) as tx:
            seen.append(await tx.fetchval("select name from storefront"))

    async with tenant_tx(world.tenant) as tx:
        tx.after_commit(lambda: seen.append(asyncio.create_task(later())))
    await seen[0]
    assert seen[1:] == ["Other"]
