"""The rules imports cannot show. A remark made twice becomes a test here."""

from __future__ import annotations

import ast
import asyncio
import re
import subprocess
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("app", "tenants", "workers", "operations", "simulators", "benchmarks", "torture", "migrations")
LONGEST_FUNCTION, LONGEST_FILE, MOST_PARAMETERS = 60, 500, 5
GIVEN = {"self", "cls", "session", "tx", "on", "tenant", "request"}
"""Parameters that say where a verb works, not what it does."""


def modules(*packages: str) -> Iterator[tuple[Path, ast.Module]]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "versions" not in path.parts:
                yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{path}:{function.lineno} {function.name}"
        for path, tree in modules(*PACKAGES)
        for function in functions(tree)
        if (function.end_lineno or 0) - function.lineno + 1 > LONGEST_FUNCTION
    ]
    assert long == []


def test_files_have_one_subject() -> None:
    long = [str(path) for path, _ in modules(*PACKAGES, "tests") if len((ROOT / path).read_text().splitlines()) > LONGEST_FILE]
    assert long == []


def test_verbs_take_few_parameters() -> None:
    domain = re.compile(r"/(service|queries|rules|placing|capturing|refunding|importing|revealing)\.py$")
    many = [
        f"{path}:{function.lineno} {function.name}"
        for path, tree in modules("app")
        if domain.search(str(path))
        for function in functions(tree)
        if len([a for a in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs] if a.arg not in GIVEN])
        > MOST_PARAMETERS
    ]
    assert many == []


def test_only_the_session_module_begins_and_ends_transactions() -> None:
    allowed = {"tenants/session.py", "tenants/migrating.py", "tenants/provisioning.py", "tenants/trials.py"}
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules("app", "tenants", "workers")
        if str(path) not in allowed
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"commit", "rollback", "begin", "begin_nested", "transaction"}
        and ast.unparse(node.func.value).endswith(("session", "connection", "tx", "engine", "pool"))
    ]
    assert found == []


def test_session_settings_are_local_to_their_transaction() -> None:
    """A session-level SET would follow a pooled connection to the next tenant (`set local` and set_config(…, true) do not)."""
    session_level = re.compile(
        r"(^|;)\s*set\s+(?!local\b)(session\s+|role|search_path|statement_timeout|synchronous_commit)", re.I
    )
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules("app", "tenants", "workers")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and session_level.search(node.value)
    ]
    assert found == []


@pytest.mark.case("G06")
def test_no_sql_is_built_from_text() -> None:
    """Ruff's S608 finds SQL in formatted text; where it is silenced, the text comes from constants of that file, listed here."""
    silenced = {
        str(path.relative_to(ROOT)): path.read_text().count("noqa: S608")
        for package in ("app", "workers")
        for path in (ROOT / package).rglob("*.py")
        if "noqa: S608" in path.read_text()
    }
    assert silenced == {
        "app/console/lookout.py": 1,
        "app/inventory/service.py": 1,
        "app/ordering/service.py": 1,
        "app/suppliers/offering.py": 5,
    }


def test_rows_taken_up_to_a_number_are_chosen_once() -> None:
    """`in (select … limit … for update)` is planned as a join that may choose again for each row, and take more; an array is made once."""
    wrong = [
        str(path.relative_to(ROOT))
        for package in ("app", "tenants", "workers")
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".sql")
        and re.search(r"\bin \(\s*select\b[^;]{0,400}?\blimit\b[^();]{0,80}\bfor (no key )?update", path.read_text())
    ]
    assert wrong == []


def test_nothing_is_swallowed() -> None:
    """What catches everything undoes and raises again (`tenants`), or is a worker's outermost frame and writes it down."""
    broad = [
        f"{path}:{node.lineno}"
        for path, tree in modules("app", "tenants", "workers")
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
    ]
    assert {place.rsplit(":", 1)[0] for place in broad} == {
        "tenants/embedded.py",
        "tenants/session.py",
        "workers/drain.py",
        "workers/timers.py",
    }


def test_money_is_never_a_float() -> None:
    money = ("app/ledger", "app/payments", "app/ordering", "app/kernel/money.py", "app/fulfillment")
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules("app")
        if str(path).startswith(money) and "gateways" not in path.parts  # seconds to wait are no money
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
    ]
    assert found == []


