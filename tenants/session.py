"""The only place that opens, binds, commits or rolls back a transaction.

Two ways in: `tenant_session` (SQLAlchemy, back office) and `tenant_tx` (raw asyncpg, hot paths and money). Both bind the tenant's role and
search path for that transaction alone, and `public` is not on a tenant's path, so a miss is an error and never another's row.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, TypeVar, cast

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction

from tenants.directory import Tenant

AfterCommit = Callable[[], None]
AWAY: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)
"""What a transaction raises while the database is away, starting, full or too busy: nothing of it stands but for a commit whose answer was lost."""
_BEGINS_WITHIN_S = 5.0
_UNDOES_WITHIN_S = 5.0


class TenantNotBound(RuntimeError):
    """A session was used without a tenant. Always a bug."""


class CommitRefused(RuntimeError):
    """The database answered COMMIT with a rollback: an error inside the transaction was swallowed. Always a bug."""


async def _leave_as_is(_connection: asyncpg.Connection[Any]) -> None:
    """Nothing to reset: every setting we make ends with its transaction, and session locks are not used."""


class TenantSession(Session):
    """Binds its tenant at the start of every transaction it begins."""


_BIND = text(
    "select set_config('role', :role, true), set_config('search_path', :path, true), set_config('transaction_read_only', :ro, true)"
)


@event.listens_for(TenantSession, "after_begin")
def _bind(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    tenant = session.info.get("tenant")
    if tenant is None:
        raise TenantNotBound
    if transaction.nested:
        return
    connection.execute(_BIND, {"role": tenant.role, "path": tenant.schema, "ro": "on" if session.info["read_only"] else "off"})


class Ending(Protocol):
    """What a transaction collects and writes in the round trip of its commit, as one statement without parameters.

    For rows that all transactions of a tenant want: locked before, they would be held while our process does other things.
    """

    def statement(self) -> str: ...


_E = TypeVar("_E", bound=Ending)


class _Closing:
    """What is to happen when a transaction ends: its last statements, and what runs only if it commits."""

    __slots__ = ("callbacks", "endings")

    def __init__(self) -> None:
        self.endings: dict[type[Ending], Ending] = {}
        self.callbacks: list[AfterCommit] = []

    def statements(self) -> list[str]:
        return [ending.statement() for ending in self.endings.values()]

    def committed(self) -> None:
        for callback in self.callbacks:
            callback()


class Tx:
    """One transaction on raw asyncpg, bound to a tenant."""

    __slots__ = ("_closing", "connection", "tenant")

    def __init__(self, connection: asyncpg.Connection[Any], tenant: Tenant, closing: _Closing) -> None:
        self.connection = connection
        self.tenant = tenant
        self._closing = closing

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        return await self.connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None:
        return await self.connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        return await self.connection.fetchval(query, *args)

    async def execute(self, query: str, *args: Any) -> int:
        """Run one statement; the number of rows it touched."""
        tag = await self.connection.execute(query, *args)
        last = tag.rpartition(" ")[2]
        return int(last) if last.isdigit() else 0

    async def executemany(self, query: str, args: Iterable[Sequence[Any]]) -> None:
        await self.connection.executemany(query, args)

    async def copy_records(self, table: str, *, columns: Sequence[str], records: Iterable[Sequence[Any]]) -> None:
        await self.connection.copy_records_to_table(table, columns=columns, records=records, schema_name=self.tenant.schema)

    def after_commit(self, callback: AfterCommit) -> None:
        """Call this once the transaction is committed, and only then; equal callbacks once."""
        if callback not in self._closing.callbacks:
            self._closing.callbacks.append(callback)

    def ending(self, kind: type[_E]) -> _E:
        """This transaction's one ending of a kind, made on first use."""
        return cast("_E", self._closing.endings.setdefault(kind, kind()))


