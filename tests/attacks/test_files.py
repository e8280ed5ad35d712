"""Files that leave us: each is for those who may see it now, holds nothing a spreadsheet would run, and lies under no address of its own."""

from __future__ import annotations

import ast
import csv
import io
from pathlib import Path

import pytest

from app.access import sessions
from app.access.models import MemberRole
from app.kernel import csvfile
from tenants.directory import PLATFORM
from tenants.session import tenant_tx
from tests.attacks.merchant import merchant
from tests.attacks.routes import Route, routes
from tests.attacks.visitors import Caller, caller, member
from tests.attacks.whom import Visitor
from tests.world import World

pytestmark = [pytest.mark.anyio]
ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "GET /m/{tenant_slug}/imports/{batch_no}/bad-lines",
    "POST /m/{tenant_slug}/audit/exports",
    "GET /m/{tenant_slug}/suppliers/bills/{bill_id}/lines.csv",
    "GET /m/{tenant_slug}/issues/{issue_no}/bad-lines",
    "GET /m/{tenant_slug}/issues/{issue_no}/account/statement.csv",
    "GET /m/{tenant_slug}/pictures/{picture_id}",
)
FORMULAS = (
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", "＝1+1", "＠x", "|calc", "%0A=1", " =1+1", "\u00a0=1", "=cmd|' /C calc'!A0", '"=1"',
    "=HYPERLINK(\"https://evil.example\")",
)  # fmt: skip


@pytest.mark.case("G09")
@pytest.mark.parametrize("name", FILES)
async def test_a_file_is_gone_with_the_right_to_see_it(world: World, name: str) -> None:
    """The same address, asked again after the role was lost, after the membership ended, by another tenant and by nobody: no copy lies about."""
    shop = await merchant(world, world.tenant)
    method, _, path = name.partition(" ")
    route, who = Route(method, path), await member(world, world.tenant, MemberRole.OWNER)
    assert (await who.ask(route, shop.ids)).status_code == 200
    for visitor in (Visitor.STRANGER, Visitor.MEMBER_ELSEWHERE, Visitor.BUYER_ELSEWHERE, Visitor.OPERATOR):
        answer = await (await caller(world, world.tenant, visitor)).ask(route, shop.ids)
        assert answer.status_code in (303, 401, 404), visitor
        assert "attachment" not in answer.headers.get("content-disposition", "")
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("update membership set ended_at = now() where user_id = $1", who.user_id)
        await sessions.end_all(tx, who.user_id)  # type: ignore[arg-type]
    assert (await who.ask(route, shop.ids)).status_code == 404


@pytest.mark.case("G09")
async def test_an_audit_file_needs_the_role_at_the_time_it_is_asked_for(world: World) -> None:
    shop, route = await merchant(world, world.tenant), Route("POST", "/m/{tenant_slug}/audit/exports")
    who = await member(world, world.tenant, MemberRole.FINANCE_CHECKER)
    assert (await who.ask(route, shop.ids)).status_code == 200
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("update membership set role = 'support' where user_id = $1", who.user_id)
    assert (await who.ask(route, shop.ids)).status_code == 403


@pytest.mark.case("G09")
async def test_an_upload_is_under_no_address_at_all(world: World) -> None:
    """Uploaded keys are sealed in rows and leave with their import; pictures alone are served, as we encoded them anew."""
    shop = await merchant(world, world.tenant)
    owner = await member(world, world.tenant, MemberRole.OWNER)
    for path in (
        "uploads",
        "files",
        "media",
        "imports/{batch_no}/file",
        "imports/{batch_no}/keys.txt",
        "imports/{batch_no}/upload",
    ):
        assert (await owner.ask(Route("GET", "/m/{tenant_slug}/" + path), shop.ids)).status_code == 404
    served = await owner.ask(Route("GET", "/m/{tenant_slug}/pictures/{picture_id}"), shop.ids)
    assert served.headers["content-type"] == "image/webp"


@pytest.mark.case("G09", "H16")
async def test_these_are_all_the_files_there_are(world: World) -> None:
    shop = await merchant(world, world.tenant)
    owner, buyer = await member(world, world.tenant, MemberRole.OWNER), Caller(world, world.tenant)
    found = set()
    for route in routes(world.app):
        if route.is_safe or route.path.endswith("/exports"):
            answer = await (buyer if route.is_shops else owner).ask(
                route, {**shop.ids, "file": "css/app.css", "tenant_id": shop.tenant.id}
            )
            is_file = "attachment" in answer.headers.get("content-disposition", "") or "csv" in answer.headers.get(
                "content-type", ""
            )
            found |= {str(route)} if is_file and answer.status_code == 200 else set()
    assert found == set(FILES[:5])


@pytest.mark.case("H16")
def test_one_writer_makes_every_file_for_spreadsheets() -> None:
    """Nobody else uses the library's writer, so a new export cannot forget the rule."""
    writers = [
        str(path.relative_to(ROOT))
        for package in ("app", "workers", "operations")
        for path in sorted((ROOT / package).rglob("*.py"))
        if any(
            isinstance(node, ast.Attribute) and node.attr in ("writer", "DictWriter") and ast.unparse(node.value) == "csv"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    ]
    assert writers == ["app/kernel/csvfile.py"]


@pytest.mark.case("H16")
async def test_no_cell_of_any_file_is_a_formula(world: World) -> None:
    """Typed wherever staff and strangers can type: reasons, names, lines of keys."""
    await merchant(world, world.tenant)
    for formula in FORMULAS:
        await _type_everywhere(world, formula)


async def _type_everywhere(world: World, formula: str) -> None:
    product = await world.product(name="Marlin Music")
    typed = formula.replace("\r", " ").replace("\t", " ")
    await world.stock(product.skus[0].id, ["GOOD-KEY-0001", "x", formula, f"{formula}{'9' * 600}"])
    owner = await member(world, world.tenant, MemberRole.OWNER)
    batch_no = await world.value("select batch_no from import_batch order by created_at desc limit 1")
    ids = {"tenant_slug": world.tenant.slug, "batch_no": batch_no}
    await owner.ask(Route("POST", "/m/{tenant_slug}/imports/{batch_no}/quarantine"), ids, {"reason": f"{typed} broken"})
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("update app_user set name = $2 where id = $1", owner.user_id, typed)
    await owner.ask(Route("POST", "/m/{tenant_slug}/imports/{batch_no}/release"), ids, {"reason": f"{typed} mended"})
    for name in FILES[:2]:
        method, _, path = name.partition(" ")
        answer = await owner.ask(Route(method, path), ids)
        assert answer.status_code == 200
        for row in csv.reader(io.StringIO(answer.text.removeprefix(csvfile.BOM))):
            for cell in row:
                starts = cell.lstrip(" \u00a0\u3000\ufeff")[:1]
                assert starts not in "=+@\t\r＝＋＠|%" or not starts, cell
                assert starts != "-" or csvfile._NUMBER.match(cell), cell
