"""The pages of card pools, imports and keys."""

import csv
import io
import re
from datetime import timedelta
from uuid import uuid4

import pytest

from app.access.models import MemberRole
from app.catalog.models import DeliveryKind
from app.catalog.service import SkuTerms
from app.inventory import importing
from app.kernel import audit, clock
from app.kernel.tasks import Lane
from tenants.session import tenant_tx
from tests.app.inventory.test_files import bomb, sheet
from tests.app.staff import Staff, staff
from tests.world import World

pytestmark = [pytest.mark.anyio]
TERMS = {"unit_cost": "14.70"}
REASON = {"reason": "The buyer asked"}


async def pool(world: World, **terms: int) -> str:
    """The path of a new pool."""
    return f"/card-pools/{(await world.product(SkuTerms('Month', 1990, **terms))).skus[0].id}"


async def uploaded(owner: Staff, path: str, body: bytes | str, name: str = "keys.txt", **terms: str) -> str:
    """The path of the batch that an upload made."""
    answer = await owner.post(f"{path}/imports", TERMS | terms, files={"file": (name, body)})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix(owner.base)


async def key_paths(world: World) -> list[str]:
    return [f"/card-keys/{row['id']}" for row in await world.rows("select id from card_key order by id")]


async def test_pools_are_listed_the_emptiest_first(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990, warn_below=5), SkuTerms("Year", 19800))
    await world.product(SkuTerms("Ticket", 100), name="Not a pool", delivery_kind=DeliveryKind.VOUCHER, on_sale=False)
    await world.stock(product.skus[0].id, 3)
    await world.stock(product.skus[1].id, 30)
    shown = (await (await staff(world)).get("/card-pools")).text
    assert shown.index("Month") < shown.index("Year")
    assert "Low" in shown
    assert "Not a pool" not in shown
    low = (await (await staff(world)).get("/card-pools?low=1")).text
    assert "Year" not in low


async def test_no_pools_and_none_low_say_different_things(world: World) -> None:
    owner = await staff(world)
    assert "No card pools yet" in (await owner.get("/card-pools")).text
    await world.stock((await world.product()).skus[0].id, 3)
    assert "No pool runs low. There is 1 in all." in (await owner.get("/card-pools?low=1")).text


