"""Tells clients what became of their purchases, again and again until they acknowledge it."""

import asyncio
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

import httpx2

from simulators.supplier.book import Book, Client, Purchase, Row, Used, now
from simulators.supplier.company import Company
from simulators.supplier.faults import Action, Script
from simulators.supplier.protocol import Message, Protocol

WAITS_S = (0.2, 1.0, 5.0, 30.0, 120.0, 600.0)  # after the 1st, 2nd, … attempt; then it is given up
MAX_AT_ONCE = 64
ANSWER_S = 10.0
OLDER_S = 60.0


class Sender:
    """Sends events of the book on the running loop, at most MAX_AT_ONCE at a time."""

    def __init__(self, company: Company, protocol: Protocol, script: Script) -> None:
        self._company, self._protocol, self._script = company, protocol, script
        self._book: Book = company.book
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        limits = httpx2.Limits(max_connections=MAX_AT_ONCE, max_keepalive_connections=MAX_AT_ONCE)
        self._http = httpx2.AsyncClient(limits=limits, timeout=ANSWER_S, trust_env=False, follow_redirects=False)
        company.announce = self.announce
        company.announce_goods = self.announce_goods
        for event in self._book.all("select id from event where state = 'open' order by id limit 10000"):
            self.announce(event["id"])

    def announce(self, event_id: int) -> None:
        task = self._loop.create_task(self._attempt(event_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def announce_goods(self, sku: str) -> None:
        """Tell every client who wants it what one of the goods costs now and how many there are. A restart forgets whom it had still to tell."""
        for client in self._company.clients:
            if client.goods_url:
                task = self._loop.create_task(self._tell_goods(client, sku))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _tell_goods(self, client: Client, sku: str) -> None:
        """As the script says, until it is acknowledged."""
        for wait_s in WAITS_S:
            action, at = self._script.take("notice", out_no=None, sku=sku, client_id=client.id), now()
            await asyncio.sleep(action.delay_ms / 1000)
            told = [False]
            if not (action.drop or action.before == "drop"):
                told = await asyncio.gather(*(self._send_goods(client, sku, at, action) for _ in range(1 + action.repeat)))
                if action.reorder:
                    await self._send_goods(client, sku, at - OLDER_S, action, is_older=True)
            if all(told):
                return
            await asyncio.sleep(wait_s)

    async def _send_goods(self, client: Client, sku: str, at: float, action: Action, *, is_older: bool = False) -> bool:
        """Whether it was acknowledged. An older one tells of another cost, as it was some time ago."""
        with self._company.acting(action):
            goods = self._company.told_goods(sku)
        if goods is None:
            return True
        if is_older:
            goods = replace(goods, cost=goods.cost + 1)
        if action.forge == "signature":
            client = _stranger(client)
        message = self._protocol.goods_notice(client, goods, at)
        if message is None:
            return True
        if action.forge == "body":
            message = replace(message, body=message.body.replace(sku.encode(), sku.encode()[:-1] + b"~"))
        status, body = await self._post(message, message.url)
        altered = f"{action.forge or ''}{action.misstate or ''}{'older' if is_older else ''}"
        with self._book.write():
            answer = body[:200].decode("utf-8", "replace")
            self._book.insert("goods_sent", client_id=client.id, sku=sku, at=now(), status=status, answer=answer, altered=altered)
        return status is not None and self._protocol.is_acknowledged(status, body)

    def announce_use(self, use_id: int) -> None:
        """Tell the client what became of its purchase, until it acknowledges it. A restart forgets whom it had still to tell."""
        task = self._loop.create_task(self._tell_use(use_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_use(self, use_id: int) -> None:
        row = self._book.one("select * from use where id = ?", use_id)
        assert row is not None
        client, purchase = self._subject(row)
        used = Used(row["id"], row["at"], row["place"], bool(row["is_taken_back"]))
        for wait_s in WAITS_S:
            action = self._script.take("notice", out_no=purchase.out_no, sku=purchase.sku, client_id=client.id)
            await asyncio.sleep(action.delay_ms / 1000)
            told = [False]
            if not (action.drop or action.before == "drop"):
                told = await asyncio.gather(*(self._send_use(client, purchase, used, action) for _ in range(1 + action.repeat)))
            if all(told):
                return
            await asyncio.sleep(wait_s)

    async def _send_use(self, client: Client, purchase: Purchase, used: Used, action: Action) -> bool:
        """Whether it was acknowledged, untouched."""
        message = self._protocol.use_notice(_stranger(client) if action.forge == "signature" else client, purchase, used)
        if message is None:
            return True
        if action.forge == "body":
            out_no = purchase.out_no.encode()
            message = replace(message, body=message.body.replace(out_no, out_no[:-1] + b"~"))
        status, body = await self._post(message, message.url)
        with self._book.write():
            answer = body[:200].decode("utf-8", "replace")
            self._book.insert("use_sent", use_id=used.id, at=now(), status=status, answer=answer, altered=action.forge or "")
        return status is not None and self._protocol.is_acknowledged(status, body) and not action.forge

    async def aclose(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def resend(self, out_no: str, *, times: int, url: str | None, forge: Action) -> list[int | None]:
        """Send the notices of a purchase again, all copies at once, there or elsewhere."""
        events = self._book.all(EVENTS_OF, out_no)
        return await asyncio.gather(*(self._send(event, forge, url=url) for event in events for _ in range(times)))

    async def _attempt(self, event_id: int) -> None:
        event = self._book.one("select * from event where id = ?", event_id)
        if event is None or event["state"] != "open":
            return
        client, purchase = self._subject(event)
        if self._protocol.notice(client, purchase) is None:
            self._close(event, "unwanted")
            return
        action = self._script.take("notice", out_no=purchase.out_no, sku=purchase.sku, client_id=client.id)
        await asyncio.sleep(action.delay_ms / 1000)
        if action.drop or action.before == "drop":
            self._record(event, status=None, body=b"dropped by script", altered="")
        else:
            await asyncio.gather(*(self._send(event, action) for _ in range(1 + action.repeat)))
            if action.reorder:
                await self._send(event, action, told="processing")
        again = self._book.one("select * from event where id = ?", event_id)
        if again is not None and again["state"] == "open":
            self._loop.call_later(WAITS_S[min(event["attempts"], len(WAITS_S) - 1)], self.announce, event_id)

    async def _send(self, event: Row, action: Action, *, url: str | None = None, told: str = "") -> int | None:
        client, purchase = self._subject(event)
        message = self._message(client, replace(purchase, state=told or event["told"]), action)
        status, body = await self._post(message, url or message.url)
        self._record(event, status=status, body=body, altered=f"{action.forge or ''}{action.misstate or ''}{told}")
        return status

    async def _post(self, message: Message, url: str) -> tuple[int | None, bytes]:
        """Status and body of the answer; None and the fault's name where there is none."""
        target, host = _reachable(url)
        async with self._slots:
            try:
                headers = {**message.headers, "Host": host}
                response = await self._http.request(message.method, target, content=message.body, headers=headers)
            except (httpx2.HTTPError, httpx2.InvalidURL) as fault:
                return None, type(fault).__name__.encode()
        return response.status_code, response.content

    def _message(self, client: Client, purchase: Purchase, action: Action) -> Message:
        """`body` is changed on the way, under the true one's signature; `signature` is made with secrets that are not the client's."""
        if action.forge == "signature":
            client = _stranger(client)
        if action.forge == "other_client":
            others = [other for other in self._book.clients() if other.id != client.id]
            client = replace(others[0], notice_url=client.notice_url) if others else client
        with self._company.acting(action):
            message = self._protocol.notice(client, purchase)
        assert message is not None
        if action.forge == "body":
            out_no = purchase.out_no.encode()
            message = replace(message, body=message.body.replace(out_no, out_no[:-1] + b"~"))
        return message

    def _subject(self, event: Row) -> tuple[Client, Purchase]:
        purchase = self._book.purchase_where("id = ?", event["purchase_id"])
        assert purchase is not None
        return self._book.client(purchase.client_id), purchase

    def _record(self, event: Row, *, status: int | None, body: bytes, altered: str) -> None:
        with self._book.write():
            self._book.insert(
                "sent",
                event_id=event["id"],
                at=now(),
                status=status,
                answer=body[:200].decode("utf-8", "replace"),
                altered=altered,
            )
            self._book.run("update event set attempts = attempts + 1 where id = ?", event["id"])
        if status is not None and self._protocol.is_acknowledged(status, body) and not altered:
            self._close(event, "acknowledged")
        elif event["attempts"] >= len(WAITS_S):
            self._close(event, "given_up")

    def _close(self, event: Row, state: str) -> None:
        with self._book.write():
            self._book.run("update event set state = ? where id = ? and state = 'open'", state, event["id"])


def _stranger(client: Client) -> Client:
    """The client with secrets that are nobody's."""
    return replace(client, credentials={name: value[::-1] for name, value in client.credentials.items()})


def _reachable(url: str) -> tuple[str, str]:
    """Where to connect and which host to ask for: names under .localhost are this machine (RFC 6761, 6.3)."""
    parts = urlsplit(url)
    if (parts.hostname or "").endswith(".localhost"):
        address = "127.0.0.1" if parts.port is None else f"127.0.0.1:{parts.port}"
        return urlunsplit(parts._replace(netloc=address)), parts.netloc
    return url, parts.netloc


EVENTS_OF = """
select event.*
from event
join purchase on purchase.id = event.purchase_id
where purchase.out_no = ?
order by event.id
"""
