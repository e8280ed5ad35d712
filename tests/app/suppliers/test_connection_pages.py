"""The pages of suppliers and connections: what they show, what they keep to themselves, what they refuse."""

from __future__ import annotations

import html
import re
from uuid import uuid4

import pytest

from app.suppliers.connectors import CONNECTORS
from tests.app.staff import staff
from tests.app.suppliers.linked import form, linked, on, reader, stranger, supplier
from tests.simulators import SupplierSimulator
from tests.world import World

pytestmark = [pytest.mark.anyio]


async def test_empty_list_leads_on(world: World) -> None:
    page = await (await staff(world)).get("/suppliers")
    assert page.status_code == 200
    assert "No suppliers yet" in page.text
    assert "/suppliers/new" in page.text


async def test_list_shows_connections_and_how_they_stand(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    page = await link.owner.get("/suppliers")
    for words in ("Northbank Vouchers", "Not tested yet", "Settled every 7 days", "Test mode", "卡速售"):
        assert words in page.text, words
    await on(world, link.id)
    assert "Healthy" in (await link.owner.get("/suppliers")).text


async def test_list_is_a_fragment_for_htmx(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    for path in ("/suppliers", link.path, f"{link.path}/offers", "/suppliers/board/events"):
        answer = await link.owner.get(path, part=True)
        assert answer.status_code == 200
        assert "<html" not in answer.text, path


async def test_supplier_is_kept_with_its_terms_and_changed(world: World) -> None:
    owner = await staff(world)
    supplier_id = await supplier(owner)
    sent = {"name": "Northbank", "contact": "Duty desk", "settlement_days": "0", "claim_days": "5", "terms": "Prepaid"}
    assert (await owner.post(f"/suppliers/{supplier_id}", sent)).status_code == 303
    assert (await owner.post(f"/suppliers/{supplier_id}", sent)).status_code == 303
    row = (await world.rows("select name, contact, settlement_days, claim_days, terms from supplier"))[0]
    assert row == {"name": "Northbank", "contact": "Duty desk", "settlement_days": 0, "claim_days": 5, "terms": "Prepaid"}


async def test_supplier_named_twice_is_refused_and_every_fault_is_named(world: World) -> None:
    owner = await staff(world)
    await supplier(owner, "Northbank")
    again = await owner.post("/suppliers", {"name": "Northbank", "contact": "Kept words"})
    assert again.status_code == 422
    assert "exists already" in again.text
    assert "Kept words" in again.text
    wrong = await owner.post("/suppliers", {"name": "", "settlement_days": "-1", "claim_days": "999", "contact": "x" * 201})
    assert wrong.status_code == 422
    assert set(re.findall(r'name="([^"]+)"[^>]*aria-invalid="true"', wrong.text)) == {
        "name", "settlement_days", "claim_days", "contact",
    }  # fmt: skip
    assert await world.value("select count(*) from supplier") == 1


async def test_every_protocol_has_a_form_with_its_own_fields(world: World) -> None:
    owner = await staff(world)
    supplier_id = await supplier(owner)
    chooser = html.unescape((await owner.get(f"/suppliers/{supplier_id}/connections/new")).text)
    for name, connector in CONNECTORS.items():
        assert connector.traits.title in chooser
        page = await owner.get(f"/suppliers/{supplier_id}/connections/new?protocol={name}")
        assert page.status_code == 200
        for setting in connector.traits.settings:
            assert f'name="set-{setting.name}"' in page.text, (name, setting.name)
    odd = await owner.get(f"/suppliers/{supplier_id}/connections/new?protocol=nonsense")
    assert 'name="set-' not in odd.text
    assert (await owner.post(f"/suppliers/{supplier_id}/connections", {"protocol": "nonsense"})).status_code == 404


async def test_every_fault_of_a_connection_is_named_at_once_and_no_secret_comes_back(
    world: World, company: SupplierSimulator
) -> None:
    owner = await staff(world)
    supplier_id = await supplier(owner)
    wrong = {
        "protocol": "kasushou", "name": "", "mode": "loud", "calls_per_second": "0", "calls_at_once": "500", "warn_below": "-1",
        "set-base_url": "ftp://x", "set-user_id": "", "set-api_key": "TOP-SECRET-1", "set-states": "2=perhaps",
    }  # fmt: skip
    answer = await owner.post(f"/suppliers/{supplier_id}/connections", wrong)
    assert answer.status_code == 422
    invalid = set(re.findall(r'name="([^"]+)"[^>]*aria-invalid="true"', answer.text))
    assert invalid == {"name", "calls_per_second", "calls_at_once", "warn_below", "set-base_url", "set-user_id", "set-states"}
    assert 'id="f-mode-error"' in answer.text
    assert "TOP-SECRET-1" not in answer.text
    assert "ftp://x" in answer.text
    assert await world.value("select count(*) from supplier_connection") == 0


async def test_what_only_the_protocol_can_refuse_stands_beside_its_field(world: World, company: SupplierSimulator) -> None:
    owner = await staff(world)
    supplier_id = await supplier(owner)
    sent = form(company, company.client(), **{"set-refusals": "1001=perhaps"})
    answer = await owner.post(f"/suppliers/{supplier_id}/connections", sent)
    assert answer.status_code == 422
    assert 'id="f-set-refusals-error"' in answer.text


async def test_credentials_are_sealed_and_never_shown_again(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    secret = link.credentials["api_key"]
    for path in (link.path, f"{link.path}/settings", "/suppliers", "/audit"):
        assert secret not in (await link.owner.get(path)).text, path
    stored = await world.value("select config from supplier_connection")
    assert secret.encode() not in bytes(stored)
    assert link.credentials["user_id"] in (await link.owner.get(f"{link.path}/settings")).text


async def test_empty_secret_stays_and_other_credentials_need_another_test(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    await on(world, link.id)
    kept = form(company, link.credentials, **{"set-api_key": "", "calls_at_once": "7", "ip_note": "10.1.1.1"})
    assert (await link.owner.post(f"{link.path}/settings", kept)).status_code == 303
    row = (await world.rows("select is_on, calls_at_once, ip_note from supplier_connection"))[0]
    assert row == {"is_on": True, "calls_at_once": 7, "ip_note": "10.1.1.1"}
    emptied = form(company, link.credentials, **{"set-refusals": "", "set-api_key": ""})
    assert (await link.owner.post(f"{link.path}/settings", emptied)).status_code == 303
    assert "1001=not_for_sale" not in (await link.owner.get(f"{link.path}/settings")).text
    other = form(company, link.credentials, **{"set-api_key": "another-key"})
    assert (await link.owner.post(f"{link.path}/settings", other)).status_code == 303
    row = (await world.rows("select is_on, tested_at from supplier_connection"))[0]
    assert row == {"is_on": False, "tested_at": None}


async def test_connection_is_switched_on_only_after_a_test(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    refused = await link.owner.post(f"{link.path}/switch", {"on": "yes"})
    assert refused.status_code == 409
    assert "Place a test order first" in refused.text
    await on(world, link.id)
    for _ in range(2):
        assert (await link.owner.post(f"{link.path}/switch", {"on": "no"})).status_code == 303
    assert await world.value("select is_on from supplier_connection") is False
    assert (await link.owner.post(f"{link.path}/switch", {"on": "yes"})).status_code == 303
    assert await world.value("select count(*) from audit_entry where action like 'supplier.switched%'") == 2


async def test_breaker_is_tripped_and_restored_by_hand(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    await on(world, link.id)
    for _ in range(2):
        assert (await link.owner.post(f"{link.path}/breaker", {"do": "trip"})).status_code == 303
    assert "Stopped by hand" in (await link.owner.get(link.path)).text
    assert "Nothing is bought from Northbank" in (await link.owner.get("/suppliers/board")).text
    for _ in range(2):
        back = await link.owner.post(f"{link.path}/breaker", {"do": "restore", "from": "board"})
        assert back.headers["location"].endswith("/suppliers/board")
    assert await world.value("select breaker from supplier_connection") == "closed"
    assert await world.value("select count(*) from history where event like 'breaker.%'") == 2


async def test_question_shows_the_balance_or_what_is_wrong(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    assert (await link.owner.post(f"{link.path}/check")).status_code == 303
    assert "¥1,000.00" in (await link.owner.get(link.path)).text
    assert await world.value("select balance from supplier_connection") == 1000


@pytest.mark.parametrize("body", ["html", "huge", "empty", "truncated"])
async def test_question_that_is_answered_with_nonsense_says_so(world: World, company: SupplierSimulator, body: str) -> None:
    link = await linked(world, company)
    company.script({"body": body}, on="balance")
    assert (await link.owner.post(f"{link.path}/check")).status_code == 303
    assert "It did not answer as it should" in (await link.owner.get(link.path)).text
    assert await world.value("select balance from supplier_connection") is None


async def test_wrong_credentials_are_told_as_such(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, **{"set-api_key": "not-the-key"})
    await link.owner.post(f"{link.path}/check")
    assert "Compare the credentials" in (await link.owner.get(link.path)).text


async def test_readers_look_and_strangers_find_nothing(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    looker, other = await reader(world), await stranger(world)
    for path in ("/suppliers", link.path, f"{link.path}/offers", "/suppliers/board", f"/suppliers/{link.supplier_id}"):
        assert (await looker.get(path)).status_code == 200, path
    posts = [
        "/suppliers", f"/suppliers/{link.supplier_id}", f"/suppliers/{link.supplier_id}/connections", f"{link.path}/settings",
        f"{link.path}/switch", f"{link.path}/breaker", f"{link.path}/check", f"{link.path}/reading", f"{link.path}/tests",
        f"{link.path}/offers", f"{link.path}/offers/exclusions", f"{link.path}/imports",
    ]  # fmt: skip
    sent = form(company, link.credentials)
    for path in posts:
        assert (await looker.post(path, sent)).status_code == 403, path
    for path in posts[1:]:
        assert (await other.post(path, sent)).status_code == 404, path
    for path in (link.path, f"{link.path}/settings", f"{link.path}/offers", f"{link.path}/tests/new"):
        assert (await other.get(path)).status_code == 404, path
    assert (await link.owner.get(f"/suppliers/connections/{uuid4()}")).status_code == 404
    assert await world.value("select count(*) from supplier_connection") == 1


async def test_form_of_ten_megabytes_is_refused_before_it_is_read(world: World, company: SupplierSimulator) -> None:
    owner = await staff(world)
    supplier_id = await supplier(owner)
    sent = form(company, company.client(), **{"set-refusals": "x" * 10_000_000})
    assert (await owner.post(f"/suppliers/{supplier_id}/connections", sent)).status_code in (400, 413)
    assert await world.value("select count(*) from supplier_connection") == 0