async def test_pool_shows_its_counters_and_batches(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    batch_no = await world.stock(sku.id, 3, expires_on=clock.business_day() + timedelta(days=5))
    await world.order(sku.listing.id, 1)
    shown = (await (await staff(world)).get(f"/card-pools/{sku.id}")).text
    figures = re.findall(r'<span class="v">([\d,]+)', shown)
    assert figures == ["2", "1", "0", "0"]
    assert batch_no in shown
    assert "3 keys expire soon" in shown


@pytest.mark.parametrize("path", ["/card-pools", "{pool}", "{batch}", "{batch}/progress", "{key}/reveal", "{batch}/quarantine"])
async def test_each_page_is_a_fragment_for_htmx(world: World, path: str) -> None:
    sku = (await world.product()).skus[0]
    batch_no = await world.stock(sku.id, 1)
    named = path.format(pool=f"/card-pools/{sku.id}", batch=f"/imports/{batch_no}", key=(await key_paths(world))[0])
    owner = await staff(world)
    whole, part = await owner.get(named), await owner.get(named, part=True)
    assert (whole.status_code, part.status_code) == (200, 200)
    assert "<html" in whole.text
    assert "<html" not in part.text
    assert len(re.findall(r"<(?:div|form)", part.text)) == len(re.findall(r"</(?:div|form)>", part.text))


async def test_upload_is_checked_shown_confirmed_and_sold(world: World) -> None:
    product = await world.product()
    owner = await staff(world)
    await world.stock(product.skus[0].id, ["POOL-0001-AAAA"])
    body = "卡号,密码\nKEY-0001-AAAA,1\nKEY-0001-AAAA,1\nPOOL-0001-AAAA\nKEY-0002-AAAA,2\nabc\n"
    batch = await uploaded(owner, f"/card-pools/{product.skus[0].id}", body, "云雀.csv", expires_on="2099-05-31")
    assert "Reading and comparing" in (await owner.get(batch)).text
    await world.work(Lane.BULK)
    shown = (await owner.get(batch)).text
    assert re.findall(r'<span class="v">([\d,]+)', shown) == ["2", "2", "2"]
    assert "1 already in the pool, 1 twice in the file" in shown
    assert "1 → <b>3</b>" in shown
    assert "¥29.40" in shown
    assert "2099-05-31" in shown
    assert "This is a heading, not a key." in shown
    assert "KEY-" not in shown
    assert "****AAAA" in (await owner.get(f"{batch}?lines=new")).text
    assert (await owner.post(f"{batch}/confirmation")).status_code == 303
    assert "Putting the keys into the pool" in (await owner.get(batch)).text
    await world.work(Lane.BULK)
    assert "Keys by state" in (await owner.get(batch)).text
    assert await world.value("select available from stock") == 3
    assert (await owner.post(f"{batch}/confirmation")).status_code == 303
    await world.work(Lane.BULK)
    assert await world.value("select available from stock") == 3


async def test_progress_moves_and_ends_with_a_fresh_page(world: World) -> None:
    owner = await staff(world)
    batch = await uploaded(owner, await pool(world), "KEY-0001-AAAA")
    await world.rows("update import_batch set lines_read = 1000, lines_done = 250 returning 1")
    part = await owner.get(f"{batch}/progress", part=True)
    assert "250 / 1,000" in part.text
    assert 'hx-trigger="every 1s"' in part.text
    assert "hx-refresh" not in part.headers
    assert 'http-equiv="refresh"' in (await owner.get(batch)).text
    await world.work(Lane.BULK)
    assert (await owner.get(f"{batch}/progress", part=True)).headers["hx-refresh"] == "true"
    assert 'http-equiv="refresh"' not in (await owner.get(batch)).text


async def test_pasted_keys_are_imported_too(world: World) -> None:
    owner = await staff(world)
    path = await pool(world)
    answer = await owner.post(f"{path}/imports", TERMS | {"keys": "KEY-0001-AAAA\r\nKEY-0002-AAAA pw"})
    assert answer.status_code == 303
    await world.work(Lane.BULK)
    assert await world.value("select new_count from import_batch") == 2


async def test_abandoned_import_leaves_nothing(world: World) -> None:
    owner = await staff(world)
    batch = await uploaded(owner, await pool(world), "KEY-0001-AAAA")
    await world.work(Lane.BULK)
    for _ in range(2):
        assert (await owner.post(f"{batch}/abandonment")).status_code == 303
    assert "what was uploaded is deleted" in (await owner.get(batch)).text
    assert (await owner.post(f"{batch}/confirmation")).status_code == 409
    assert await world.value("select count(*) from import_line") + await world.value("select count(*) from import_chunk") == 0


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"%PDF-1.7", "neither text, CSV nor xlsx"),
        (b"PK\x03\x04broken", "cannot be opened"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1locked", "without a password"),
        (bomb(claimed=1024), "unpacks to far more"),
        (b"A\n" * 1_000_001, "More than 1,000,000 lines"),
    ],
)
async def test_file_that_cannot_be_read_says_why_and_what_to_do(world: World, body: bytes, sentence: str) -> None:
    owner = await staff(world)
    batch = await uploaded(owner, await pool(world), body, "keys.xlsx")
    await world.work(Lane.BULK)
    shown = (await owner.get(batch)).text
    assert sentence in shown
    assert "Nothing was imported" in shown
    assert await world.value("select count(*) from card_key") == 0


async def test_sheet_is_imported(world: World) -> None:
    owner = await staff(world)
    await uploaded(owner, await pool(world), sheet([["KEY-0001-AAAA", "pw"], [6222021234567890123]]), "keys.xlsx")
    await world.work(Lane.BULK)
    assert (await world.rows("select new_count, bad_count, encoding from import_batch"))[0] == {
        "new_count": 1,
        "bad_count": 1,
        "encoding": "xlsx",
    }


