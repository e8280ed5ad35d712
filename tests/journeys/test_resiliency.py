"""What people see while something beside us is slow or away: one test for each row and column of the matrix, in three words.

*works*: as ever. *degraded*: it goes on, later or with less, and says so. *refused*: nothing was changed, a sentence says when to come back.
Rows: browsing, checking out, paying, a notice, delivery, the back office, export, import, logging in. Columns: database slow, database away,
queue away, gateway slow, gateway away, mail away. A full disk has its own tests in test_disk_full.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from saq.queue.postgres import PostgresQueue

from app.integrations import sending
from app.kernel import tasks
from app.kernel.bell import Ringer
from app.kernel.tasks import Lane, use_ringer
from app.kernel.vault import keyring
from app.payments import service as payments
from app.settings import settings
from tenants.session import Databases, databases, tenant_tx, use_databases
from tests.app.access.people import PASSWORD, browser, person
from tests.app.access.people import token as log_in_token
from tests.app.payments.test_capturing import Notice, notice_for
from tests.app.staff import Staff, staff
from tests.app.storefront.buyer import Buyer, fields
from tests.installation import Installation
from tests.world import World
from torture.proxy import DatabaseProxy

pytestmark = [pytest.mark.anyio]
NOWHERE = "127.0.0.1:1"


@dataclass
class Scene:
    """A shop in which everybody has his page open already: what is sent now meets the fault."""

    world: World
    buyer: Buyer
    owner: Staff
    visitor: httpx2.AsyncClient
    log_in: dict[str, str]
    form: dict[str, str]
    order: str
    order_form: dict[str, str]
    notice: Notice
    pool: str

    async def browse(self) -> httpx2.Response:
        return await self.buyer.client.get("/")

    async def check_out(self) -> httpx2.Response:
        return await self.buyer.client.post("/checkout", data={**self.form, "contact": "13800132046"})

    async def pay(self) -> httpx2.Response:
        return await self.buyer.client.post(f"{self.order}/payment", data=self.order_form)

    async def be_told(self) -> httpx2.Response:
        return httpx2.Response(await self.notice.send(self.world))

    async def look_at_orders(self) -> httpx2.Response:
        return await self.owner.get("/orders")

    async def export(self) -> httpx2.Response:
        return await self.owner.post("/audit/exports")

    async def bring_keys(self) -> httpx2.Response:
        files = {"file": ("keys.txt", b"NEW-KEY-000001\n")}
        return await self.owner.post(f"{self.pool}/imports", {"unit_cost": "1.00"}, files=files)

    async def enter(self) -> httpx2.Response:
        return await self.visitor.post("/log-in", data=self.log_in)


ROWS: dict[str, Callable[[Scene], Awaitable[httpx2.Response]]] = {
    "browse": Scene.browse,
    "checkout": Scene.check_out,
    "payment": Scene.pay,
    "notice": Scene.be_told,
    "admin": Scene.look_at_orders,
    "export": Scene.export,
    "import": Scene.bring_keys,
    "log-in": Scene.enter,
}
WORKS = {200, 201, 303}
EVERY = pytest.mark.parametrize("row", ROWS)


@pytest.fixture
async def scene(world: World) -> Scene:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 20)
    placed, told = await world.order(sku.listing.id), await world.order(sku.listing.id, contact="13900000001")
    async with tenant_tx(world.tenant) as tx:
        order = f"/orders/{placed.order_no}/{(await keyring(tx)).link_signature('order', placed.id)}"
    buyer, owner, who, visitor = Buyer(world.client()), await staff(world), await person(world.tenant), browser(world)
    await owner.get("/products")
    form = fields((await buyer.get(f"/products/{product.id}")).text, "/checkout")
    token = re.search(r'name="csrf-token" content="([^"]+)"', (await buyer.get(order)).text)
    assert token
    log_in = {"_csrf": await log_in_token(visitor), "email": who.email, "password": PASSWORD}
    notice = await notice_for(world, told)
    return Scene(
        world, buyer, owner, visitor, log_in, form, order, {"_csrf": token[1]}, notice, f"/card-pools/{sku.id}"
    )  # fmt: skip


@pytest.fixture
async def cable(scene: Scene, installation: Installation) -> AsyncIterator[DatabaseProxy]:
    """The application's connections to its database run through a cable that the test holds."""
    straight, parts = databases(), urlsplit(installation.urls.app_url)
    assert parts.port
    with DatabaseProxy(target_port=parts.port) as cable:
        url = installation.urls.app_url.replace(f":{parts.port}/", f":{cable.port}/")
        bent = Databases({"main": url}, size=4, statement_cache=True)
        use_databases(bent)
        async with tenant_tx(scene.world.tenant):
            assert cable.connections
        yield cable
        cable.is_open, cable.latency_s = True, 0.0
        use_databases(straight)
        await bent.close()


def cut(cable: DatabaseProxy) -> None:
    cable.is_open = False
    cable.reset()


@EVERY
async def test_a_slow_database_makes_everything_slower_and_nothing_else(scene: Scene, cable: DatabaseProxy, row: str) -> None:
    cable.latency_s = 0.03
    assert (await ROWS[row](scene)).status_code in WORKS