def test_fault_points_are_those_that_are_listed_each_at_one_place() -> None:
    from app.kernel.faults import POINTS

    placed = sorted(
        ast.literal_eval(node.args[0])
        for path, tree in modules("app", "workers")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "fault"
    )
    assert placed == sorted(POINTS)


def test_time_comes_from_one_clock() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules("app")
        if str(path) != "app/kernel/clock.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"now", "utcnow", "today"}
        and ast.unparse(node.value) in {"datetime", "date"}
    ]
    assert found == []


@pytest.mark.parametrize("word", [r"pypi\.org", r"pythonhosted", r"npmjs", r"deb\.debian", r"registry\.npm"])
def test_no_registry_is_named(word: str) -> None:
    found = subprocess.run(
        ["git", "grep", "-lE", word, "--", ":!tests/test_architecture.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout == ""


def test_state_tables_name_every_state() -> None:
    from app.cases.models import CASE_EDGES, CaseState
    from app.fulfillment.models import OVERRIDE_EDGES, OverrideState
    from app.inventory.models import BATCH_EDGES, BatchState
    from app.issuing.models import ISSUE_EDGES, ROW_EDGES, IssueState, RowState
    from app.ordering.models import ORDER_EDGES, UNIT_EDGES, OrderState, UnitState
    from app.payments.models import PAYMENT_EDGES, REFUND_EDGES, PaymentState, RefundState
    from app.replenishment.models import REPLENISHMENT_EDGES, ReplenishmentState
    from app.settlement.models import BILL_EDGES, DIFFERENCE_EDGES, STATEMENT_EDGES, BillState, DifferenceState, StatementState
    from app.suppliers.models import BREAKER_EDGES, TEST_EDGES, BreakerState, TestState

    tables: list[tuple[type[StrEnum], dict[StrEnum, frozenset[StrEnum]]]] = [
        (BatchState, BATCH_EDGES),
        (CaseState, CASE_EDGES),
        (OverrideState, OVERRIDE_EDGES),
        (OrderState, ORDER_EDGES),
        (UnitState, UNIT_EDGES),
        (PaymentState, PAYMENT_EDGES),
        (RefundState, REFUND_EDGES),
        (BreakerState, BREAKER_EDGES),
        (TestState, TEST_EDGES),
        (StatementState, STATEMENT_EDGES),
        (DifferenceState, DIFFERENCE_EDGES),
        (BillState, BILL_EDGES),
        (ReplenishmentState, REPLENISHMENT_EDGES),
        (IssueState, ISSUE_EDGES),
        (RowState, ROW_EDGES),
    ]  # type: ignore[list-item]
    for states, edges in tables:
        assert set(edges) == set(states)
        assert all(state not in following for state, following in edges.items())


def test_the_page_of_faults_and_attacks_is_what_the_tests_say() -> None:
    """Each marker names a case that is listed, and docs/cases.md was made after the last of them."""
    from operations.cases import check

    assert check() == []


@pytest.mark.case("H19")
@pytest.mark.anyio
async def test_every_route_is_guarded_or_says_it_is_public(application: object) -> None:
    inner = application._inner  # type: ignore[attr-defined]
    open_routes = []
    for route in inner.routes:
        for handler in getattr(route, "route_handlers", [getattr(route, "route_handler", None)]):
            if set(handler.http_methods) == {"OPTIONS"}:
                continue  # the framework's own, which name the allowed methods
            guards = [guard for guard in handler.resolve_guards() if getattr(guard, "__name__", "") != "guard"]
            if not guards and not handler.opt.get("public") and not f"{route.path}/".startswith(("/s/", "/static/")):
                open_routes.append(route.path)
    assert open_routes == []


@pytest.mark.anyio
@pytest.mark.database
async def test_migrations_make_exactly_the_models_tables(world: object) -> None:
    """What autogenerate would still change, on a migrated tenant and on the platform: nothing."""
    import os

    for history, schema in (("tenant", world.tenant.schema), ("public", "public")):  # type: ignore[attr-defined]
        answer = await asyncio.to_thread(
            subprocess.run,
            [str(ROOT / ".venv/bin/alembic"), "-c", f"migrations/{history}/alembic.ini", "check"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": os.environ["QUANYI_OWNER_DATABASE_URL"], "QUANYI_MIGRATED_SCHEMA": schema},
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-2000:]
