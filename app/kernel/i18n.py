"""Languages: messages, numbers, money and times as a person reads them.

Message ids are English sentences and always format strings: facts are named, `%(count)s`, and a literal percent sign is `%%`.
Chinese lives in one file per slice, `web/locale/zh_CN/<slice>.po`; all are merged once per process. Who is being spoken to is set
once per request by `speak`, so that templates, macros and pages need not pass a locale along.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cache, lru_cache
from gettext import NullTranslations
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from babel.core import Locale
from babel.dates import format_date as babel_date
from babel.dates import format_datetime as babel_datetime
from babel.dates import format_timedelta
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_compact_decimal, format_currency, format_decimal, get_currency_precision
from babel.support import Translations

from app.kernel import clock
from app.kernel.errors import N_, DomainError

__all__ = ["N_", "gettext", "ngettext", "speak", "translate", "translate_plural"]

LOCALE_FOLDER: Final = Path(__file__).resolve().parents[2] / "web" / "locale"
CHINESE: Final = "zh_CN"
ENGLISH: Final = "en"
LOCALES: Final = (CHINESE, ENGLISH)
HTML_LANGUAGES: Final = {CHINESE: "zh-CN", ENGLISH: "en"}
MINUS: Final = "−"


@dataclass(frozen=True)
class Listener:
    """Who is being spoken to: the language, and the zone his clock is in."""

    locale: str = CHINESE
    zone: tzinfo = clock.BUSINESS_ZONE


_listener: ContextVar[Listener] = ContextVar("listener", default=Listener())  # noqa: B039  # frozen, so the default cannot be changed


def speak(locale: str, zone: str | tzinfo | None = None) -> None:
    """From here on in this request speak `locale`, and tell the time in `zone` (a name or a tzinfo; none is Shanghai)."""
    _listener.set(Listener(locale if locale in LOCALES else CHINESE, _zone(zone)))


@contextmanager
def speaking(locale: str, zone: str | tzinfo | None = None) -> Iterator[None]:
    """Speak so for a block: a mail to somebody else, a document in another language."""
    token = _listener.set(Listener(locale if locale in LOCALES else CHINESE, _zone(zone)))
    try:
        yield
    finally:
        _listener.reset(token)


def locale() -> str:
    return _listener.get().locale


def zone() -> tzinfo:
    return _listener.get().zone


def html_language() -> str:
    """The `lang` attribute's value."""
    return HTML_LANGUAGES[locale()]


@lru_cache(maxsize=1000)
def negotiate(chosen: str | None, accept_language: str | None) -> str:
    """The locale for a visitor: what he chose, else the first language of his browser that we speak, else Chinese."""
    for wish in [chosen or "", *_wishes(accept_language or "")]:
        for known in LOCALES:
            if wish and wish.replace("-", "_").lower().split("_")[0] == known.split("_")[0]:
                return known
    return CHINESE


# Messages


def gettext(message: str) -> str:
    """A message in the listener's language, its places not yet filled."""
    return _translations(locale()).gettext(message)


def filled(message: str, facts: Mapping[str, object]) -> str:
    """A message in the listener's language, its places filled; one without facts may hold a plain percent sign."""
    sentence = gettext(message)
    return sentence % facts if facts else sentence


def said(refusal: DomainError) -> str:
    """A refusal's sentence in the listener's language."""
    return filled(refusal.message, refusal.facts)


def ngettext(singular: str, plural: str, number: int) -> str:
    return _translations(locale()).ngettext(singular, plural, number)


def translate(to: str, message: str, **facts: Any) -> str:
    """A message in one language, its places filled from `facts`."""
    return _translations(to).gettext(message) % facts


def translate_plural(to: str, singular: str, plural: str, number: int, **facts: Any) -> str:
    """As `translate`, for a message that depends on a number; `%(num)s` is the number."""
    return _translations(to).ngettext(singular, plural, number) % {"num": format_number(number), **facts}


def catalogue_files() -> Mapping[str, Path]:
    """The Chinese of each slice, by the slice's name."""
    return {path.stem: path for path in sorted((LOCALE_FOLDER / CHINESE).glob("*.po"))}


def read_catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=CHINESE)


@cache
def _translations(to: str) -> NullTranslations:
    return _merged() if to == CHINESE else NullTranslations()


def _merged() -> Translations:
    merged = Catalog(locale=CHINESE)
    for path in catalogue_files().values():
        for message in read_catalogue(path):
            if message.id and not message.fuzzy:
                merged.add(message.id, message.string)
    compiled = io.BytesIO()
    write_mo(compiled, merged)
    compiled.seek(0)
    return Translations(compiled)


# Figures


def format_number(value: float | Decimal) -> str:
    """Digits in groups of three, with a real minus."""
    text = f"{value:,}" if isinstance(value, int) else format_decimal(value, locale=_babel(locale()))
    return text.replace("-", MINUS)


def format_compact(value: int) -> str:
    """A large number in few signs, for figures that open the exact list: 1.2 万, 12K."""
    return _space(format_compact_decimal(value, locale=_babel(locale()), fraction_digits=1)).replace("-", MINUS)