@pytest.mark.parametrize(
    ("fields", "faulty"),
    [
        ({"unit_cost": ""}, {"unit_cost"}),
        ({"unit_cost": "-1"}, {"unit_cost"}),
        ({"unit_cost": "1e3"}, {"unit_cost"}),
        ({"unit_cost": "0.1234567"}, {"unit_cost"}),
        ({"unit_cost": "99999999999"}, {"unit_cost"}),
        ({"expires_on": "2020-01-01"}, {"expires_on"}),
        ({"expires_on": "31.5.2027"}, {"expires_on"}),
        ({"expires_on": "9999-12-31"}, {"expires_on"}),
        ({"expires_on": "２０２７-05-31"}, {"expires_on"}),
        ({"keys": ""}, {"file"}),
        ({"keys": " \n "}, {"file"}),
        ({"keys": "", "unit_cost": "x", "expires_on": "y"}, {"file", "unit_cost", "expires_on"}),
    ],
)
async def test_faults_of_an_import_are_named_all_at_once(world: World, fields: dict[str, str], faulty: set[str]) -> None:
    owner = await staff(world)
    path = await pool(world)
    answer = await owner.post(f"{path}/imports", {"keys": "KEY-0001-AAAA", **TERMS, **fields})
    assert answer.status_code == 422
    assert set(re.findall(r'id="f-(\w+)-error"', answer.text)) == faulty
    if fields.get("keys", "x").strip():
        assert "KEY-0001-AAAA" in answer.text
    assert await world.value("select count(*) from import_batch") == 0


async def test_too_much_is_refused_with_a_sentence(world: World) -> None:
    owner = await staff(world)
    path = await pool(world)
    big = await owner.post(f"{path}/imports", TERMS, files={"file": ("a.txt", b"A" * (64 * 1024 * 1024 + 1))})
    assert big.status_code == 422
    assert "larger than 64 MB" in big.text
    huge = await owner.post(f"{path}/imports", TERMS, files={"file": ("a.txt", b"A" * (65 * 1024 * 1024))})
    assert huge.status_code == 413
    assert (await owner.post(f"{path}/imports", TERMS | {"keys": "x" * 100_001})).status_code == 400
    both = await owner.post(f"{path}/imports", TERMS | {"keys": "KEY-0001-AAAA"}, files={"file": ("a.txt", b"KEY-0002")})
    assert "not both" in both.text
    assert await world.value("select count(*) from import_batch") == 0


@pytest.mark.case("H14")
async def test_file_name_cannot_lead_anywhere_or_run(world: World) -> None:
    owner = await staff(world)
    batch = await uploaded(owner, await pool(world), "KEY-0001-AAAA", "../../etc/<script>alert(1)</script>.txt")
    assert await world.value("select file_name from import_batch") == "script>.txt"
    assert "<script>alert" not in (await owner.get(batch)).text


async def test_bad_lines_are_downloaded_without_what_stood_there(world: World) -> None:
    owner = await staff(world)
    lines = ["=cmd|' /C calc'!A0,b,c", "@SUM(1+1)*cmd", "-1+1,x,y", "abc", "SECRET-NUMBER-0001,SECRETPW,more"]
    batch = await uploaded(owner, await pool(world), "\n".join(lines))
    await world.work(Lane.BULK)
    answer = await owner.get(f"{batch}/bad-lines")
    assert answer.headers["content-disposition"].startswith("attachment")
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [row[0] for row in rows] == ["Line", "1", "3", "4", "5"]
    assert all(cell[:1] not in "=+-@\t" for row in rows for cell in row)
    assert "SECRET" not in answer.text


@pytest.mark.parametrize(
    ("role", "may_see", "may_import", "may_void", "may_reveal"),
    [
        (MemberRole.OWNER, True, True, True, True),
        (MemberRole.OPERATOR, True, True, True, True),
        (MemberRole.SUPPORT, True, False, False, True),
        (MemberRole.FINANCE_MAKER, True, False, False, False),
        (MemberRole.READ_ONLY, True, False, False, False),
    ],
)
async def test_each_role_may_what_it_is_for(
    world: World, role: MemberRole, may_see: bool, may_import: bool, may_void: bool, may_reveal: bool
) -> None:
    sku = (await world.product()).skus[0]
    batch_no = await world.stock(sku.id, 1)
    someone, key = await staff(world, role), (await key_paths(world))[0]
    shown = await someone.get(f"/imports/{batch_no}")
    assert shown.status_code == (200 if may_see else 403)
    assert ("/reveal" in shown.text) == may_reveal
    assert (f"/imports/{batch_no}/quarantine" in shown.text) == may_void
    assert (await someone.get(f"/card-pools/{sku.id}/imports")).status_code == (200 if may_import else 403)
    assert ((await someone.post(f"/imports/{batch_no}/confirmation")).status_code == 403) == (not may_import)
    assert ((await someone.post(f"{key}/reveal", REASON)).status_code == 403) == (not may_reveal)
    assert ((await someone.post(f"{key}/void", REASON)).status_code == 403) == (not may_void)
    assert ((await someone.post(f"/imports/{batch_no}/quarantine", REASON)).status_code == 403) == (not may_void)


