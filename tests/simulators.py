"""Starts the other companies as real processes on free ports, and reads their books.

A test counts effects here, at the other side, and not in our own tables.
"""

import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parent.parent
START_S = 90.0
STOP_S = 30.0


class Process:
    """One simulator. `addresses` is the line it printed once it listened."""

    def __init__(self, module: str, *options: str) -> None:
        self._running = subprocess.Popen([sys.executable, "-m", module, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.addresses: Mapping[str, Any] = json.loads(self._first_line())

    def _first_line(self) -> str:
        assert self._running.stdout is not None
        ready, _, _ = select.select([self._running.stdout], [], [], START_S)
        line = self._running.stdout.readline() if ready else ""
        if not line:
            self.kill()
            raise RuntimeError(f"{self._running.args!r} did not start within {START_S:.0f} s")
        return line

    def stop(self) -> None:
        """Ask it to end, and wait. Idempotent."""
        self._running.terminate()
        try:
            self._running.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._running.kill()
        self._running.wait(STOP_S)


class GatewaySimulator:
    """The sandbox payment gateway, with its control side on."""

    def __init__(self, book: Path) -> None:
        self.process = Process("simulators.gateway", "--book", str(book), "--control")
        self.url: str = self.process.addresses["gateway"]
        self.http = httpx2.Client(base_url=self.url, trust_env=False, timeout=60)

    def script(self, *actions: Mapping[str, Any], times: int | None = None, **match: str) -> None:
        """Misbehave at the steps that match (`on`, `out_no`, `merchant_id`): see simulators/gateway/README.md."""
        rule = {"match": match, "actions": actions, "times": times}
        self.http.post("/control/script", json=rule).raise_for_status()

    def clear_script(self) -> None:
        self.http.delete("/control/script").raise_for_status()

    def pay(self, out_no: str) -> httpx2.Response:
        """Pay as the buyer would on the pay page."""
        return self.http.post("/control/pay", json={"out_no": out_no})

    def replay(self, out_no: str, *, times: int = 1, notice_url: str | None = None) -> list[list[int | None]]:
        """Send the notices of a payment again; the statuses they were answered with, notice by notice."""
        asked = {"out_no": out_no, "times": times, "notice_url": notice_url}
        answer = self.http.post("/control/replay", json=asked).raise_for_status()
        statuses: list[list[int | None]] = answer.json()["statuses"]
        return statuses

    def book(self, out_no: str | None = None) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Payments, captures, refunds and notices, newest first."""
        asked = {} if out_no is None else {"out_no": out_no}
        found: Mapping[str, Sequence[Mapping[str, Any]]] = self.http.get("/control/book", params=asked).raise_for_status().json()
        return found

    def totals(self) -> Mapping[str, Mapping[str, int]]:
        found: Mapping[str, Mapping[str, int]] = self.http.get("/control/totals").raise_for_status().json()
        return found

    def stop(self) -> None:
        self.http.close()
        self.process.stop()


class Outbox:
    """The mail and text-message company, where one runs already."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.Client(base_url=url, trust_env=False, timeout=60)

    def messages(self, to: str | None = None) -> list[Mapping[str, Any]]:
        """What has arrived, newest first."""
        found: list[Mapping[str, Any]] = (
            self.http.get("/messages", params={} if to is None else {"to": to}).raise_for_status().json()["messages"]
        )
        return found

    def wait_for(self, to: str, *, count: int = 1, within_s: float = 10.0) -> list[Mapping[str, Any]]:
        """Wait until someone has at least `count` messages. Raises: TimeoutError."""
        deadline = time.monotonic() + within_s
        while len(found := self.messages(to)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {count} messages for {to} after {within_s} s")
            time.sleep(0.05)
        return found

    def robot(self, company: str, *, is_signed: bool = True) -> "GroupRobot":
        """Open a group chat with a robot of this company."""
        opened = self.http.post("/robots", json={"company": company, "is_signed": is_signed}).raise_for_status().json()
        return GroupRobot(self.http, **opened)

    def stop(self) -> None:
        self.http.close()


class OutboxSimulator(Outbox):
    """A mail and text-message company of one's own."""

    def __init__(self, book: Path, *, sms_secret: str = "sms-secret") -> None:
        self.sms_secret = sms_secret
        self.process = Process("simulators.outbox", "--book", str(book), "--sms-secret", sms_secret)
        self.smtp_port = int(self.process.addresses["smtp_port"])
        super().__init__(self.process.addresses["outbox"])

    def stop(self) -> None:
        super().stop()
        self.process.stop()


class GroupRobot:
    """A robot of a group chat at the outbox's companies: its address and secret, and what the group was told."""

    def __init__(self, http: httpx2.Client, token: str, address: str, secret: str) -> None:
        self._http = http
        self.token, self.address, self.secret = token, address, secret

    def refuse(self, how: str) -> None:
        """`busy`, `down`, `no`, or nothing to behave well again."""
        self._http.patch(f"/robots/{self.token}", json={"refuses": how}).raise_for_status()

    def texts(self) -> list[str]:
        """What the group was told, newest first."""
        return [message["text"] for message in self._book()["messages"]]

    def calls(self) -> Mapping[str, int]:
        """How calls ended: `taken`, `refused`, `too fast`, `too long`."""
        found: Mapping[str, int] = self._book()["calls"]
        return found

    def _book(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._http.get("/robots/messages", params={"token": self.token}).raise_for_status().json()
        return found


@contextmanager
def gateway_simulator(folder: Path) -> Iterator[GatewaySimulator]:
    simulator = GatewaySimulator(folder / "gateway.sqlite3")
    try:
        yield simulator
    finally:
        simulator.stop()


@contextmanager
def outbox_simulator(folder: Path) -> Iterator[OutboxSimulator]:
    simulator = OutboxSimulator(folder / "outbox.sqlite3")
    try:
        yield simulator
    finally:
        simulator.stop()


class SupplierSimulator:
    """One supplier that speaks one protocol; see simulators/supplier/README.md."""

    def __init__(self, book: Path, protocol: str) -> None:
        self._options = (str(book), "--protocol", protocol)
        self.process = Process("simulators.supplier", "127.0.0.1", "0", *self._options)
        self.url: str = self.process.addresses["supplier"]
        self.http = httpx2.Client(base_url=self.url + "/desk", trust_env=False, timeout=60)

    def client(self, **changes: Any) -> dict[str, str]:
        """Open a client (`balance`, `currency`, `credentials`, `notice_url`); its credentials, by the names of a connection's settings."""
        opened: dict[str, str] = self._post("/clients", changes)["credentials"]
        return opened

    def change_client(self, client_id: int, **changes: Any) -> None:
        self.http.patch(f"/clients/{client_id}", json=changes).raise_for_status()

    def goods(self, *goods: Mapping[str, Any]) -> None:
        """Add or replace goods: `sku`, `kind` (card or top_up), `cost` as text, `stock`, `account_fields`, …"""
        self._post("/goods", list(goods))

    def change_goods(self, sku: str, **changes: Any) -> None:
        """`cost`, `stock` (None: not counted), `is_on_sale`."""
        self.http.patch(f"/goods/{sku}", json=changes).raise_for_status()

    def cards(self, sku: str, *cards: Mapping[str, str]) -> None:
        self._post("/cards", {"sku": sku, "cards": list(cards)})

    def script(self, *actions: Mapping[str, Any], times: int | None = None, **match: Any) -> None:
        """Misbehave at the steps that match (`on`, `out_no`, `sku`, `client_id`)."""
        self._post("/script", {"match": match, "actions": actions, "times": times})

    def clear_script(self) -> None:
        self.http.delete("/script").raise_for_status()

    def conduct(self, **changes: Any) -> None:
        """What the whole company is like: `state`, `latency_ms`, `decide_ms`, `most_at_once`, `repeats`, …"""
        self.http.patch("/conduct", json=changes).raise_for_status()

    def use(self, out_no: str, **told: Any) -> int:
        """What was bought under a number is used (`place`, `at`), or that is taken back (`is_taken_back`); the company's number of it."""
        use_id: int = self._post("/uses", {"out_no": out_no, **told})["use_id"]
        return use_id

    def replay(
        self, out_no: str, *, times: int = 1, url: str | None = None, forge: Mapping[str, Any] | None = None
    ) -> list[int | None]:
        """Send the notices of a purchase again; the statuses they were answered with."""
        asked = {"out_no": out_no, "times": times, "url": url, "forge": forge or {}}
        statuses: list[int | None] = self._post("/replay", asked)["statuses"]
        return statuses

    def book(self, out_no: str | None = None) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Purchases, effects, cards, calls asked, notices and clients, newest first."""
        asked = {} if out_no is None else {"out_no": out_no}
        found: Mapping[str, Sequence[Mapping[str, Any]]] = self.http.get("/book", params=asked).raise_for_status().json()
        return found

    def effects(self, out_no: str) -> int:
        """How often this number was really delivered."""
        return len(self.book(out_no)["effects"])

    def totals(self) -> Mapping[str, Mapping[str, int]]:
        found: Mapping[str, Mapping[str, int]] = self.http.get("/totals").raise_for_status().json()
        return found

    def _post(self, path: str, document: object) -> dict[str, Any]:
        answered: dict[str, Any] = self.http.post(path, json=document).raise_for_status().json()
        return answered

    def die(self) -> None:
        """Its machine is switched off: whoever waits for an answer gets none, and what it did stands in its book."""
        self.process.kill()

    def come_back(self) -> None:
        """The same company at the same address, with its book and without its script."""
        self.process = Process("simulators.supplier", "127.0.0.1", self.url.rpartition(":")[2], *self._options)

    def stop(self) -> None:
        self.http.close()
        self.process.stop()


@contextmanager
def supplier_simulator(folder: Path, protocol: str) -> Iterator[SupplierSimulator]:
    simulator = SupplierSimulator(folder / f"{protocol}.sqlite3", protocol)
    try:
        yield simulator
    finally:
        simulator.stop()
