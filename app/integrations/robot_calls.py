"""How robots of group chats are spoken to: one signed call per message, and what its answer means. Pure.

*Source:* the companies' pages on custom robots as they stood in 2025. DingTalk: `timestamp` in milliseconds and `sign`, HMAC-SHA256 under the secret over
"timestamp\\nsecret", base64, url-encoded, in the query; refused when an hour off; 20 messages a minute. Feishu: `timestamp` in seconds and `sign` in the body,
HMAC-SHA256 of nothing under the key "timestamp\\nsecret", base64; 100 a minute, 5 a second, 20 kB. WeCom: the key in the address is all; 20 a minute, 2,048 bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

from app.integrations.models import RobotCompany
from app.kernel.errors import N_
from app.kernel.http import Answer, Call

LONGEST_BYTES = 1_900
CALLS_A_MINUTE = 20
_TOO_FAST = {
    RobotCompany.DINGTALK: {130101, 660026},
    RobotCompany.WECOM: {45009, 45033},
    RobotCompany.FEISHU: {9499, 11232},
}


@dataclass(frozen=True, slots=True)
class Robot:
    """Where a robot is called and what it signs with; no secret where the company needs none."""

    company: RobotCompany
    address: str
    secret: str = ""

    def __repr__(self) -> str:
        return f"Robot({self.company})"


@dataclass(frozen=True, slots=True)
class Taken:
    """The message is in the group."""


@dataclass(frozen=True, slots=True)
class NotNow:
    """Too many messages, or the company is troubled: the same message may be sent later."""

    says: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A definite no: sent again it would be refused again."""

    says: str


Said = Taken | NotNow | Refused


def wrong_address(company: RobotCompany, address: str, *, may_be_plain: bool) -> str:
    """What is wrong with an address, as a msgid; empty when it is one of this company's form."""
    parts = urlsplit(address)
    if (parts.scheme != "https" and not (may_be_plain and parts.scheme == "http")) or not parts.hostname:
        return N_("Paste the whole address the group shows, beginning with https://")
    match company:
        case RobotCompany.DINGTALK if not parse_qs(parts.query).get("access_token"):
            return N_("A DingTalk robot's address ends with ?access_token=…")
        case RobotCompany.WECOM if not parse_qs(parts.query).get("key"):
            return N_("A WeCom robot's address ends with ?key=…")
        case RobotCompany.FEISHU if "/hook/" not in parts.path:
            return N_("A Feishu robot's address contains /hook/…")
    return ""


def masked(address: str) -> str:
    """An address for people: its host and the last four signs."""
    return f"{urlsplit(address).hostname} …{address[-4:]}"


def call(robot: Robot, text: str, at: datetime) -> Call:
    """The one call that says a text in the group."""
    address, body = _SPEAKS[robot.company](robot, shortened(text), at)
    return Call(
        "POST", address, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(body, ensure_ascii=False).encode()
    )


def shortened(text: str) -> str:
    """A text that every company takes."""
    encoded = text.encode()
    return text if len(encoded) <= LONGEST_BYTES else encoded[: LONGEST_BYTES - 3].decode(errors="ignore") + "…"


def read(company: RobotCompany, answer: Answer) -> Said:
    """What an answer means. Whatever is not the documented yes is no yes."""
    if answer.status == 429 or answer.status >= 500:
        return NotNow(f"answered {answer.status}")
    try:
        found = json.loads(answer.body)
    except (ValueError, UnicodeDecodeError):
        return Refused(f"answered {answer.status} without JSON: this is not a robot's address")
    code = found.get("code", found.get("errcode")) if isinstance(found, dict) else None
    if code == 0 and answer.status == 200:
        return Taken()
    says = f"{code}: {str(found.get('msg', found.get('errmsg', '')))[:200]}" if isinstance(found, dict) else "an odd answer"
    return NotNow(says) if code in _TOO_FAST[company] else Refused(says)


def _dingtalk(robot: Robot, text: str, at: datetime) -> tuple[str, Mapping[str, Any]]:
    address = robot.address
    if robot.secret:
        stamp = str(int(at.timestamp() * 1000))
        digest = hmac.digest(robot.secret.encode(), f"{stamp}\n{robot.secret}".encode(), hashlib.sha256)
        address += f"&timestamp={stamp}&sign={quote_plus(base64.b64encode(digest))}"
    return address, {"msgtype": "text", "text": {"content": text}}


def _feishu(robot: Robot, text: str, at: datetime) -> tuple[str, Mapping[str, Any]]:
    body: dict[str, Any] = {"msg_type": "text", "content": {"text": text}}
    if robot.secret:
        stamp = str(int(at.timestamp()))
        digest = hmac.digest(f"{stamp}\n{robot.secret}".encode(), b"", hashlib.sha256)
        body |= {"timestamp": stamp, "sign": base64.b64encode(digest).decode()}
    return robot.address, body


def _wecom(robot: Robot, text: str, _at: datetime) -> tuple[str, Mapping[str, Any]]:
    return robot.address, {"msgtype": "text", "text": {"content": text}}


_SPEAKS: Mapping[RobotCompany, Callable[[Robot, str, datetime], tuple[str, Mapping[str, Any]]]] = {
    RobotCompany.DINGTALK: _dingtalk,
    RobotCompany.WECOM: _wecom,
    RobotCompany.FEISHU: _feishu,
}
