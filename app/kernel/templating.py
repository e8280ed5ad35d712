"""The Jinja environment: what every template can use without a request or a database.

What belongs to one request (actor, tenant, csrf) is given to `render` as context and shadows the empty defaults here, so that
macros imported without context, which Jinja keeps compiled, still find every name. Language and zone come from `i18n.speak`.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import date, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import jinja2
import segno
from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined, Template
from jinja2.environment import TemplateModule
from markupsafe import Markup

from app.kernel import i18n

WEB: Final = Path(__file__).resolve().parents[2] / "web"
STATIC: Final = WEB / "static"
UNKNOWN_ICON: Final = "circle-help"

_state_words: dict[str, Mapping[str, tuple[str, str]]] = {}


KIT: Final = "ui.html"


_csrf_field: ContextVar[Callable[[], Markup]] = ContextVar("csrf_field", default=Markup)
"""Of the page that is being rendered, for the kit's own forms."""


class HouseTemplate(Template):
    """A template of ours. The kit's macros are made once per process; imported "with context" they would be made anew by every template of a page.

    They read three names of the context: `csrf_field`, which `render` keeps for them, and `errors` and `values`: only where there are some is a
    kit of its own made.
    """

    _plain_kit: TemplateModule | None = None

    def make_module(
        self, vars: dict[str, Any] | None = None, shared: bool = False, locals: Mapping[str, Any] | None = None
    ) -> TemplateModule:
        seen = {**(vars or {}), **(locals or {})}
        is_rendered_here = seen.get("csrf_field") in (_csrf_field_now, _csrf_field.get())
        if self.name != KIT or seen.get("errors") or seen.get("values") or not is_rendered_here:
            return super().make_module(vars, shared, locals)
        if self._plain_kit is None:
            self._plain_kit = super().make_module()
        return self._plain_kit


def _csrf_field_now() -> Markup:
    return _csrf_field.get()()


@cache
def environment(*, watch: bool = False) -> Environment:
    """The one environment of a process; with `watch` changed templates are read again (development)."""
    made = Environment(
        loader=FileSystemLoader(WEB / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=watch,
        cache_size=-1,
        bytecode_cache=_compiled(),
        extensions=["jinja2.ext.i18n"],
    )
    made.template_class = HouseTemplate
    made.install_gettext_callables(i18n.gettext, i18n.ngettext, newstyle=True)  # type: ignore[attr-defined]
    made.policies["ext.i18n.trimmed"] = True
    made.globals.update(_globals())
    made.filters.update(_filters())
    return made


def _compiled() -> FileSystemBytecodeCache | None:
    """Where templates stand compiled: beside Python's own modules, where it was told a place for those; else each process compiles its own.

    Jinja knows a changed template. What this module does to the language, and Jinja's version, are in the names.
    """
    if sys.pycache_prefix is None or sys.dont_write_bytecode:
        return None
    folder = Path(sys.pycache_prefix) / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    language = hashlib.sha256(Path(__file__).read_bytes() + jinja2.__version__.encode()).hexdigest()[:12]
    return FileSystemBytecodeCache(str(folder), f"{language}-%s")


def render(template: str, /, **context: Any) -> str:
    token = _csrf_field.set(context.get("csrf_field", Markup))
    try:
        return environment().get_template(template).render(context)
    finally:
        _csrf_field.reset(token)


def register_states(kind: str, words: Mapping[str, tuple[str, str]]) -> None:
    """Say once how the states of a kind of thing read: state -> (msgid, tone). Templates show them by `ui.state(kind, state)`.

    Tones are "", "ok", "info", "warn", "bad" and "odd" (we do not know yet and are asking).
    """
    assert all(tone in {"", "ok", "info", "warn", "bad", "odd"} for _, tone in words.values()), kind
    _state_words[kind] = words


def state_word(kind: str, state: str) -> tuple[str, str]:
    """The word for a state in the listener's language, and its tone."""
    message, tone = _state_words[kind][str(state)]
    return i18n.gettext(message), tone


def static(path: str) -> str:
    """The address of a file under web/static, with a mark of its content, so that it may be cached for ever."""
    return f"/static/{path}?v={_mark(path)}"


def assets_mark() -> str:
    """Changes when any sheet or script does: a page held open by boosted navigation then reloads as a whole."""
    return _assets_mark()


def icon(name: str) -> str:
    """The address of an icon in the sprite; an unknown name gets the question mark."""
    return f"{static('icons.svg')}#{name if name in icon_names() else UNKNOWN_ICON}"


@cache
def icon_names() -> frozenset[str]:
    return frozenset(re.findall(r'<symbol id="([^"]+)"', (STATIC / "icons.svg").read_text(encoding="utf-8")))


@lru_cache(maxsize=256)
def qr(text: str, label: str) -> Markup:
    """A QR code as inline SVG; `label` is what a screen reader says. At most 1,200 characters of text."""
    assert len(text) <= 1200, "too long to scan"
    code = segno.make(text, error="m", micro=False)
    bars = []
    for y, line in enumerate(code.matrix):
        row = "".join("1" if bit else "0" for bit in line)
        bars += [f"M{bar.start()} {y}h{bar.end() - bar.start()}v1h-{bar.end() - bar.start()}z" for bar in re.finditer("1+", row)]
    size = len(code.matrix)
    return Markup('<svg class="qr" viewBox="0 0 {0} {0}" role="img" aria-label="{1}"><path d="{2}"/></svg>').format(
        size, label, "".join(bars)
    )


def dom_id(thing: Any, part: str = "") -> str:
    """The id of the root element that shows a thing: `order-line-0192…`, or with a part `order-line-0192…-state`."""
    kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(thing).__name__).lower()
    return f"{kind}-{thing.id}" + (f"-{part}" if part else "")