async def test_strangers_and_unknown_ids_find_nothing(world: World) -> None:
    sku = (await world.product()).skus[0]
    batch_no = await world.stock(sku.id, 1)
    key = (await key_paths(world))[0]
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    for path in (
        f"/card-pools/{sku.id}",
        f"/card-pools/{sku.id}/imports",
        f"/imports/{batch_no}",
        f"{key}/reveal",
        f"/imports/{batch_no}/bad-lines",
    ):
        assert (await stranger.get(path)).status_code == 404, path
    for path in (f"{key}/reveal", f"{key}/void", f"/imports/{batch_no}/quarantine", f"/imports/{batch_no}/abandonment"):
        assert (await stranger.post(path, REASON)).status_code == 404, path
    assert (await stranger.post(f"/card-pools/{sku.id}/imports", TERMS | {"keys": "KEY-0001"})).status_code == 404
    owner = await staff(world)
    for path in (
        f"/card-pools/{uuid4()}",
        "/card-pools/1",
        "/imports/B000000-0000000",
        "/imports/%00",
        f"/card-keys/{uuid4()}/reveal",
    ):
        assert (await owner.get(path)).status_code in (400, 404), path
    assert await world.value("select state from card_key") == "free"


async def test_staff_sees_a_key_with_a_reason_and_is_written_down(world: World) -> None:
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, ["SECRET-NUMBER-0001,SECRETPW"])
    owner, key = await staff(world), (await key_paths(world))[0]
    assert "SECRET" not in (await owner.get(f"{key}/reveal")).text
    for missing in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "abc"}):
        assert (await owner.post(f"{key}/reveal", missing)).status_code == 422
    assert await world.value("select count(*) from audit_entry where action = 'card_key.revealed'") == 0
    shown = await owner.post(f"{key}/reveal", REASON)
    assert shown.status_code == 200
    assert "SECRET-NUMBER-0001" in shown.text
    assert "SECRETPW" in shown.text
    assert 'data-secret="30"' in shown.text
    assert "no-store" in shown.headers["cache-control"]
    entries = await world.rows("select actor_name, reason from audit_entry where action = 'card_key.revealed'")
    assert entries == [{"actor_name": "Lin", "reason": "The buyer asked"}]
    part = await owner.post(f"{key}/reveal", REASON, part=True)
    assert "<html" not in part.text
    assert "SECRET-NUMBER-0001" in part.text


async def test_voided_key_is_never_sold(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 2)
    owner, keys = await staff(world), await key_paths(world)
    assert (await owner.post(f"{keys[0]}/void", {"reason": ""})).status_code == 422
    assert (await owner.post(f"{keys[0]}/void", REASON)).status_code == 303
    assert (await owner.post(f"{keys[0]}/void", REASON)).status_code == 409
    stock = (await world.rows("select available, voided from stock"))[0]
    assert stock == {"available": 1, "voided": 1}
    await world.bought(product.skus[0].listing.id)
    sold = await world.value("select card_key_id from delivery_unit where state = 'delivered'")
    assert f"/card-keys/{sold}" == keys[1]


