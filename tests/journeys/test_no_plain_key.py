"""K01: a card-key that goes through everything stands in plain text nowhere but before its buyer's eyes."""

import base64
import json
import logging
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.fulfillment import buying
from app.fulfillment.revealing import reveal
from app.inventory import rules
from app.kernel.actor import Actor, ActorKind
from app.kernel.vault import CannotOpen, Secret, keyring
from app.suppliers.connecting import connection_of
from tenants.session import tenant_tx
from tests.app.fulfillment.supply import GOODS, make_due, routed, settle, source
from tests.installation import Installation
from tests.simulators import supplier_simulator
from tests.world import World

pytestmark = [pytest.mark.anyio]
CANARY = "CANARY-9F3K-Q7ZM-2XWT"
PIN = "PIN-CANARY-771"
PHONE, SPARE = "13822220046", "canary-2xwt@mail.example"
NO_TEXTS = "17000000404"


def dump(installation: Installation) -> str:
    """The whole database as text, as a backup would hold it."""
    pg_dump = installation.postgres.bin / "pg_dump"
    made = subprocess.run(
        [pg_dump, "--inserts", "--no-owner", installation.postgres.admin_url("quanyi")],
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout


def traces(text: str, *secrets: str) -> list[str]:
    """The ways secrets could stand in a text: as they are, as the dump writes bytes, in small letters, as Basic authentication sends them."""
    forms = [form for one in secrets or (CANARY,) for form in (one, one.encode().hex(), one.lower())]
    return [form for form in forms if form in text]


@pytest.mark.whole_installation
@pytest.mark.case("K01")
async def test_a_sold_key_is_in_no_dump_log_message_or_queue(
    world: World, installation: Installation, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, [CANARY, CANARY, "bad", f"{CANARY}-{'X' * 600}"])
    placed = await world.bought(sku.listing.id, contact=PHONE)
    unit = (await world.rows("select order_line_id, unit_no from delivery_unit"))[0]
    async with tenant_tx(world.tenant) as tx:
        shown = await reveal(tx, order_id=placed.id, **unit, actor=Actor(ActorKind.BUYER, None, "buyer"))
    assert shown.number == CANARY
    await world.stock(sku.id, [f"{CANARY}-2"])
    mailed = await world.order_with_second(sku.listing.id, contact=NO_TEXTS, second=SPARE)
    await world.pay(mailed)
    await world.ask_gateway(mailed)
    await world.work()
    [letter] = world.outbox.messages(SPARE)
    text = dump(installation)
    assert "****2XWT" in text, "the dump holds the key's row"
    assert "can***@mail.example" in text, "and that of the second contact"
    assert traces(text, CANARY, PHONE, NO_TEXTS, SPARE) == []
    out, err = capfd.readouterr()
    assert traces(out + err + caplog.text, CANARY, PHONE, NO_TEXTS, SPARE) == []
    assert traces(json.dumps([letter, *world.outbox.messages(f"+86{PHONE}")], default=str)) == []


@pytest.mark.whole_installation
@pytest.mark.case("K01")
async def test_a_bought_key_and_the_suppliers_credentials_are_in_no_dump_log_or_evidence(
    world: World, installation: Installation, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Bought well, and by answers that were cut short, named another order, came late or were asked for."""
    caplog.set_level(logging.DEBUG)
    with supplier_simulator(tmp_path, "tango") as company:
        one = await source(world, company)
        async with tenant_tx(world.tenant) as tx:
            connector: Any = (await connection_of(tx, one.connection_id)).connector
        basic = base64.b64encode(f"{connector.platform_name}:{connector.platform_key}".encode()).decode()
        product = await routed(world, one)
        company.cards(GOODS, *({"number": f"{CANARY}-{number}", "password": f"{PIN}{number}"} for number in range(5)))
        faults: list[dict[str, object]] = [
            {},
            {"body": "truncated"},
            {"misstate": "other_order"},
            {"http_500_after_effect": True},
        ]
        for number, fault in enumerate(faults):
            company.script(fault, on="place", times=1)
            await world.paid(product.skus[0].listing.id, contact=f"138{number:08d}")
            await settle(world)
            await make_due(world)
            await settle(world)
        assert await world.value("select count(*) from shop_order where state = 'delivered'") == len(faults)
    secrets = (CANARY, PIN, connector.platform_key, basic)
    text = dump(installation)
    assert "the supplier answered 500" in text, "the dump holds what the attempts were told"
    assert traces(text, *secrets) == []
    out, err = capfd.readouterr()
    assert traces(out + err + caplog.text, *secrets) == []
    assert traces(repr(connector), *secrets) == []
    await buying.finish(within_s=0)


@pytest.mark.case("K02")
async def test_sealed_bytes_open_only_where_they_were_sealed(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, ["FIRST-KEY-000001", "SECOND-KEY-00002"])
    first, second = await world.rows("select id, secret from card_key order by masked")
    other = await world.new_tenant("Other")
    async with tenant_tx(world.tenant) as tx:
        ring = await keyring(tx)
    assert rules.shown(ring.open("card_key", "secret", first["id"], first["secret"]).reveal())[0] == "FIRST-KEY-000001"
    for table, column, row_id, sealed in (
        ("card_key", "secret", second["id"], first["secret"]),
        ("card_key", "fingerprint", first["id"], first["secret"]),
        ("import_line", "secret", first["id"], first["secret"]),
        ("card_key", "secret", first["id"], first["secret"][:-1] + bytes([first["secret"][-1] ^ 1])),
        ("card_key", "secret", first["id"], b"\x01\x00\x09" + first["secret"][3:]),
    ):
        with pytest.raises(CannotOpen):
            ring.open(table, column, row_id, sealed)
    async with tenant_tx(other) as tx:
        stranger = await keyring(tx)
    with pytest.raises(CannotOpen):
        stranger.open("card_key", "secret", first["id"], first["secret"])


@pytest.mark.case("K01")
def test_a_secret_shows_itself_to_nobody_who_does_not_ask() -> None:
    secret = Secret(CANARY)
    holder = {"key": secret}
    assert CANARY not in f"{secret} {secret!r} {[secret]} {holder}"
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert secret.reveal() == CANARY
