"""Codes and sessions, many at once."""

from __future__ import annotations

import asyncio
import re

import pytest

from app.customers import service, sessions
from app.customers.service import WrongProof
from app.kernel.contact import Contact
from app.kernel.ids import new_id
from tenants.session import tenant_tx
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
PHONE = Contact("phone", "+8613800132046")


async def _sent_code(world: World) -> str:
    product = await world.product()
    await world.stock(product.skus[0].id, 1)
    await world.order(product.skus[0].listing.id)
    await service.ask_code(world.tenant, PHONE, address="192.0.2.1")
    await world.work()
    text = str(world.outbox.messages(PHONE.value)[0])
    found = re.search(r"\b(\d{6})\b", text)
    assert found
    return found[1]


async def test_one_code_proves_once_however_often_it_is_sent_at_the_same_instant(world: World) -> None:
    code = await _sent_code(world)
    answers = await asyncio.gather(
        *(service.prove(world.tenant, PHONE, code, address=f"192.0.2.{n}") for n in range(8)), return_exceptions=True
    )
    assert sum(not isinstance(answer, Exception) for answer in answers) == 1
    assert {type(answer) for answer in answers if isinstance(answer, Exception)} == {WrongProof}


async def test_guesses_at_the_same_instant_are_all_counted(world: World) -> None:
    code = await _sent_code(world)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    tried = await asyncio.gather(
        *(service.prove(world.tenant, PHONE, wrong, address=f"192.0.2.{n}") for n in range(8)), return_exceptions=True
    )
    assert {type(answer) for answer in tried} == {WrongProof}
    assert await world.value("select wrong_tries from contact_code") == 8
    with pytest.raises(WrongProof):
        await service.prove(world.tenant, PHONE, code, address="192.0.2.99")


async def test_a_contact_is_one_customer_however_often_it_is_proved(world: World) -> None:
    first = await service.prove(world.tenant, PHONE, await _sent_code(world), address="192.0.2.1")
    await service.ask_code(world.tenant, PHONE, address="192.0.2.1")
    await world.work()
    code = re.search(r"\b(\d{6})\b", str(world.outbox.messages(PHONE.value)[0]))
    assert code
    assert await service.prove(world.tenant, PHONE, code[1], address="192.0.2.1") == first


async def test_a_session_replaces_the_one_before_and_only_its_hash_is_kept(world: World) -> None:
    customer_id = await service.prove(world.tenant, PHONE, await _sent_code(world), address="192.0.2.1")
    async with tenant_tx(world.tenant) as tx:
        first = await sessions.open_session(tx, customer_id, lives=sessions.SHORT)
        second = await sessions.open_session(tx, customer_id, lives=sessions.SHORT, instead_of=first)
        assert await sessions.find(tx, first) is None
        found = await sessions.find(tx, second)
        assert found is not None
        assert (found.customer_id, found.contact_masked) == (customer_id, "138****2046")
        for nonsense in ("", "x", str(new_id())):
            assert await sessions.find(tx, nonsense) is None
    assert second not in str(await world.rows("select * from buyer_session"))


async def test_what_is_over_is_forgotten(world: World) -> None:
    customer_id = await service.prove(world.tenant, PHONE, await _sent_code(world), address="192.0.2.1")
    async with tenant_tx(world.tenant) as tx:
        await sessions.open_session(tx, customer_id, lives=-sessions.SHORT)
        await tx.execute("update contact_code set expires_at = now() - interval '2 days'")
        assert await sessions.forget_ended(tx) == 1
        assert await service.forget_codes(tx) == 1