def format_size(size_bytes: int) -> str:
    """A file's size: whole kilobytes below a megabyte, then megabytes with one digit."""
    if size_bytes < 1024 * 1024:
        return f"{format_number(max(1, round(size_bytes / 1024)))} kB"
    return f"{format_number(round(size_bytes / 1024**2, 1))} MB"


def format_percent(basis_points: int) -> str:
    """Basis points as a percentage, with no more places than they need: 1050 is 10.5%."""
    whole, rest = divmod(abs(basis_points), 100)
    places = f".{rest:02d}".rstrip("0") if rest else ""
    return f"{MINUS if basis_points < 0 else ''}{whole:,}{places}%"


def format_money(minor: int, currency: str = "CNY") -> str:
    """Minor units as money: ¥1,234.50, −¥5.00."""
    sign = MINUS if minor < 0 else ""
    if currency == "CNY":
        yuan, fen = divmod(abs(minor), 100)
        return f"{sign}¥{yuan:,}.{fen:02d}"
    amount = Decimal(abs(minor)).scaleb(-get_currency_precision(currency))
    return sign + format_currency(amount, currency, locale=_babel(locale()))


def format_cost(amount: Decimal, currency: str = "CNY") -> str:
    """A cost in major units with as many places as it has, two at least: ¥12.50, ¥0.1234."""
    plain = amount.normalize()
    places = max(2, -int(plain.as_tuple().exponent))
    text = f"{abs(plain):,.{places}f}"
    sign = MINUS if amount < 0 else ""
    return f"{sign}¥{text}" if currency == "CNY" else f"{sign}{text} {currency}"


def split_money(minor: int, currency: str = "CNY") -> tuple[str, str, str]:
    """Money in the three parts a price is set in: sign with symbol, whole, and fraction with its point."""
    text = format_money(minor, currency)
    found = re.fullmatch(r"(\D*)([\d,]+)(.*)", text)
    assert found, text
    return found[1], found[2], found[3]


# Times


def local_minute(value: datetime) -> str:
    """A day and time of the business as a browser's field takes it."""
    return value.astimezone(clock.BUSINESS_ZONE).strftime("%Y-%m-%dT%H:%M")


def format_datetime(value: datetime, now: datetime | None = None) -> str:
    """14:31 today, 11 月 20 日 14:31 this year, else with the year."""
    local, today = _local(value), _local(now or clock.now())
    if local.date() == today.date():
        return local.strftime("%H:%M")
    patterns = {CHINESE: "M 月 d 日 HH:mm", ENGLISH: "MMM d, HH:mm"}
    if local.year != today.year:
        patterns = {CHINESE: "y 年 M 月 d 日 HH:mm", ENGLISH: "MMM d, y, HH:mm"}
    return babel_datetime(local, patterns[locale()], tzinfo=zone(), locale=_babel(locale()))


def format_time(value: datetime) -> str:
    """The hour to the second, for timelines of one day: 14:31:09."""
    return _local(value).strftime("%H:%M:%S")


def format_date(value: date | datetime, now: datetime | None = None) -> str:
    """11 月 20 日 this year, else with the year."""
    day = _local(value).date() if isinstance(value, datetime) else value
    patterns = {CHINESE: "M 月 d 日", ENGLISH: "MMM d"}
    if day.year != _local(now or clock.now()).year:
        patterns = {CHINESE: "y 年 M 月 d 日", ENGLISH: "MMM d, y"}
    return babel_date(day, patterns[locale()], locale=_babel(locale()))


def relative(value: datetime, now: datetime | None = None) -> str:
    """How long ago, or how long until: 5 分钟前, in 2 hours."""
    distance = value - (now or clock.now())
    if abs(distance) < timedelta(seconds=45):
        return gettext(N_("just now"))
    text = format_timedelta(distance, add_direction=True, locale=_babel(locale()))
    return _space(text)


def duration(value: timedelta) -> str:
    """A length of time in its largest unit: 17 分钟, 3 hours."""
    return _space(format_timedelta(value, threshold=1.5, locale=_babel(locale())))


def _local(value: datetime) -> datetime:
    assert value.tzinfo is not None, "an instant without a zone"
    return value.astimezone(zone())


def _space(text: str) -> str:
    """A space between digits and Han, as all our Chinese has it."""
    return re.sub(r"(?<=\d)(?=[\u4e00-\u9fff])|(?<=[\u4e00-\u9fff])(?=\d)", " ", text)


def _zone(name: str | tzinfo | None) -> tzinfo:
    if name is None:
        return clock.BUSINESS_ZONE
    return ZoneInfo(name) if isinstance(name, str) else name


@cache
def _babel(name: str) -> Locale:
    return Locale.parse(name)


def _wishes(accept_language: str) -> list[str]:
    """The languages of an Accept-Language header, most wanted first."""
    wishes = []
    for part in accept_language[:200].split(","):
        language, _, rest = part.strip().partition(";")
        weight = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)", rest)
        wishes.append((-float(weight[1]) if weight else -1.0, language))
    return [language for _, language in sorted(wishes, key=lambda wish: wish[0])]
