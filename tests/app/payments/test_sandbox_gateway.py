"""The sandbox gateway's side of the port, against the real simulator process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from app.kernel.http import Client, NotSent
from app.payments.gateways import open_gateway
from app.payments.gateways.port import (
    Captured,
    Closed,
    Declined,
    Forged,
    IncompleteConnection,
    NoSuchPayment,
    NoSuchRefund,
    Notice,
    NotPaid,
    PaymentEvent,
    PaymentNotice,
    PaymentRequest,
    Pending,
    Placed,
    Refunded,
    RefundNotice,
    RefundRequest,
    Unknown,
)
from app.payments.gateways.sandbox import SandboxGateway, open_account
from tests.simulators import GatewaySimulator, gateway_simulator

pytestmark = pytest.mark.anyio
numbers = (f"Q{number}" for number in count(1))
CONFIG = {"base_url": "http://127.0.0.1:9", "merchant_id": "m_1", "api_secret": "a", "notice_secret": "n"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewaySimulator]:
    with gateway_simulator(tmp_path_factory.mktemp("gateway")) as started:
        yield started


@pytest.fixture(autouse=True)
def well_behaved(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "simulator" in request.fixturenames:
        request.getfixturevalue("simulator").clear_script()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client(allow_loopback=True)
    yield made
    await made.aclose()


@pytest.fixture
async def gateway(simulator: GatewaySimulator, client: Client) -> SandboxGateway:
    opened = open_gateway("sandbox", await open_account(simulator.url, client), client)
    assert isinstance(opened, SandboxGateway)
    return opened


class NoticeBoard:
    """A merchant's notice address: keeps what arrives, refuses what is forged, acknowledges the rest."""

    def __init__(self) -> None:
        self.gateway: SandboxGateway | None = None
        self.url = ""
        self.raw: list[tuple[dict[str, str], bytes]] = []
        self.notices: list[Notice] = []
        self._arrived = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:-2]
            headers = dict(line.split(": ", 1) for line in head)
            length = {name.lower(): value for name, value in headers.items()}["content-length"]
            status = self.take(headers, await reader.readexactly(int(length)))
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    def take(self, headers: dict[str, str], body: bytes) -> int:
        assert self.gateway is not None
        notice = self.gateway.verify_notice(headers, body, datetime.now(UTC))
        self.raw.append((headers, body))
        self.notices.append(notice)
        self._arrived.set()
        return 400 if isinstance(notice, Forged) else self.gateway.acknowledge()[0]

    async def wait(self, amount: int = 1) -> list[Notice]:
        async with asyncio.timeout(5):
            while len(self.notices) < amount:
                self._arrived.clear()
                await self._arrived.wait()
        return self.notices


@pytest.fixture
async def board(gateway: SandboxGateway) -> AsyncIterator[NoticeBoard]:
    made = NoticeBoard()
    made.gateway = gateway
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://app.quanyi.localhost:{server.sockets[0].getsockname()[1]}/hooks/t/1"
    yield made
    server.close()


def asked(*, notice_url: str = "http://127.0.0.1:9/", lives_s: float = 300, **changes: Any) -> PaymentRequest:
    request = PaymentRequest(
        out_no=next(numbers),
        amount_minor=9990,
        currency="CNY",
        subject="云雀视频·月卡",
        notice_url=notice_url,
        return_url="http://shop.localhost/orders/1",
        expires_at=datetime.now(UTC) + timedelta(seconds=lives_s),
    )
    return replace(request, **changes)


async def paid(gateway: SandboxGateway, simulator: GatewaySimulator) -> PaymentRequest:
    request = asked()
    assert isinstance(await gateway.create_payment(request), Placed)
    assert await asyncio.to_thread(simulator.pay, request.out_no)
    return request


# Payments