async def test_quarantine_stops_sales_and_lists_the_buyers(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    batch_no = await world.stock(sku.id, 3)
    placed = await world.bought(sku.listing.id)
    waiting = await world.order(sku.listing.id, 1)
    owner = await staff(world)
    assert "2 unsold keys leave the shelf at once." in (await owner.get(f"/imports/{batch_no}/quarantine")).text
    assert (await owner.post(f"/imports/{batch_no}/quarantine", {"reason": "bad"})).status_code == 422
    for _ in range(2):
        assert (await owner.post(f"/imports/{batch_no}/quarantine", REASON)).status_code == 303
    shown = (await owner.get(f"/imports/{batch_no}")).text
    assert placed.order_no in shown
    assert "138****2046" in shown
    assert "13800132046" not in shown
    stock = (await world.rows("select available, reserved, quarantined, short from stock"))[0]
    assert stock == {"available": 0, "reserved": 1, "quarantined": 2, "short": 1}
    await world.pay(waiting)
    await world.ask_gateway(waiting)
    await world.work()
    assert await world.value("select state from shop_order where id = $1", waiting.id) == "refunded"
    assert (await owner.post(f"/imports/{batch_no}/release", REASON)).status_code == 303
    stock = (await world.rows("select available, reserved, quarantined, short from stock"))[0]
    assert stock == {"available": 2, "reserved": 0, "quarantined": 0, "short": 0}
    assert (await owner.post(f"/imports/{batch_no}/confirmation")).status_code == 303
    async with tenant_tx(world.tenant) as tx:
        assert await audit.first_broken(tx) is None


async def test_soonest_expiry_is_sold_first_and_expired_never(world: World) -> None:
    product = await world.product()
    sku, today = product.skus[0], clock.business_day()
    late = await world.stock(sku.id, 1)
    soon = await world.stock(sku.id, 1, expires_on=today + timedelta(days=1))
    over = await world.stock(sku.id, 1, expires_on=today)
    await world.rows(
        "update card_key k set expires_on = $1 from import_batch b where b.id = k.batch_id and b.batch_no = $2 returning 1",
        today - timedelta(days=1),
        over,
    )
    sold = []
    for _ in range(3):
        placed = await world.bought(sku.listing.id)
        sold += await world.rows(
            "select b.batch_no, o.state from shop_order o join delivery_unit u on u.order_id = o.id "
            "left join card_key k on k.id = u.card_key_id left join import_batch b on b.id = k.batch_id where o.id = $1",
            placed.id,
        )
    assert [row["batch_no"] for row in sold] == [soon, late, None]
    assert sold[2]["state"] == "refunded"


async def test_upload_without_a_session_or_token_changes_nothing(world: World) -> None:
    path = await pool(world)
    owner = await staff(world)
    await owner.get("/products")
    owner._token = "forged"
    assert (await owner.post(f"{path}/imports", TERMS | {"keys": "KEY-0001-AAAA"})).status_code == 403
    anyone = world.client("app")
    assert (await anyone.post(f"{owner.base}{path}/imports", data=TERMS)).status_code == 403
    sent_to = (await anyone.get(f"{owner.base}{path}")).headers["location"]
    assert sent_to.startswith("/log-in")
    assert await world.value("select count(*) from import_batch") == 0


async def test_many_unreadable_forms_leave_no_connection_behind(world: World) -> None:
    owner = await staff(world)
    path = await pool(world)
    for _ in range(20):
        assert (await owner.post(f"{path}/imports", TERMS | {"keys": "a\x00b"})).status_code == 400
    assert (await owner.get(path)).status_code == 200


@pytest.mark.parametrize("charset", ["ascii", "no-such-encoding"])
@pytest.mark.parametrize("token", [True, False])
async def test_form_in_an_encoding_it_does_not_keep_to_is_refused(world: World, charset: str, token: bool) -> None:
    owner = await staff(world)
    path = await pool(world)
    await owner.get("/products")
    part = f'--x\r\nContent-Disposition: form-data; name="keys"\r\nContent-Type: text/plain; charset={charset}\r\n\r\n'
    headers = {"content-type": "multipart/form-data; boundary=x", **({"x-csrf-token": owner._token} if token else {})}
    sent = part.encode() + b"\xff\xfe\r\n--x--\r\n"
    assert (await owner.browser.post(f"{owner.base}{path}/imports", content=sent, headers=headers)).status_code == 400


async def test_check_of_a_batch_that_is_gone_is_no_work(world: World) -> None:
    await importing.check(world.tenant, uuid4())
    await importing.import_keys(world.tenant, uuid4())
