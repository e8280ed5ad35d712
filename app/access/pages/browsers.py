"""What a browser carries besides its session: marks that say who has proved himself in it before.

A mark lets its owner past strangers' failed tries, spares him the mail about a new log-in, and takes the one who opened a shop straight in
when he confirms his address in the same browser. By itself it opens nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from uuid import UUID

from app.access.sessions import Browser
from app.kernel.csrf import STAFF_COOKIE
from app.kernel.web import AnyRequest, set_cookie
from app.settings import settings

DEVICE_COOKIE = "__Host-q_device"
_MOST = 5
_LIVES_S = 31_536_000


def browser_of(request: AnyRequest) -> Browser:
    """Where a request comes from."""
    return Browser(request.scope["state"]["address"], request.headers.get("user-agent", ""))


def give_session(request: AnyRequest, token: str, user_id: UUID) -> None:
    """Send a fresh session's cookie, and mark the browser as this person's."""
    set_cookie(request, STAFF_COOKIE, token)
    mark(request, user_id)


def take_session(request: AnyRequest) -> None:
    set_cookie(request, STAFF_COOKIE, "")


def mark(request: AnyRequest, user_id: UUID | None) -> None:
    """Note that this person proved himself here; None writes a mark that is nobody's and looks the same."""
    mine = _mark_of(user_id) if user_id else secrets.token_urlsafe(16)
    others = [other for other in _marks(request) if other != mine]
    set_cookie(request, DEVICE_COOKIE, ".".join([mine, *others][:_MOST]), max_age=_LIVES_S)


def is_known(request: AnyRequest, user_id: UUID | None) -> bool:
    """Whether this person has proved himself in this browser before."""
    return user_id is not None and _mark_of(user_id) in _marks(request)


def name_of(agent: str) -> tuple[str, str]:
    """A browser's and its system's name as people know them, each empty when it does not say."""
    browser = next((name for sign, name in _BROWSERS if sign in agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in agent), "")
    return browser, system


def _marks(request: AnyRequest) -> list[str]:
    return [part for part in request.cookies.get(DEVICE_COOKIE, "")[:400].split(".") if re.fullmatch(r"[\w-]{22}", part)][:_MOST]


def _mark_of(user_id: UUID) -> str:
    digest = hmac.digest(settings().session_secret.encode(), f"device\x1f{user_id}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")


_BROWSERS = (
    ("MicroMessenger", "WeChat"),
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("HarmonyOS", "HarmonyOS"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