async def test_payment_is_placed_paid_and_found(gateway: SandboxGateway, simulator: GatewaySimulator) -> None:
    request = asked()
    placed = await gateway.create_payment(request)
    assert isinstance(placed, Placed)
    assert placed.pay_url.startswith(simulator.url)
    assert await gateway.query_payment(request.out_no) == NotPaid()
    simulator.pay(request.out_no)
    found = await gateway.query_payment(request.out_no)
    assert isinstance(found, Captured)
    assert (found.gateway_ref, found.amount_minor, found.currency) == (placed.gateway_ref, 9990, "CNY")
    assert abs(found.paid_at - datetime.now(UTC)) < timedelta(seconds=10)
    [capture] = simulator.book(request.out_no)["captures"]
    assert (capture["gateway_txn"], capture["amount_minor"]) == (found.gateway_txn, 9990)


async def test_same_request_gets_the_same_payment_and_another_content_is_declined(gateway: SandboxGateway) -> None:
    request = asked()
    first = await gateway.create_payment(request)
    assert await asyncio.gather(*(gateway.create_payment(request) for _ in range(10))) == [first] * 10
    assert isinstance(await gateway.create_payment(replace(request, amount_minor=1)), Declined)


async def test_accounts_do_not_see_each_other(gateway: SandboxGateway, simulator: GatewaySimulator, client: Client) -> None:
    request = await paid(gateway, simulator)
    other = open_gateway("sandbox", await open_account(simulator.url, client), client)
    assert await other.query_payment(request.out_no) == NoSuchPayment()
    assert isinstance(await other.create_refund(refund_of(request)), Declined)


async def test_unknown_number_is_no_such_payment(gateway: SandboxGateway) -> None:
    assert await gateway.query_payment("never") == NoSuchPayment()
    assert await gateway.close_payment("never") == NoSuchPayment()
    assert await gateway.query_refund("never") == NoSuchRefund()


async def test_closed_payment_cannot_be_paid_and_paid_one_cannot_be_closed(
    gateway: SandboxGateway, simulator: GatewaySimulator
) -> None:
    request = asked()
    await gateway.create_payment(request)
    assert [await gateway.close_payment(request.out_no) for _ in range(2)] == [Closed(), Closed()]
    assert simulator.pay(request.out_no).status_code == 409
    assert await gateway.query_payment(request.out_no) == Closed()
    other = await paid(gateway, simulator)
    assert isinstance(await gateway.close_payment(other.out_no), Captured)


async def test_paying_and_closing_at_once_ends_one_way(gateway: SandboxGateway, simulator: GatewaySimulator) -> None:
    for _ in range(20):
        request = asked()
        await gateway.create_payment(request)
        closed, answer = await asyncio.gather(
            gateway.close_payment(request.out_no), asyncio.to_thread(simulator.pay, request.out_no)
        )
        assert isinstance(closed, Captured) == (answer.status_code == 200)


async def test_expired_payment_is_closed(gateway: SandboxGateway) -> None:
    request = asked(lives_s=0.2)
    await gateway.create_payment(request)
    await asyncio.sleep(0.3)
    assert await gateway.query_payment(request.out_no) == Closed()


async def test_payment_that_expired_before_it_was_asked_for_is_declined(gateway: SandboxGateway) -> None:
    assert isinstance(await gateway.create_payment(asked(lives_s=-1)), Declined)


async def test_wrong_api_secret_is_unknown_and_has_no_effect(gateway: SandboxGateway, simulator: GatewaySimulator) -> None:
    request = asked()
    assert isinstance(await replace(gateway, api_secret="wrong").create_payment(request), Unknown)
    assert simulator.book(request.out_no)["payments"] == []


# What goes wrong on the way


@pytest.mark.parametrize(
    ("misbehaviour", "has_effect"),
    [
        ({"drop": True}, True),
        ({"http_500_after_effect": True}, True),
        ({"nonsense": True}, True),
        ({"hang": True}, True),
        ({"before": "drop"}, False),
    ],
    ids=str,
)
async def test_call_without_answer_is_unknown_and_asking_tells(
    gateway: SandboxGateway, simulator: GatewaySimulator, misbehaviour: Mapping[str, Any], has_effect: bool
) -> None:
    request, hasty = asked(), replace(gateway, total_s=0.5)
    simulator.script(misbehaviour, times=1, on="create", out_no=request.out_no)
    outcome = await hasty.create_payment(request)
    assert isinstance(outcome, Unknown)
    assert outcome.is_sent
    assert await gateway.query_payment(request.out_no) == (NotPaid() if has_effect else NoSuchPayment())
    assert isinstance(await gateway.create_payment(request), Placed)


