"""Tells merchants what happened, again and again until they acknowledge it."""

import asyncio
import contextlib
import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2

from simulators.gateway.book import Book, Row
from simulators.gateway.faults import Script, untrue
from simulators.gateway.requests import Action
from simulators.signing import message_headers

WAITS_S = (0.2, 1.0, 5.0, 30.0, 120.0, 600.0, 1800.0)  # after the 1st, 2nd, … attempt; then it is given up
MAX_AT_ONCE = 64
ANSWER_S = 10.0
BEHIND_S = 5.0
NONSENSE = b"<html><body><h1>Welcome</h1></body></html>"


class Sender:
    """Sends events of the book on the running loop, at most MAX_AT_ONCE at a time."""

    def __init__(self, book: Book, script: Script) -> None:
        self._book, self._script = book, script
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent = 0
        limits = httpx2.Limits(max_connections=MAX_AT_ONCE, max_keepalive_connections=MAX_AT_ONCE)
        self._client = httpx2.AsyncClient(limits=limits, timeout=ANSWER_S, trust_env=False, follow_redirects=False)
        book.announce = self.announce
        for event in book.open_events():
            self.announce(event["event_id"])

    def announce(self, event_id: str) -> None:
        task = self._loop.create_task(self._attempt(event_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    async def resend(self, event: Row, times: int, notice_url: str | None) -> list[int | None]:
        """Send an event again as it was, all copies at once, and return the answers' statuses."""
        return await asyncio.gather(*(self._send(event, Action(), notice_url) for _ in range(times)))

    async def _attempt(self, event_id: str) -> None:
        event = self._book.event(event_id)
        if event is None or event["state"] != "open":
            return
        action = self._script.take("notice", event["merchant_id"], event["out_no"], event["refund_no"])
        await asyncio.sleep(action.delay_ms / 1000)
        await self._fall_behind(action.behind)
        if action.drop or action.before == "drop":
            self._record(event, status=None, answer="dropped by script", altered="")
        else:
            await asyncio.gather(*(self._send(event, action, None) for _ in range(1 + action.repeat)))
        again = self._book.event(event_id)
        if again is not None and again["state"] == "open":
            self._loop.call_later(WAITS_S[min(event["attempts"], len(WAITS_S) - 1)], self.announce, event_id)

    async def _fall_behind(self, others: int) -> None:
        """Let so many notices that came later go first."""
        until = self._sent + others
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEHIND_S):
                while self._sent < until:  # noqa: ASYNC110  # other sendings bring it about
                    await asyncio.sleep(0.01)

    async def _send(self, event: Row, action: Action, notice_url: str | None) -> int | None:
        body, headers = self._signed(event, action)
        url, host = _reachable(notice_url or event["notice_url"])
        status, answer = None, ""
        async with self._slots:
            try:
                response = await self._client.post(url, content=body, headers=headers | {"Host": host})
                status, answer = response.status_code, response.text
            except (httpx2.HTTPError, httpx2.InvalidURL) as fault:
                answer = type(fault).__name__
        self._sent += 1
        self._record(event, status=status, answer=answer, altered=_alteration(action))
        return status

    def _signed(self, event: Row, action: Action) -> tuple[bytes, dict[str, str]]:
        """`misstate` is signed by us and untrue; `forge` is changed on the way, under the signature of the true one."""
        account = self._book.secrets_of(event["merchant_id"])
        assert account is not None
        said: dict[str, Any] = untrue(json.loads(event["body"]), action.misstate)
        body = NONSENSE if action.nonsense else _bytes(said)
        headers = message_headers(account[1], body) | {"Content-Type": "application/json"}
        if action.forge == "signature":
            headers |= message_headers("somebody else's secret", body)
        elif action.forge is not None:
            body = _bytes(untrue(said, action.forge))
        return body, headers

    def _record(self, event: Row, *, status: int | None, answer: str, altered: str) -> None:
        is_last = event["attempts"] >= len(WAITS_S)
        self._book.record_sent(event, status=status, answer=answer, altered=altered, is_last=is_last)


def _alteration(action: Action) -> str:
    if action.nonsense:
        return "nonsense"
    if action.forge is not None:
        return f"forged {action.forge}"
    return f"misstated {'amount' if action.misstate is True else action.misstate}" if action.misstate else ""


def _bytes(said: dict[str, Any]) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _reachable(url: str) -> tuple[str, str]:
    """Where to connect and which host to ask for: names under .localhost are this machine (RFC 6761, 6.3)."""
    parts = urlsplit(url)
    if (parts.hostname or "").endswith(".localhost"):
        address = "127.0.0.1" if parts.port is None else f"127.0.0.1:{parts.port}"
        return urlunsplit(parts._replace(netloc=address)), parts.netloc
    return url, parts.netloc
