"""Buyers who come at a bounded rate, order and pay over HTTP as a browser does, ask again when nobody answers, and write down what they were told."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2

from torture.stage import Goods, Merchant

ANSWER_S = 20.0
PATIENCE_S = 90.0
"""How long a buyer asks again for one thing before he goes away."""
PAUSE_S = 0.5
LOOK_S = 1.0
LEAVES_UNPAID, CANCELS, PAYS_TWICE, READS = 0.08, 0.04, 0.05, 0.6
"""Shares of buyers."""


class GaveUp(Exception):
    """A buyer who was not answered for `PATIENCE_S`."""


@dataclass
class Told:
    """What one buyer knows of his order."""

    merchant: Merchant
    goods: Goods
    order_no: str
    phone: str
    """What he typed where a number is credited."""
    has_paid: bool = False
    keys: tuple[str, ...] = ()
    """Each as he read it: the number and, parted by a blank, its password."""
    saw_credited: bool = False


@dataclass
class Tally:
    """What all buyers saw."""

    requests: int = 0
    lost: int = 0
    """Requests without an answer."""
    statuses: Counter[int] = field(default_factory=Counter)
    orders: list[Told] = field(default_factory=list)
    refused: int = 0
    gave_up: int = 0
    faulty: list[str] = field(default_factory=list)
    """Answers that no fault excuses: the first of them."""

    @property
    def paid(self) -> int:
        return sum(told.has_paid for told in self.orders)


@dataclass(frozen=True)
class Answer:
    status: int
    location: str
    text: str


class Buyer:
    """One person with one browser, one telephone and one network address."""

    def __init__(
        self, client: httpx2.AsyncClient, tally: Tally, merchant: Merchant, *, web_port: int, luck: random.Random
    ) -> None:
        self._client, self._tally, self._merchant, self._luck = client, tally, merchant, luck
        self._place = f"http://127.0.0.1:{web_port}"
        self._host = f"{merchant.tenant.slug}.shop.localhost:{web_port}"
        self._address = ".".join(str(luck.randrange(1, 255)) for _ in range(4))
        self._phone = f"13{luck.randrange(10**9):09d}"
        self._cookies: dict[str, str] = {}

    async def buy(self, goods: Goods) -> None:
        """From the product's page to the key, or to whatever he was told."""
        try:
            told = await self._order(goods)
            if told is not None:
                await self._go_on(told)
        except GaveUp:
            self._tally.gave_up += 1

    async def _order(self, goods: Goods) -> Told | None:
        page = await self._until("GET", f"/products/{goods.product_id}", fine=(200,))
        key = re.search(r'name="request_id" value="([^"]+)"', page.text)
        if key is None:  # sold out
            self._tally.refused += 1
            return None
        form = {
            "listing": str(goods.listing_id),
            "quantity": self._luck.choice("1112"),
            "contact": self._phone,
            "request_id": key[1],
        }
        placed = await self._send(goods, {**form, **_token(page)})
        if placed.status == 409:
            self._tally.refused += 1
            return None
        told = Told(self._merchant, goods, placed.location.split("/")[2], self._phone)
        self._tally.orders.append(told)
        self._path = placed.location
        return told

    async def _send(self, goods: Goods, form: Mapping[str, str]) -> Answer:
        """Send the form; where a number is credited it is read once more and confirmed."""
        if not goods.is_credited:
            return await self._until("POST", "/checkout", form, fine=(303, 409))
        typed = {**form, "account-phone": f"+86{self._phone}"}
        shown = await self._until("POST", "/checkout", typed, fine=(200, 409))
        mark = re.search(r'name="confirmed" value="([^"]+)"', shown.text)
        if shown.status == 409 or mark is None:
            return Answer(409, "", shown.text)
        return await self._until("POST", "/checkout", {**typed, "confirmed": mark[1]}, fine=(303, 409))

    async def _go_on(self, told: Told) -> None:
        mood = self._luck.random()
        if mood < LEAVES_UNPAID:
            return
        page = await self._until("GET", self._path, fine=(200,))
        if mood < LEAVES_UNPAID + CANCELS:
            await self._until("POST", f"{self._path}/cancellation", _token(page), fine=(303, 409))
            return
        payment = await self._until("POST", f"{self._path}/payment", _token(page), fine=(303, 409))
        if payment.status == 409 or not payment.location.startswith("http"):
            return  # his time was over
        for _ in range(2 if self._luck.random() < PAYS_TWICE else 1):
            told.has_paid = await self._pay(payment.location) or told.has_paid
        if told.has_paid and self._luck.random() < READS:
            await (self._see(told) if told.goods.is_credited else self._read(told))

    async def _pay(self, url: str) -> bool:
        """At the gateway's own page, which may be away for a moment too."""
        for _ in range(int(PATIENCE_S / PAUSE_S)):
            try:
                answer = await self._client.post(url, timeout=ANSWER_S)
            except httpx2.HTTPError:
                await asyncio.sleep(PAUSE_S)
                continue
            return answer.status_code == 303
        raise GaveUp

    async def _read(self, told: Told) -> None:
        """Look now and then until the page has the keys or says that the money goes back; then read them."""
        for _ in range(int(PATIENCE_S / LOOK_S)):
            page = await self._until("GET", self._path, fine=(200,))
            if "/reveals/" in page.text:
                shown = await self._until("POST", f"{self._path}/reveals", _token(page), accept="text/plain", fine=(200,))
                told.keys = tuple(shown.text.splitlines())
                return
            if _is_over(page):
                return
            await asyncio.sleep(LOOK_S)

    async def _see(self, told: Told) -> None:
        """Look now and then until the page says that the number is credited or that the money goes back."""
        for _ in range(int(PATIENCE_S / LOOK_S)):
            page = await self._until("GET", self._path, fine=(200,))
            told.saw_credited = "<h1>Credited</h1>" in page.text
            if told.saw_credited or _is_over(page):
                return
            await asyncio.sleep(LOOK_S)

    async def _until(
        self, method: str, path: str, form: Mapping[str, str] | None = None, *, accept: str = "text/html", fine: tuple[int, ...]
    ) -> Answer:
        """Ask until somebody answers. "Busy" and silence are asked again; what is neither that nor fine is written down. Raises: GaveUp."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while asyncio.get_running_loop().time() < deadline:
            answer = await self._ask(method, path, form, accept)
            if answer is not None and answer.status in fine:
                return answer
            if answer is not None and answer.status != 503:
                self._tally.faulty.append(f"{method} {path} answered {answer.status}")
                if answer.status < 500:
                    raise GaveUp
            await asyncio.sleep(PAUSE_S * (1 + self._luck.random()))
        raise GaveUp

    async def _ask(self, method: str, path: str, form: Mapping[str, str] | None, accept: str) -> Answer | None:
        headers = {"Host": self._host, "Accept": accept, "Accept-Language": "en", "X-Forwarded-For": self._address}
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        if method == "POST":
            headers["Origin"] = f"http://{self._host}"
        self._tally.requests += 1
        try:
            answer = await self._client.request(method, self._place + path, headers=headers, data=form, timeout=ANSWER_S)
        except httpx2.HTTPError:
            self._tally.lost += 1
            return None
        self._tally.statuses[answer.status_code] += 1
        for line in answer.headers.get_list("set-cookie"):
            name, _, rest = line.partition("=")
            self._cookies[name] = rest.partition(";")[0]
        return Answer(answer.status_code, answer.headers.get("location", ""), answer.text)


def _is_over(page: Answer) -> bool:
    """Whether nothing comes any more, or the money is on its way back."""
    state = re.search(r"/status\?seen=(\w+)", page.text)
    return state is None or state[1] == "refunding"


def _token(page: Answer) -> dict[str, str]:
    found = re.search(r'name="_csrf" value="([^"]+)"', page.text)
    return {"_csrf": found[1] if found else ""}


class Crowd:
    """Buyers one after the other at a steady pace, each on his own way, until told to stop coming."""

    def __init__(self, merchants: list[Merchant], *, web_port: int, luck: random.Random) -> None:
        self.tally = Tally()
        self._merchants, self._web_port, self._luck = merchants, web_port, luck
        self._under_way: set[asyncio.Task[None]] = set()
        limits = httpx2.Limits(max_connections=200, max_keepalive_connections=50)
        self._client = httpx2.AsyncClient(trust_env=False, follow_redirects=False, limits=limits)

    async def come(self, *, per_second: float, seconds: float) -> None:
        """So many a second for so long; returns when the last one came, not when he left."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for number in range(int(per_second * seconds)):
            await asyncio.sleep(max(0.0, started + number / per_second - loop.time()))
            merchant = self._luck.choice(self._merchants)
            buyer = Buyer(self._client, self.tally, merchant, web_port=self._web_port, luck=random.Random(self._luck.random()))
            (wanted,) = self._luck.choices(merchant.goods, [goods.share for goods in merchant.goods])
            task = asyncio.create_task(buyer.buy(wanted))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def leave(self) -> None:
        """Wait until everybody has what he came for, or has given up. Raises what a buyer's own code raises: a bug of ours."""
        await asyncio.gather(*self._under_way)
        await self._client.aclose()