async def test_gateway_that_is_away_is_unknown_and_says_that_nothing_was_sent(client: Client) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    away = SandboxGateway.for_connection(CONFIG | {"base_url": base_url}, client)
    assert await away.create_payment(asked()) == Unknown("127.0.0.1 could not be reached (ClientConnectorError)", is_sent=False)


async def test_delay_within_the_deadline_is_only_slow(gateway: SandboxGateway, simulator: GatewaySimulator) -> None:
    simulator.script({"delay_ms": 300}, on="create", times=1)
    assert isinstance(await gateway.create_payment(asked()), Placed)


async def test_hanging_query_ends_at_the_deadline(gateway: SandboxGateway, simulator: GatewaySimulator) -> None:
    simulator.script({"hang": True}, on="query")
    started = asyncio.get_running_loop().time()
    assert isinstance(await replace(gateway, total_s=0.4).query_payment("any"), Unknown)
    assert asyncio.get_running_loop().time() - started < 12


async def test_refusal_is_declined_with_its_reason(gateway: SandboxGateway, simulator: GatewaySimulator) -> None:
    simulator.script({"decline": "The account is frozen."}, on="create", times=1)
    assert await gateway.create_payment(asked()) == Declined("The account is frozen.")


@pytest.mark.parametrize("untruth", ["amount", "currency", "other_order"])
async def test_answer_about_something_else_is_unknown(gateway: SandboxGateway, simulator: GatewaySimulator, untruth: str) -> None:
    simulator.script({"misstate": untruth}, on="create", times=1)
    assert isinstance(await gateway.create_payment(asked()), Unknown)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>maintenance</html>", b"[]", b'{"out_no":"A","state":"created","state":"succeeded"}', b"{}", b"\xff"],
)
@pytest.mark.parametrize("status", [200, 404, 502])
async def test_nonsense_is_unknown(client: Client, body: bytes, status: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    strange = SandboxGateway.for_connection(CONFIG | {"base_url": base_url}, client)
    assert isinstance(await strange.query_payment("A"), Unknown)
    server.close()


# Refunds


def refund_of(request: PaymentRequest, amount_minor: int = 4000) -> RefundRequest:
    return RefundRequest(request.out_no, next(numbers), amount_minor, request.currency, "sold out")


async def test_refund_repeated_is_one_refund(gateway: SandboxGateway, simulator: GatewaySimulator) -> None:
    request = await paid(gateway, simulator)
    refund = refund_of(request)
    outcomes = await asyncio.gather(*(gateway.create_refund(refund) for _ in range(10)))
    assert len(set(outcomes)) == 1
    assert isinstance(outcomes[0], Refunded)
    assert outcomes[0].amount_minor == 4000
    assert await gateway.query_refund(refund.refund_no) == outcomes[0]
    assert [row["amount_minor"] for row in simulator.book(request.out_no)["refunds"]] == [4000]
    assert isinstance(await gateway.query_payment(request.out_no), Captured)


async def test_refund_number_used_for_other_content_is_unknown(gateway: SandboxGateway, simulator: GatewaySimulator) -> None:
    refund = refund_of(await paid(gateway, simulator))
    await gateway.create_refund(refund)
    assert isinstance(await gateway.create_refund(replace(refund, amount_minor=1)), Unknown)


async def test_refunds_never_exceed_what_was_taken(gateway: SandboxGateway, simulator: GatewaySimulator) -> None:
    request = await paid(gateway, simulator)
    refunds = [refund_of(request, 1665) for _ in range(12)]
    outcomes = await asyncio.gather(*map(gateway.create_refund, refunds))
    assert [type(outcome) for outcome in outcomes].count(Refunded) == 6
    assert [type(outcome) for outcome in outcomes].count(Declined) == 6
    book = simulator.book(request.out_no)
    assert sum(row["amount_minor"] for row in book["refunds"]) == 9990
    assert book["payments"][0]["state"] == "refunded"


async def test_refund_of_an_unpaid_payment_is_declined(gateway: SandboxGateway) -> None:
    request = asked()
    await gateway.create_payment(request)
    assert isinstance(await gateway.create_refund(refund_of(request)), Declined)


async def test_refund_without_answer_is_unknown_and_happens_once(gateway: SandboxGateway, simulator: GatewaySimulator) -> None:
    request = await paid(gateway, simulator)
    refund = refund_of(request)
    simulator.script({"drop": True}, on="refund", times=1)
    assert isinstance(await gateway.create_refund(refund), Unknown)
    assert isinstance(await gateway.query_refund(refund.refund_no), Refunded)
    assert len(simulator.book(request.out_no)["refunds"]) == 1


async def test_pending_refund_is_decided_later(gateway: SandboxGateway, simulator: GatewaySimulator) -> None:
    refund = refund_of(await paid(gateway, simulator))
    simulator.script({"pending_ms": 300}, on="refund", times=1)
    assert await gateway.create_refund(refund) == Pending()
    assert await gateway.query_refund(refund.refund_no) == Pending()
    await asyncio.sleep(0.4)
    assert isinstance(await gateway.query_refund(refund.refund_no), Refunded)


# Notices


async def test_notice_of_a_payment_is_genuine_and_carries_both_numbers(
    gateway: SandboxGateway, simulator: GatewaySimulator, board: NoticeBoard
) -> None:
    request = asked(notice_url=board.url)
    placed = await gateway.create_payment(request)
    answer = await asyncio.to_thread(simulator.pay, request.out_no)
    [notice] = await board.wait()
    assert isinstance(placed, Placed)
    assert isinstance(notice, PaymentNotice)
    assert (notice.event, notice.merchant_id) == (PaymentEvent.SUCCEEDED, gateway.merchant_id)
    assert (notice.out_no, notice.gateway_ref) == (request.out_no, placed.gateway_ref)
    assert (notice.gateway_txn, notice.amount_minor, notice.currency) == (answer.json()["gateway_txn"], 9990, "CNY")
    assert dict(board.raw[0][0])["Host"].startswith("app.quanyi.localhost:")


async def test_notices_of_closing_and_refunding(gateway: SandboxGateway, simulator: GatewaySimulator, board: NoticeBoard) -> None:
    closed, refunded = asked(notice_url=board.url), asked(notice_url=board.url)
    await gateway.create_payment(closed)
    await gateway.close_payment(closed.out_no)
    [notice] = await board.wait()
    assert isinstance(notice, PaymentNotice)
    assert (notice.event, notice.gateway_txn) == (PaymentEvent.CLOSED, None)
    await gateway.create_payment(refunded)
    await asyncio.to_thread(simulator.pay, refunded.out_no)
    refund = refund_of(refunded)
    outcome = await gateway.create_refund(refund)
    assert isinstance(outcome, Refunded)
    [told] = [notice for notice in await board.wait(3) if isinstance(notice, RefundNotice)]
    assert (told.refund_no, told.gateway_refund_ref) == (refund.refund_no, outcome.gateway_refund_ref)
    assert (told.out_no, told.amount_minor) == (refunded.out_no, 4000)


async def test_repeated_notices_are_one_event(gateway: SandboxGateway, simulator: GatewaySimulator, board: NoticeBoard) -> None:
    request = asked(notice_url=board.url)
    await gateway.create_payment(request)
    simulator.script({"repeat": 9}, on="notice", out_no=request.out_no, times=1)
    await asyncio.to_thread(simulator.pay, request.out_no)
    notices = await board.wait(10)
    assert len({notice.event_key for notice in notices if isinstance(notice, PaymentNotice)}) == 1
    assert await asyncio.to_thread(simulator.replay, request.out_no, times=3) == [[200, 200, 200]]


@pytest.mark.parametrize("forgery", ["signature", "amount", "currency", "merchant", "other_order"])
async def test_forged_notice_is_refused_and_the_true_one_still_comes(
    gateway: SandboxGateway, simulator: GatewaySimulator, board: NoticeBoard, forgery: str
) -> None:
    request = asked(notice_url=board.url)
    await gateway.create_payment(request)
    simulator.script({"forge": forgery}, on="notice", out_no=request.out_no, times=1)
    await asyncio.to_thread(simulator.pay, request.out_no)
    notices = await board.wait(2)
    assert isinstance(notices[0], Forged)
    assert isinstance(notices[1], PaymentNotice)
    assert (notices[1].out_no, notices[1].amount_minor, notices[1].currency) == (request.out_no, 9990, "CNY")


async def test_notice_for_another_merchant_is_refused_though_signed(
    gateway: SandboxGateway, simulator: GatewaySimulator, board: NoticeBoard
) -> None:
    request = asked(notice_url=board.url)
    await gateway.create_payment(request)
    simulator.script({"misstate": "merchant"}, on="notice", out_no=request.out_no, times=1)
    await asyncio.to_thread(simulator.pay, request.out_no)
    assert (await board.wait())[0] == Forged("the notice is about another merchant's account")


async def test_notice_is_delayed_or_lost_on_request(
    gateway: SandboxGateway, simulator: GatewaySimulator, board: NoticeBoard
) -> None:
    request = asked(notice_url=board.url)
    await gateway.create_payment(request)
    simulator.script({"drop": True}, on="notice", out_no=request.out_no, times=2)
    await asyncio.to_thread(simulator.pay, request.out_no)
    await asyncio.sleep(0.6)
    assert board.notices == []
    await board.wait()
    lost = [row for row in simulator.book(request.out_no)["notices"] if row["answer"] == "dropped by script"]
    assert len(lost) == 2


async def test_notice_that_fell_behind_comes_after_later_ones(
    gateway: SandboxGateway, simulator: GatewaySimulator, board: NoticeBoard
) -> None:
    first, second = asked(notice_url=board.url), asked(notice_url=board.url)
    for request in (first, second):
        await gateway.create_payment(request)
    simulator.script({"behind": 1}, on="notice", out_no=first.out_no, times=1)
    for request in (first, second):
        await asyncio.to_thread(simulator.pay, request.out_no)
    notices = await board.wait(2)
    assert [notice.out_no for notice in notices if isinstance(notice, PaymentNotice)] == [second.out_no, first.out_no]


async def test_notice_that_is_a_web_page_is_refused_though_signed(
    gateway: SandboxGateway, simulator: GatewaySimulator, board: NoticeBoard
) -> None:
    request = asked(notice_url=board.url)
    await gateway.create_payment(request)
    simulator.script({"nonsense": True}, on="notice", out_no=request.out_no, times=1)
    await asyncio.to_thread(simulator.pay, request.out_no)
    assert isinstance((await board.wait())[0], Forged)


# Connections


@pytest.mark.parametrize("setting", ["base_url", "merchant_id", "api_secret", "notice_secret"])
@pytest.mark.parametrize("value", ["", "  ", None])
async def test_connection_with_an_empty_secret_cannot_be_built(client: Client, setting: str, value: str | None) -> None:
    config = {key: text for key, text in (CONFIG | {setting: value}).items() if text is not None}
    with pytest.raises(IncompleteConnection, match=setting):
        open_gateway("sandbox", config, client)


async def test_unknown_gateway_cannot_be_opened(client: Client) -> None:
    with pytest.raises(IncompleteConnection, match="no payment gateway named barter"):
        open_gateway("barter", CONFIG, client)


async def test_secrets_are_not_shown_when_a_gateway_is_printed(client: Client) -> None:
    config = CONFIG | {"api_secret": "s3cret", "notice_secret": "s3cret"}
    assert "s3cret" not in repr(open_gateway("sandbox", config, client))


async def test_account_cannot_be_opened_where_nobody_listens(client: Client) -> None:
    with pytest.raises(NotSent):
        await open_account("http://127.0.0.1:9", client)
