"""Robots of group chats, as DingTalk, WeCom and Feishu have them: each checks its own signature, counts a minute's messages, and keeps a book.

The testers' side: `POST /robots` opens a group and gives the address of its robot, `PATCH /robots/{token}` makes it misbehave (`refuses`: `busy`, `down`,
`no`, or nothing), `GET /robots/messages` is the book. `GET /robots` is a page for people.
"""

import base64
import hashlib
import hmac
import json
import secrets
import sqlite3
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from litestar import MediaType, Request, Response, get, patch, post
from litestar.params import Parameter

AnyRequest = Request[Any, Any, Any]
Json = dict[str, Any]
MOST_A_MINUTE = {"dingtalk": 20, "wecom": 20, "feishu": 100}
LONGEST_BYTES = {"dingtalk": 20_000, "wecom": 2_048, "feishu": 20_000}
HOUR_S = 3600
OK = {
    "dingtalk": {"errcode": 0, "errmsg": "ok"},
    "wecom": {"errcode": 0, "errmsg": "ok"},
    "feishu": {"code": 0, "msg": "success", "data": {}},
}
TOO_FAST = {
    "dingtalk": {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"},
    "wecom": {"errcode": 45009, "errmsg": "api freq out of limit"},
    "feishu": {"code": 11232, "msg": "create message trigger frequency limit"},
}
WRONG = {
    "dingtalk": {"errcode": 310000, "errmsg": "sign not match"},
    "wecom": {"errcode": 93000, "errmsg": "invalid webhook url"},
    "feishu": {"code": 19021, "msg": "sign match fail or timestamp is not within one hour from current time"},
}


class NewRobot(msgspec.Struct, frozen=True):
    company: Literal["dingtalk", "wecom", "feishu"]
    group: Annotated[str, msgspec.Meta(max_length=100)] = ""
    is_signed: bool = True


class Conduct(msgspec.Struct, frozen=True):
    refuses: Literal["", "busy", "down", "no"] = ""


class Book:
    """One SQLite file beside the messages' own."""

    def __init__(self, path: Path, address: str) -> None:
        self.address = address
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.execute("pragma journal_mode=wal")
        self.db.execute("pragma busy_timeout=5000")
        self.db.executescript(SCHEMA)

    def close(self) -> None:
        self.db.close()

    def open(self, wanted: NewRobot) -> Json:
        token = secrets.token_hex(16)
        secret = "SEC" + secrets.token_hex(30) if wanted.is_signed and wanted.company != "wecom" else ""
        self.db.execute(
            "insert into robot (token, company, chat, secret, refuses) values (?, ?, ?, ?, '')",
            (token, wanted.company, wanted.group, secret),
        )
        paths = {
            "dingtalk": f"/robots/dingtalk/send?access_token={token}",
            "wecom": f"/robots/wecom/send?key={token}",
            "feishu": f"/robots/feishu/hook/{token}",
        }
        return {"token": token, "address": self.address + paths[wanted.company], "secret": secret}

    def take(self, company: str, token: str, text: str, *, is_genuine: Any) -> Response[Json]:
        """A message for a group: kept, or refused in the company's own words."""
        robot = self.db.execute("select * from robot where token = ? and company = ?", (token, company)).fetchone()
        if robot is not None and robot["refuses"] == "down":
            return Response({"errmsg": "unavailable"}, status_code=503)
        if robot is None or robot["refuses"] == "no" or not is_genuine(robot["secret"]):
            return self._answered(token, "refused", WRONG[company])
        since = time.time() - 60
        sent = self.db.execute(
            "select count(*) from call where token = ? and at > ? and ending = 'taken'", (token, since)
        ).fetchone()[0]
        if robot["refuses"] == "busy" or sent >= MOST_A_MINUTE[company]:
            return self._answered(token, "too fast", TOO_FAST[company])
        if not text or len(text.encode()) > LONGEST_BYTES[company]:
            return self._answered(token, "too long", WRONG[company])
        self.db.execute("insert into message (token, text, at) values (?, ?, ?)", (token, text, time.time()))
        return self._answered(token, "taken", OK[company])

    def _answered(self, token: str, ending: str, body: Json) -> Response[Json]:
        self.db.execute("insert into call (token, at, ending) values (?, ?, ?)", (token, time.time(), ending))
        return Response(body, status_code=200)

    def messages(self, token: str, limit: int) -> list[Json]:
        rows = self.db.execute(
            "select m.id, m.text, m.at, r.company, r.chat, r.token from message m join robot r on r.token = m.token"
            " where ? = '' or m.token = ? order by m.id desc limit ?",
            (token, token, limit),
        )
        return [dict(row) for row in rows]

    def calls(self, token: str) -> dict[str, int]:
        rows = self.db.execute("select ending, count(*) as number from call where token = ? group by ending", (token,))
        return {row["ending"]: row["number"] for row in rows}


@post("/robots")
async def open_robot(request: AnyRequest) -> Response[Json]:
    return Response(_book(request).open(msgspec.json.decode(await request.body(), type=NewRobot)), status_code=201)


@patch("/robots/{token:str}")
async def change_robot(request: AnyRequest, token: str) -> Response[None]:
    conduct = msgspec.json.decode(await request.body(), type=Conduct)
    _book(request).db.execute("update robot set refuses = ? where token = ?", (conduct.refuses, token))
    return Response(None, status_code=204)


@get("/robots/messages")
async def list_robot_messages(request: AnyRequest, token: str = "", limit: int = Parameter(default=100, ge=1, le=500)) -> Json:
    """For tests: what the groups were told, newest first, and how the calls of one robot ended."""
    book = _book(request)
    return {"messages": book.messages(token, limit), "calls": book.calls(token)}


@get("/robots", media_type=MediaType.TEXT)
async def show_groups(request: AnyRequest) -> str:
    """For people: the newest messages of all groups."""
    rows = _book(request).messages("", 100)
    lines = [
        f"{time.strftime('%m-%d %H:%M:%S', time.localtime(row['at']))}  {row['company']}  {row['chat']}\n{row['text']}\n"
        for row in rows
    ]
    return "\n".join(lines) or "No group was told anything yet."


@post("/robots/dingtalk/send")
async def dingtalk(request: AnyRequest) -> Response[Json]:
    query = request.query_params
    stamp, sign = query.get("timestamp", ""), query.get("sign", "")

    def is_genuine(secret: str) -> bool:
        if not secret:
            return True
        expected = base64.b64encode(hmac.digest(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256)).decode()
        return _is_near(stamp, 1000) and hmac.compare_digest(expected, sign)

    body = await _json(request)
    return _book(request).take("dingtalk", query.get("access_token", ""), _text(body, "text", "content"), is_genuine=is_genuine)


@post("/robots/wecom/send")
async def wecom(request: AnyRequest) -> Response[Json]:
    body = await _json(request)
    key = request.query_params.get("key", "")
    return _book(request).take("wecom", key, _text(body, "text", "content"), is_genuine=lambda _secret: True)


@post("/robots/feishu/hook/{token:str}")
async def feishu(request: AnyRequest, token: str) -> Response[Json]:
    body = await _json(request)
    stamp = str(body.get("timestamp", ""))

    def is_genuine(secret: str) -> bool:
        if not secret:
            return True
        expected = base64.b64encode(hmac.digest(f"{stamp}\n{secret}".encode(), b"", hashlib.sha256)).decode()
        return _is_near(stamp, 1) and hmac.compare_digest(expected, str(body.get("sign", "")))

    return _book(request).take("feishu", token, _text(body, "content", "text"), is_genuine=is_genuine)


ROUTES = [open_robot, change_robot, list_robot_messages, show_groups, dingtalk, wecom, feishu]


def _book(request: AnyRequest) -> Book:
    book: Book = request.app.state.robots
    return book


async def _json(request: AnyRequest) -> Json:
    try:
        found = json.loads(await request.body())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(body: Json, outer: str, inner: str) -> str:
    found = body.get(outer)
    return str(found.get(inner, "")) if isinstance(found, dict) else ""


def _is_near(stamp: str, unit: int) -> bool:
    return stamp.isascii() and stamp.isdecimal() and abs(time.time() - int(stamp[:16]) / unit) <= HOUR_S


SCHEMA = """
create table if not exists robot (
  token text primary key, company text not null, chat text not null, secret text not null, refuses text not null
);
create table if not exists message (id integer primary key, token text not null, text text not null, at real not null);
create table if not exists call (id integer primary key, token text not null, at real not null, ending text not null);
create index if not exists call_token on call (token, at);
"""