def instant(value: date | datetime) -> str:
    """The machine's form of a time, for `<time datetime>` and clocks."""
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value.isoformat()


def _globals() -> dict[str, Any]:
    return {
        "static": static,
        "assets_mark": assets_mark,
        "icon": icon,
        "qr": qr,
        "dom_id": dom_id,
        "state_word": state_word,
        "locale": i18n.locale,
        "html_language": i18n.html_language,
        "split_money": i18n.split_money,
        "errors": {},
        "values": {},
        "request_path": "/",
        "lang_switch_url": "",
        "notices_unread": 0,
        "csrf_token": str,
        "csrf_field": _csrf_field_now,
        **dict.fromkeys(["nav", "tabbar", "palette", "flashes", "switcher", "account"], ()),
        **dict.fromkeys(["actor", "tenant", "shop", "view_as", "test_mode", "trial_ends_at", "layout"]),
        **dict.fromkeys(
            ["request_id", "notices_href", "retry_href", "home_href", "orders_href", "palette_search_href", "message", "query"],
            "",
        ),
    }


def _filters() -> dict[str, Any]:
    return {
        "money": i18n.format_money,
        "cost": i18n.format_cost,
        "number": i18n.format_number,
        "compact": i18n.format_compact,
        "size": i18n.format_size,
        "percent": i18n.format_percent,
        "datetime": i18n.format_datetime,
        "date": i18n.format_date,
        "time": i18n.format_time,
        "relative": i18n.relative,
        "duration": i18n.duration,
        "instant": instant,
        "local_minute": i18n.local_minute,
    }


@cache
def _mark(path: str) -> str:
    return hashlib.sha256((STATIC / path).read_bytes()).hexdigest()[:8]


@cache
def _assets_mark() -> str:
    files = sorted(path for folder in ("css", "js", "vendor") for path in (STATIC / folder).rglob("*") if path.is_file())
    return hashlib.sha256("".join(_mark(str(path.relative_to(STATIC))) for path in files).encode()).hexdigest()[:8]