class Databases:
    """The pools of this process, one pair per database of the directory, opened on first use."""

    def __init__(self, urls: dict[str, str], *, size: int, statement_cache: bool) -> None:
        self._urls = urls
        self._size = size
        self._cache = statement_cache
        self._engines: dict[str, AsyncEngine] = {}
        self._pools: dict[str, asyncpg.Pool[Any]] = {}
        self._opening = asyncio.Lock()

    def engine(self, alias: str) -> AsyncEngine:
        if alias not in self._engines:
            url = self._urls[alias].replace("postgresql://", "postgresql+asyncpg://", 1)
            caches = {} if self._cache else {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
            self._engines[alias] = create_async_engine(
                url,
                pool_size=self._size,
                max_overflow=0,
                pool_timeout=5,
                pool_recycle=600,
                hide_parameters=True,
                connect_args={"timeout": 5, "command_timeout": 30, "server_settings": {"jit": "off"}, **caches},
            )
        return self._engines[alias]

    async def pool(self, alias: str) -> asyncpg.Pool[Any]:
        if alias not in self._pools:
            async with self._opening:  # whoever comes while it opens waits for it; one that did not open is tried again
                if alias not in self._pools:
                    self._pools[alias] = await self._open_pool(alias)
        return self._pools[alias]

    async def _open_pool(self, alias: str) -> asyncpg.Pool[Any]:
        return await asyncpg.create_pool(
            self._urls[alias],
            min_size=1,
            max_size=self._size,
            max_inactive_connection_lifetime=600,
            max_queries=200_000,
            timeout=5,
            command_timeout=30,
            statement_cache_size=200 if self._cache else 0,
            server_settings={"jit": "off"},
            reset=_leave_as_is,
        )

    def url(self, alias: str) -> str:
        return self._urls[alias]

    async def close(self) -> None:
        for engine in self._engines.values():
            await engine.dispose()
        for pool in self._pools.values():
            await pool.close()
        self._engines.clear()
        self._pools.clear()


_BEGIN = "begin; set local role {role}; set local search_path to {path}"
_BEGIN_PLANNED = f"{_BEGIN}; set local plan_cache_mode to force_generic_plan"
_databases: Databases | None = None


def use_databases(databases: Databases) -> None:
    """Give this process its pools; the composition root calls it once."""
    global _databases  # noqa: PLW0603  # one set of pools per process
    _databases = databases


def databases() -> Databases:
    if _databases is None:
        raise RuntimeError("no databases: the composition root has not run")
    return _databases


@asynccontextmanager
async def tenant_session(tenant: Tenant, *, read_only: bool = False) -> AsyncIterator[AsyncSession]:
    """A SQLAlchemy session in the tenant's schema; commits when the block ends well, else rolls back.

    Raises: whatever the commit raises, so an answer is sent only after its commit.
    """
    closing = _Closing()
    info = {"tenant": tenant, "read_only": read_only, "closing": closing}
    engine = databases().engine(tenant.database)
    async with AsyncSession(
        engine, sync_session_class=TenantSession, info=info, expire_on_commit=False, autoflush=True
    ) as session:
        yield session
        for statement in closing.statements():
            await (await raw(session)).execute(statement)
        await session.commit()
    closing.committed()


@asynccontextmanager
async def tenant_tx(tenant: Tenant, *, plans_once: bool = False) -> AsyncIterator[Tx]:
    """A raw asyncpg transaction in the tenant's schema; the bind rides in the same round trip as BEGIN.

    With `plans_once` its statements keep the plan they have, whatever they are asked for: for hot paths whose planning costs more than their work.
    """
    closing = _Closing()
    pool = await databases().pool(tenant.database)
    async with pool.acquire(timeout=5) as connection:
        try:
            begin = _BEGIN_PLANNED if plans_once else _BEGIN
            await connection.execute(begin.format(role=tenant.role, path=tenant.schema), timeout=_BEGINS_WITHIN_S)
            yield Tx(cast("asyncpg.Connection[Any]", connection), tenant, closing)
            if await connection.execute("; ".join([*closing.statements(), "commit"])) != "COMMIT":
                raise CommitRefused
        except BaseException as error:
            await _undo(connection, error)
            if isinstance(error, asyncpg.InternalClientError):
                raise asyncpg.InterfaceError("the connection was lost at an awkward moment") from error
            raise
    closing.committed()


async def _undo(connection: asyncpg.pool.PoolConnectionProxy[Any], error: BaseException) -> None:
    """End a transaction that failed. A connection that does not answer is given up: the server rolls back what was begun on it."""
    if not isinstance(error, TimeoutError | asyncpg.InternalClientError):
        with suppress(asyncpg.InternalClientError, *AWAY):
            await connection.execute("rollback", timeout=_UNDOES_WITHIN_S)
            return
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def raw(on: AsyncSession | Tx) -> Tx:
    """The raw transaction of a session, so that verbs on money run inside it; a Tx is returned as it is."""
    if isinstance(on, Tx):
        return on
    connection = await on.connection()
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    return Tx(cast("asyncpg.Connection[Any]", driver), on.info["tenant"], on.info["closing"])
