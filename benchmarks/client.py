"""A small HTTP client on one kept-alive connection: it names the host itself and keeps the shop's cookies, which are Secure and `__Host-`."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from types import TracebackType
from typing import Self

WAIT_S = 30.0


@dataclass(frozen=True)
class Answer:
    """Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: str


class Client:
    """Blocking; for preparing a load and for looking at single pages."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._connection = http.client.HTTPConnection(*address, timeout=WAIT_S)
        self.cookies: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def get(self, host: str, path: str) -> Answer:
        return self._send("GET", host, path, None)

    def post(self, host: str, path: str, body: str) -> Answer:
        """A form as a browser without scripts sends it."""
        return self._send("POST", host, path, body)

    def _send(self, method: str, host: str, path: str, body: str | None) -> Answer:
        headers = {"Host": host, "Accept": "text/html", "Accept-Language": "en"}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body is not None:
            headers |= {"Origin": f"http://{host}", "Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request(method, path, body=body, headers=headers)
        answer = self._connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        for line in answer.headers.get_all("set-cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name.strip()] = value.strip()
        return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, text)
