"""The company's side of the wire: each call, with the misbehaviour that is scripted for it."""

import asyncio
import time
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from simulators.supplier.book import now
from simulators.supplier.company import Company, Refusal
from simulators.supplier.faults import GOOD, HANG_S, HUGE_BYTES, Action, Door, Script
from simulators.supplier.protocol import Asked, Protocol, Reply, Task

MAX_BODY_BYTES = 256 * 1024
CHUNK_BYTES = 256 * 1024
HTML = b"<!doctype html><html><body><h1>Maintenance</h1></body></html>"


class _Cut(Exception):
    """The connection is cut and there is nobody to answer."""


class _Unavailable(Exception):
    """The company answers no calls now."""


class Front:
    """The whole process's ASGI application: `/desk` is the testers' side, everything else speaks the protocol."""

    def __init__(self, company: Company, protocol: Protocol, script: Script, *, door: Door, desk: ASGIApp) -> None:
        self.company, self.protocol, self.script = company, protocol, script
        self.door, self.desk = door, desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"] == "/desk" or scope["path"].startswith("/desk/"):
            await self.desk(scope, receive, send)
            return
        asked = await _read(scope, receive)
        self.door.enter()
        try:
            reply, action = await self._answer(asked)
            await _send(send, reply, action)
        except _Unavailable:
            await _send(send, Reply(b"Service Unavailable", 503, {"Content-Type": "text/plain"}), GOOD)
        except _Cut:
            cut: Any = scope["extensions"]
            cut["sandbox.cut"]()
            await asyncio.sleep(0.01)
            await _send(send, Reply(b"", 503), GOOD)  # goes nowhere: the connection is gone
        finally:
            self.door.leave()

    async def _answer(self, asked: Asked) -> tuple[Reply, Action]:
        started = time.monotonic()
        await self._meet_conduct()
        if self.door.is_busy():
            return self.protocol.refused(Refusal("busy", "Too many calls.")), GOOD
        try:
            task = self.protocol.read(asked)
        except Refusal as refusal:
            return self.protocol.refused(refusal), GOOD
        client_id = task.client.id if task.client else None
        action = self.script.take(task.step, out_no=task.out_no, sku=task.sku, client_id=client_id)
        await asyncio.sleep(action.delay_ms / 1000)
        if action.before == "drop":
            self._note(task, "dropped before")
            raise _Cut
        reply = self._do(task, action)
        if action.hang:
            await asyncio.sleep(HANG_S)
        if action.drop or action.hang:
            raise _Cut
        await asyncio.sleep(max(0.0, started + self.company.conduct.latency_ms / 1000 - time.monotonic()))
        return reply, action

    async def _meet_conduct(self) -> None:
        match self.door.state():
            case "down":
                raise _Cut
            case "unavailable":
                raise _Unavailable
            case "hanging":
                await asyncio.sleep(HANG_S)
                raise _Cut

    def _do(self, task: Task, action: Action) -> Reply:
        with self.company.acting(action):
            try:
                reply, ending = task.run(), "answered"
            except Refusal as refusal:
                reply, ending = self.protocol.refused(refusal), refusal.kind
        self._note(task, ending)
        return reply

    def _note(self, task: Task, ending: str) -> None:
        book = self.company.book
        client_id = task.client.id if task.client else None
        with book.write():
            book.insert("asked", at=now(), step=task.step, out_no=task.out_no, client_id=client_id, ending=ending)


async def _read(scope: Any, receive: Receive) -> Asked:
    body = bytearray()
    while True:
        message: Any = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES or message["type"] == "http.disconnect" or not message.get("more_body"):
            break
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Asked(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers, bytes(body))


async def _send(send: Any, reply: Reply, action: Action) -> None:
    body, status, headers = reply.body, reply.status, dict(reply.headers)
    match action.body:
        case "html":
            body, headers = HTML, {"Content-Type": "text/html; charset=utf-8"}
        case "empty":
            body = b""
        case "list":
            body = b"[]"
        case "truncated":
            body = body[: len(body) // 2]
        case "huge":
            await _send_huge(send, headers)
            return
    if action.http_500_after_effect:
        body, status = b'{"message":"Something went wrong here."}', 500
    status = action.status or status
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": [*raw, (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


async def _send_huge(send: Any, headers: dict[str, str]) -> None:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    for _ in range(HUGE_BYTES // CHUNK_BYTES):
        await send({"type": "http.response.body", "body": b" " * CHUNK_BYTES, "more_body": True})
    await send({"type": "http.response.body", "body": b"{}"})