@EVERY
async def test_without_the_database_everything_is_refused_in_a_sentence_and_back_with_it(
    scene: Scene, cable: DatabaseProxy, row: str
) -> None:
    cut(cable)
    answer = await ROWS[row](scene)
    assert answer.status_code == 503, answer.text[:300]
    if row != "notice":  # a gateway reads the status alone
        assert answer.headers["retry-after"]
        assert "try again in a moment" in answer.text
    cable.is_open = True
    assert (await ROWS[row](scene)).status_code in WORKS


async def test_delivery_waits_for_the_database_and_happens_once(scene: Scene, cable: DatabaseProxy) -> None:
    assert (await scene.be_told()).status_code == 200
    cut(cable)
    with pytest.raises((OSError, ConnectionError)):
        await scene.world.work(Lane.ORDERS)
    cable.is_open = True
    await scene.world.work()
    assert await scene.world.value("select count(*) from card_key where state = 'delivered'") == 1


@pytest.fixture
def _queue_away() -> Iterator[None]:
    """The queue's own store does not answer; nobody is woken."""
    rings, queue = tasks._ring, PostgresQueue.from_url(f"postgresql://nobody@{NOWHERE}/none")
    use_ringer(Ringer(queue).ring)
    yield
    use_ringer(rings)


@EVERY
@pytest.mark.usefixtures("_queue_away")
async def test_without_the_queue_everything_works(scene: Scene, row: str) -> None:
    assert (await ROWS[row](scene)).status_code in WORKS


@pytest.mark.usefixtures("_queue_away")
async def test_without_the_queue_delivery_is_found_by_the_next_look(scene: Scene) -> None:
    assert (await scene.be_told()).status_code == 200
    await scene.world.work()
    assert await scene.world.value("select count(*) from card_key where state = 'delivered'") == 1


@pytest.mark.parametrize("row", ROWS)
async def test_a_slow_gateway_is_felt_where_one_pays_alone(scene: Scene, row: str) -> None:
    scene.world.gateway.script({"delay_ms": 300})
    assert (await ROWS[row](scene)).status_code in WORKS


@EVERY
async def test_without_the_gateway_only_paying_is_refused(scene: Scene, row: str) -> None:
    scene.world.gateway.script({"before": "drop"})
    answer = await ROWS[row](scene)
    if row != "payment":
        assert answer.status_code in WORKS
        return
    assert answer.status_code == 503
    assert "Nothing was charged; try again in a moment." in answer.text
    scene.world.gateway.clear_script()
    assert (await scene.pay()).status_code == 303


async def test_without_the_gateway_a_refund_is_not_known_yet_and_goes_once(scene: Scene) -> None:
    world = scene.world
    bought = await world.bought(await world.value("select id from listing"), contact="13700000001")
    world.gateway.script({"before": "drop"}, on="refund", times=1)
    form = {"stated_minor": "1990", "reason": "asked"}
    assert (await scene.owner.post(f"/orders/{bought.order_no}/refunds", form)).status_code == 303
    await world.work()
    assert "has not said whether the refund" in (await scene.owner.get(f"/orders/{bought.order_no}")).text
    await world.value("update task set run_at = now() where kind = 'payments.send_refund' returning 1")
    await world.work()
    assert await world.value("select state from refund") == "succeeded"


@pytest.fixture
def _mail_away(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings().model_copy(update={"smtp_url": f"smtp://{NOWHERE}", "sms_url": f"http://{NOWHERE}/sms"})
    monkeypatch.setattr(sending, "settings", lambda: chosen)


@EVERY
@pytest.mark.usefixtures("_mail_away")
async def test_without_mail_everything_works(scene: Scene, row: str) -> None:
    assert (await ROWS[row](scene)).status_code in WORKS


async def test_without_mail_the_keys_are_there_and_the_message_follows(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    world, address = scene.world, "lin-of-the-matrix@mail.test"
    placed = await world.order(await world.value("select id from listing"), contact=address)
    await payments.open_payment(world.tenant, placed.id)
    with monkeypatch.context() as away:
        away.setattr(sending, "settings", lambda: settings().model_copy(update={"smtp_url": f"smtp://{NOWHERE}"}))
        payment_no = await world.value("select payment_no from payment where order_id = $1", placed.id)
        await asyncio.to_thread(world.gateway.pay, payment_no)
        await world.until("select true from capture where order_id = $1", placed.id)
        await world.work()
    assert await world.value("select state from shop_order where id = $1", placed.id) == "delivered"
    assert world.outbox.messages(address) == []
    await world.value("update task set run_at = now() where kind = 'integrations.send' returning 1")
    await world.work()
    assert len(world.outbox.messages(address)) == 1


def test_every_row_is_in_every_column() -> None:
    marked: dict[str, Any] = {name: value for name, value in globals().items() if name.startswith("test_")}
    columns = [
        name for name, test in marked.items() if any(mark.name == "parametrize" for mark in getattr(test, "pytestmark", []))
    ]
    assert len(columns) == 6
