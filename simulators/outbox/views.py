"""The page people read, the answers tests read, and the door for text messages. Works without scripts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response, get, post
from litestar.params import Parameter
from markupsafe import Markup, escape

from simulators.outbox.box import Box, Row, UsedForOtherText
from simulators.signing import is_signed_message

PAGE_SIZE = 50
MAX_MESSAGES = 500
TAKES_NO_TEXTS = "+8617000000404"
PAGES = Path(__file__).parent / "pages"
AnyRequest = Request[Any, Any, Any]
Json = dict[str, Any]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
MAIL_HEADERS = HEADERS | {
    "Content-Security-Policy": "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:;"
    " style-src 'unsafe-inline'"
}


class NewSms(msgspec.Struct, frozen=True):
    to: Annotated[str, msgspec.Meta(min_length=3, max_length=32)]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


@dataclass(slots=True)
class Office:
    box: Box
    sms_secret: str


@get("/")
async def index(request: AnyRequest, to: str = "", before: int | None = None) -> Response[str]:
    found = _office(request).box.newest(to=to.strip(), limit=PAGE_SIZE + 1, before=before)
    has_older, messages = len(found) > PAGE_SIZE, found[:PAGE_SIZE]
    return _page(request, "index.html", messages=messages, to=to.strip(), has_older=has_older, before=before)


@get("/messages/{message_id:int}")
async def show(request: AnyRequest, message_id: int) -> Response[str]:
    message = _office(request).box.message(message_id)
    return _page(request, "show.html", status=200 if message else 404, message=message)


@get("/messages/{message_id:int}/html")
async def show_html(request: AnyRequest, message_id: int) -> Response[str]:
    """A mail's own HTML, in a box it cannot leave: no scripts, no forms, no pictures from elsewhere."""
    message = _office(request).box.message(message_id)
    html = message["html"] if message else ""
    base = '<base target="_blank">'
    return Response(base + html, media_type=MediaType.HTML, status_code=200 if html else 404, headers=MAIL_HEADERS)


@get("/messages")
async def list_messages(request: AnyRequest, to: str = "", limit: int = Parameter(default=100, ge=1, le=MAX_MESSAGES)) -> Json:
    """For tests: what has arrived, newest first, with the links in each text."""
    found = _office(request).box.newest(to=to, limit=limit)
    return {"messages": [_document(message) for message in found]}


@post("/sms", status_code=202)
async def take_sms(request: AnyRequest) -> Response[Json]:
    office, body = _office(request), await request.body()
    timestamp = request.headers.get("sandbox-timestamp", "")
    signature = request.headers.get("sandbox-signature", "")
    if not office.sms_secret or not is_signed_message(office.sms_secret, timestamp, signature, body):
        return _refused(401, "bad_signature", "The signature is wrong or its time is too far off.")
    try:
        sms = msgspec.json.decode(body, type=NewSms)
        if sms.to == TAKES_NO_TEXTS:
            return _refused(422, "no_texts", "This number takes no text messages.")
        office.box.keep_sms(sms.to, sms.text, sms.id)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _refused(400, "invalid", f"{error}.")
    except UsedForOtherText:
        return _refused(409, "conflict", f"Message {sms.id} exists with other content.")
    return Response({"id": sms.id, "state": "accepted"}, status_code=202)


@get("/outbox.css", media_type="text/css", sync_to_thread=False)
def style() -> Response[bytes]:
    return Response(_STYLE, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


def _office(request: AnyRequest) -> Office:
    office: Office = request.app.state.office
    return office


def _refused(status: int, error: str, message: str) -> Response[Json]:
    return Response({"error": error, "message": message}, status_code=status)


def _document(message: Row) -> Json:
    links = [found.group() for found in _LINK.finditer(message["text"])]
    return dict(message) | {"received_at": _instant(message["received_at"]), "links": links}


def _page(request: AnyRequest, template: str, *, status: int = 200, **context: object) -> Response[str]:
    asked = request.query_params.get("lang", "") or request.headers.get("accept-language", "")
    language = "en" if asked.lower().startswith("en") else "zh"
    html = _TEMPLATES.get_template(template).render(words=WORDS[language], language=language, **context)
    return Response(html, media_type=MediaType.HTML, status_code=status, headers=HEADERS)


def with_links(text: str) -> Markup:
    """A text with its web addresses made clickable, everything else escaped."""
    parts, end = [], 0
    for found in _LINK.finditer(text):
        parts += [escape(text[end : found.start()]), Markup('<a href="{0}">{0}</a>').format(found.group())]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _local_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


WORDS: Mapping[str, Mapping[str, str]] = {
    "zh": {
        "title": "发件箱",
        "lead": "演示环境发出的邮件和短信都留在这里，没有寄给任何人。",
        "to": "收件人",
        "search": "查找",
        "all": "全部",
        "mail": "邮件",
        "sms": "短信",
        "none": "还没有消息。",
        "none_for": "没有发给这个收件人的消息。",
        "older": "更早的",
        "newest": "最新的",
        "back": "返回列表",
        "from": "发件人",
        "at": "时间",
        "missing": "找不到这条消息。",
        "html": "邮件原样",
        "other": "English",
    },
    "en": {
        "title": "Outbox",
        "lead": "Mail and text messages of the demo stay here. They were sent to nobody.",
        "to": "Recipient",
        "search": "Search",
        "all": "All",
        "mail": "Mail",
        "sms": "Text",
        "none": "There are no messages yet.",
        "none_for": "There are no messages for this recipient.",
        "older": "Older",
        "newest": "Newest",
        "back": "Back to the list",
        "from": "Sender",
        "at": "Time",
        "missing": "There is no such message.",
        "html": "The mail as it looks",
        "other": "中文",
    },
}

_LINK = re.compile(r"https?://[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*[A-Za-z0-9\-_~/#=&%+]")
_TEMPLATES = Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined)
_TEMPLATES.filters |= {"with_links": with_links, "local_time": _local_time}
_STYLE = (PAGES / "outbox.css").read_bytes()
