"""Orders found again by a one-time code; and nobody learns who bought here."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.customers import service as customers
from app.kernel.csrf import BUYER_COOKIE
from app.settings import settings
from tenants.session import tenant_tx
from tests.app.storefront.buyer import Buyer, fields, words
from tests.world import World

pytestmark = [pytest.mark.anyio]
MINE = "13800132046"


async def _bought(world: World, contact: str = MINE, *, keys: int = 5) -> Any:
    product = await world.product(usage_html="<p>Redeem it.</p>")
    await world.stock(product.skus[0].id, keys)
    return await world.bought(product.skus[0].listing.id, contact=contact)


async def _ask(buyer: Buyer, contact: str = MINE, place: str = "orders") -> Any:
    return await buyer.send(f"/{place}", "/orders/codes", contact=contact)


async def _rows_of_asking(world: World) -> list[int]:
    """Codes asked for and tasks waiting."""
    return [await world.value(f"select count(*) from {table}") for table in ("contact_code", "task")]


async def _code(world: World, to: str = "+8613800132046") -> str:
    """The newest code a phone or mailbox got from this shop, after the worker did its work."""
    await world.work()
    sent = world.outbox.messages(to)
    found = next(
        m for text in [str(message) for message in sent] if (m := re.search(r"\b(\d{6})\b (?:is your code|是你在)", text))
    )
    return found[1] if found else ""


async def _prove(buyer: Buyer, asked: Any, code: str, **more: str) -> Any:
    return await buyer.client.post("/orders/proofs", data={**fields(asked.text, "/orders/proofs"), "code": code, **more})


async def _log_in(world: World, buyer: Buyer, **more: str) -> Any:
    return await _prove(buyer, await _ask(buyer), await _code(world), **more)


@pytest.mark.case("H08")
async def test_a_code_leads_to_the_orders_of_that_contact_and_no_other(world: World) -> None:
    mine, theirs = await _bought(world), await _bought(world, "other@example.com")
    buyer = Buyer(world.client())
    asked = await _ask(buyer)
    assert "a six-digit code is on its way" in words(asked.text)
    answer = await _prove(buyer, asked, await _code(world))
    assert (answer.status_code, answer.headers["location"]) == (303, "/orders")
    page = await buyer.get("/orders")
    assert f"/orders/{mine.order_no}/" in page.text
    assert theirs.order_no not in page.text
    link = re.search(rf'href="(/orders/{mine.order_no}/[\w-]+)"', page.text)
    assert link
    assert (await buyer.get(link[1])).status_code == 200


async def test_by_mail_too(world: World) -> None:
    await _bought(world, "Lin.Xia@Example.com")
    buyer = Buyer(world.client())
    asked = await _ask(buyer, "lin.xia@example.com")
    answer = await _prove(buyer, asked, await _code(world, "lin.xia@example.com"))
    assert answer.status_code == 303


async def test_what_i_have_the_soonest_expiry_first(world: World) -> None:
    from datetime import date

    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, ["LATER-KEY-000-0001"], expires_on=date(2031, 1, 31))
    first = await world.bought(sku.listing.id)
    await world.stock(sku.id, ["SOONER-KEY-00-0002"], expires_on=date(2030, 1, 31))
    await world.stock(sku.id, ["FOREVER-KEY-0-0003"])
    await world.bought(sku.listing.id)
    await world.bought(sku.listing.id)
    buyer = Buyer(world.client())
    asked = await _ask(buyer, place="me")
    answer = await _prove(buyer, asked, await _code(world))
    assert answer.headers["location"] == "/me"
    page = await buyer.get("/me")
    assert re.findall(r"\*{4}(000\d)", page.text) == ["0002", "0001", "0003"]
    assert "does not expire" in page.text
    assert "KEY" not in words(page.text)
    assert first.order_no in page.text


@pytest.mark.case("H07", "H08")
async def test_known_and_unknown_contacts_get_the_same_answer(world: World) -> None:
    await _bought(world)
    answers, left = {}, []
    for contact in (MINE, "13800138000"):
        buyer = Buyer(world.client())
        await buyer.get("/orders")
        before = await _rows_of_asking(world)
        answers[contact] = await _ask(buyer, contact)
        left.append([after - was for after, was in zip(await _rows_of_asking(world), before, strict=True)])
    bare = [re.sub(r'value="[^"]*"|content="[0-9a-f]{64}"|138\*{4}\d{4}', "", answer.text) for answer in answers.values()]
    assert answers[MINE].status_code == 200
    assert bare[0] == bare[1]
    assert left[0] == left[1] == [1, 1], (
        "the same work for both, so that its time tells nothing; who has orders is looked up later"
    )
    await world.work()
    assert not world.outbox.messages("+8613800138000"), "no message to one who has no order here"
    wrong = [await _prove(Buyer(world.client()), answers[contact], "000000") for contact in answers]
    assert {answer.status_code for answer in wrong} == {403}, "a form of another browser"


async def test_a_wrong_code_and_a_code_for_a_stranger_are_refused_alike(world: World) -> None:
    await _bought(world)
    said = []
    for contact in (MINE, "13800138000"):
        buyer = Buyer(world.client())
        asked = await _ask(buyer, contact)
        await world.work()
        answer = await _prove(buyer, asked, "000000")
        assert answer.status_code == 422
        assert BUYER_COOKIE not in buyer.client.cookies
        said.append(re.search(r'id="f-code-error">.*?</div>', answer.text, re.S)[0])  # type: ignore[index]
    assert said[0] == said[1]


@pytest.mark.case("H07")
async def test_five_wrong_tries_end_a_code(world: World) -> None:
    await _bought(world)
    buyer = Buyer(world.client())
    asked = await _ask(buyer)
    code = await _code(world)
    wrong = "000000" if code != "000000" else "000001"
    for _ in range(customers.WRONG_TRIES):
        assert (await _prove(buyer, asked, wrong)).status_code == 422
    assert (await _prove(buyer, asked, code)).status_code == 422
    assert await world.value("select count(*) from buyer_session") == 0


async def test_a_code_works_once_for_ten_minutes_and_only_the_newest(world: World) -> None:
    await _bought(world)
    buyer = Buyer(world.client())
    old = await _ask(buyer)
    first = await _code(world)
    new = await _ask(buyer)
    second = await _code(world)
    if first != second:
        assert (await _prove(buyer, old, first)).status_code == 422
    assert (await _prove(buyer, new, second)).status_code == 303
    again = await buyer.post("/orders", "/orders/proofs", contact=MINE, code=second)
    assert again.status_code == 422
    buyer = Buyer(world.client())
    late = await _ask(buyer)
    third = await _code(world)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update contact_code set expires_at = now() - interval '1 second'")
    assert (await _prove(buyer, late, third)).status_code == 422


async def test_asking_is_throttled_by_contact_known_or_not(world: World) -> None:
    await _bought(world)
    for contact in (MINE, "13800138000"):
        buyer = Buyer(world.client())
        statuses = [(await _ask(buyer, contact)).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
    limited = await _ask(Buyer(world.client()), MINE)
    assert int(limited.headers["retry-after"]) > 1


@pytest.mark.case("H07")
async def test_asking_is_throttled_by_address(world: World) -> None:
    buyer = Buyer(world.client())
    statuses = [(await _ask(buyer, f"nobody{n}@example.com")).status_code for n in range(21)]
    assert statuses == [200] * 20 + [429]
    assert (await _ask(Buyer(world.client()), "x@example.com")).status_code == 429, "the address, not the browser"


@pytest.mark.case("H07")
async def test_proving_is_throttled_by_contact(world: World) -> None:
    buyer = Buyer(world.client())
    asked = await _ask(buyer)
    statuses = [(await _prove(buyer, asked, "123456")).status_code for _ in range(16)]
    assert statuses == [422] * 15 + [429]


@pytest.mark.parametrize("contact", ["", " ", "12", "a@b", "x" * 300, "1' or '1'='1", "<b>@x.co", "ａ@ｂ"])
async def test_contacts_that_are_none(world: World, contact: str) -> None:
    answer = await _ask(Buyer(world.client()), contact)
    assert answer.status_code == 422
    assert "f-contact-error" in answer.text
    assert "<b>@" not in answer.text
    assert await world.value("select count(*) from contact_code") == 0


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "１２３４５６", "-12345", "1 2 3"])
async def test_codes_that_are_none_keep_the_form(world: World, code: str) -> None:
    buyer = Buyer(world.client())
    asked = await _ask(buyer)
    answer = await _prove(buyer, asked, code)
    assert answer.status_code == 422
    assert "Type the six digits" in words(answer.text)
    assert await world.value("select wrong_tries from contact_code") == 0
    assert fields(answer.text, "/orders/proofs")["contact"] == "+8613800132046"


async def test_a_code_with_blanks_is_read(world: World) -> None:
    await _bought(world)
    buyer = Buyer(world.client())
    asked = await _ask(buyer)
    code = await _code(world)
    assert (await _prove(buyer, asked, f" {code[:3]} {code[3:]} ")).status_code == 303


@pytest.mark.parametrize(("field", "value"), [("contact", "a\x00@b.co"), ("code", "12\x003456")])
async def test_nul_is_refused(world: World, field: str, value: str) -> None:
    buyer = Buyer(world.client())
    data = {"contact": MINE, "code": "123456", field: value}
    assert (await buyer.post("/orders", "/orders/proofs", **data)).status_code == 400


@pytest.mark.case("H06")
async def test_the_session_is_new_each_time_and_ends_with_logging_out(world: World) -> None:
    await _bought(world)
    buyer = Buyer(world.client())
    buyer.client.cookies.set(BUYER_COOKIE, "planted-by-somebody", domain=str(buyer.client.base_url.host))
    assert (await _log_in(world, buyer)).status_code == 303
    first = buyer.client.cookies.get(BUYER_COOKIE)
    assert first != "planted-by-somebody"
    stolen = Buyer(world.client())
    stolen.client.cookies.set(BUYER_COOKIE, first, domain=str(stolen.client.base_url.host))
    assert "My orders" in (await stolen.get("/orders")).text
    left = await buyer.send("/orders", "/me/log-out")
    assert left.status_code == 303
    assert BUYER_COOKIE not in buyer.client.cookies
    assert "My orders" not in words((await stolen.get("/orders")).text).split("Skip to content")[1]


async def test_thirty_minutes_or_thirty_days(world: World) -> None:
    await _bought(world)
    short, long = Buyer(world.client()), Buyer(world.client())
    a, b = await _log_in(world, short), await _log_in(world, long, stay="1")
    assert "Max-Age" not in a.headers["set-cookie"]
    assert "Max-Age=2592000" in b.headers["set-cookie"]
    for answer in (a, b):
        assert all(word in answer.headers["set-cookie"] for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/", "__Host-"))
    days = await world.rows("select extract(epoch from expires_at - now())::int / 60 as minutes from buyer_session order by 1")
    assert [row["minutes"] for row in days] in ([29, 43199], [30, 43200])
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update buyer_session set expires_at = now() - interval '1 second'")
    assert "Send me a code" in (await short.get("/orders")).text


@pytest.mark.case("G01")
async def test_a_session_of_one_shop_is_nothing_in_another(world: World) -> None:
    await _bought(world)
    buyer = Buyer(world.client())
    await _log_in(world, buyer)
    other = await world.new_tenant("Other", with_gateway=False)
    stranger = Buyer(world.client(f"{other.slug}.{settings().shops_host}"))
    stranger.client.cookies.set(BUYER_COOKIE, buyer.client.cookies.get(BUYER_COOKIE), domain=str(stranger.client.base_url.host))
    assert "Send me a code" in (await stranger.get("/orders")).text


async def test_no_code_or_contact_is_kept_in_plain(world: World) -> None:
    await _bought(world)
    buyer = Buyer(world.client())
    await _ask(buyer)
    code = await _code(world)
    stored = str(await world.rows("select * from contact_code")) + str(await world.rows("select * from rate_counter"))
    stored += str(await world.rows("select * from task")) + str(await world.rows("select * from outgoing_message"))
    assert code not in stored
    assert MINE not in stored


async def test_asking_twice_at_once_sends_what_was_asked(world: World) -> None:
    await _bought(world)
    buyer = Buyer(world.client())
    await _ask(buyer)
    await world.work()
    await world.work()
    codes = [message for message in world.outbox.messages("+8613800132046") if "验证码" in str(message)]
    assert await world.value("select count(*) from outgoing_message where template = 'contact_code'") == 1
    assert codes
