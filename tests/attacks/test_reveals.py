"""One member of staff who opens many keys: soon he proves himself again, then he is stopped, the owners hear of it, and no file holds a key."""

from __future__ import annotations

import asyncio
import csv
import io
import re

import httpx2
import pytest

from app.access.models import MemberRole
from app.inventory.revealing import LIMIT, ON_THE_SESSION
from tests.app.access.people import PASSWORD, mails
from tests.attacks.merchant import Merchant, merchant
from tests.attacks.routes import Route, routes
from tests.attacks.test_files import FILES
from tests.attacks.visitors import Caller, member
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.case("K08")]
FROM_POOL = Route("POST", "/m/{tenant_slug}/card-keys/{card_key_id}/reveal")
FROM_ORDER = Route("POST", "/m/{tenant_slug}/orders/{order_no}/reveals")
REVEALED = "select count(*) from audit_entry where action = 'card_key.revealed'"


class Reader:
    """A member of staff who opens key after key."""

    def __init__(self, who: Caller, shop: Merchant, keys: list[object]) -> None:
        self.who, self.shop, self.keys = who, shop, keys

    async def opens(self, n: int, password: str = "", *, in_order: bool = False) -> httpx2.Response:
        """Ask for the n-th key, from its pool or from the order it was delivered for."""
        form = {"reason": "The buyer asked", "line": str(self.shop.ids["line_id"]), "unit": "1"}
        form |= {"password": password} if password else {}
        return await self.who.ask(FROM_ORDER if in_order else FROM_POOL, {**self.shop.ids, "card_key_id": self.keys[n]}, form)


async def reader(world: World, role: MemberRole = MemberRole.SUPPORT) -> Reader:
    shop = await merchant(world, world.tenant)
    await world.stock(shop.ids["sku_id"], 30)  # type: ignore[arg-type]
    keys = [row["id"] for row in await world.rows("select id from card_key where state = 'free' order by id")]
    return Reader(await member(world, world.tenant, role), shop, keys)


async def test_after_a_few_keys_the_password_is_asked_and_after_twenty_nothing_opens(world: World) -> None:
    one = await reader(world)
    alone = ON_THE_SESSION.tries
    assert [(await one.opens(n)).status_code for n in range(alone)] == [200] * alone
    asked = await one.opens(alone)
    assert asked.status_code == 422
    assert "Type your password to open more." in asked.text
    assert 'name="password"' in asked.text
    assert 'value="The buyer asked"' in asked.text
    assert (await one.opens(alone, "not my password")).status_code == 422
    assert await world.value(REVEALED) == alone
    assert [(await one.opens(n, PASSWORD)).status_code for n in range(alone, LIMIT.tries)] == [200] * (LIMIT.tries - alone)
    refused = await asyncio.gather(*(one.opens(LIMIT.tries + n, PASSWORD) for n in range(4)))
    assert {answer.status_code for answer in refused} == {429}
    assert "ask a colleague" in refused[0].text
    assert await world.value(REVEALED) == LIMIT.tries


async def test_keys_of_orders_and_of_pools_count_together(world: World) -> None:
    one = await reader(world)
    turns = [await one.opens(n, in_order=n % 2 == 1) for n in range(ON_THE_SESSION.tries)]
    assert {answer.status_code for answer in turns} == {200}
    for in_order in (True, False):
        assert (await one.opens(9, in_order=in_order)).status_code == 422
    assert (await one.opens(9, PASSWORD, in_order=True)).status_code == 200
    assert await world.value(REVEALED) == ON_THE_SESSION.tries + 1


async def test_at_once_as_many_open_as_are_allowed(world: World) -> None:
    one = await reader(world)
    answers = await asyncio.gather(*(one.opens(n) for n in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * ON_THE_SESSION.tries + [422] * (12 - ON_THE_SESSION.tries)
    assert await world.value(REVEALED) == ON_THE_SESSION.tries


async def test_the_owners_are_told_once_and_it_is_written_down(world: World) -> None:
    one = await reader(world)
    await world.rows(
        "insert into rate_counter (key, window_starts_at, tries) values ($1, now(), $2) returning key", *_used_up(one)
    )
    for n in range(3):
        assert (await one.opens(n, PASSWORD)).status_code == 429
    mail = await mails(world, one.shop.owner.email)
    assert len([text for text in mail if "has opened 20 keys within an hour" in text]) == 1
    assert f"/m/{world.tenant.slug}/audit?action=card_key.revealed" in mail[0]
    assert await world.value("select count(*) from audit_entry where action = 'card_key.reveals_stopped'") == 1
    assert await world.value(REVEALED) == 0


def _used_up(one: Reader) -> tuple[str, int]:
    return f"{LIMIT.name}:{one.who.user_id}", LIMIT.tries


async def test_a_colleague_has_tries_of_his_own(world: World) -> None:
    one = await reader(world)
    await world.rows(
        "insert into rate_counter (key, window_starts_at, tries) values ($1, now(), $2) returning key", *_used_up(one)
    )
    one.who = await member(world, world.tenant, MemberRole.OWNER)
    assert (await one.opens(0)).status_code == 200


async def test_no_file_holds_a_key(world: World) -> None:
    """There is no export of keys. What can be downloaded is the audit trail, the bad lines of an import and of a batch, all masked, and a supplier's bill."""
    shop = await merchant(world, world.tenant, canary="Canary")
    await world.stock(shop.ids["sku_id"], ["CANARY-KEY-9999", "x", "=CANARY-KEY-9998"])  # type: ignore[arg-type]
    owner = await member(world, world.tenant, MemberRole.OWNER)
    files = []
    for route in routes(world.app):
        if route.path.startswith("/m/") and (route.is_safe or route.path.endswith("/exports")):
            got = await owner.ask(route, shop.ids)
            assert not re.search(r"CANARY-KEY-\d{4}", got.text), route
            if "attachment" in got.headers.get("content-disposition", ""):
                files.append(str(route))
                assert list(csv.reader(io.StringIO(got.text)))
    assert set(files) == {name for name in FILES if "/pictures/" not in name}
