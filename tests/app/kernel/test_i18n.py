from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from app.kernel import i18n
from operations import translations

NOW = datetime(2026, 11, 21, 6, 31, 9, tzinfo=UTC)  # 14:31:09 in Shanghai


@pytest.mark.parametrize(
    ("locale", "minor", "currency", "text"),
    [
        ("zh_CN", 123450, "CNY", "¥1,234.50"),
        ("en", 123450, "CNY", "¥1,234.50"),
        ("zh_CN", -500, "CNY", "−¥5.00"),
        ("en", 5, "USD", "$0.05"),
        ("en", 1200, "JPY", "¥1,200"),
    ],
)
def test_money_is_written_with_a_real_minus_and_the_currencys_own_places(
    locale: str, minor: int, currency: str, text: str
) -> None:
    with i18n.speaking(locale):
        assert i18n.format_money(minor, currency) == text


def test_a_price_comes_in_three_parts() -> None:
    assert i18n.split_money(123490) == ("¥", "1,234", ".90")


@pytest.mark.parametrize(("bp", "text"), [(1050, "10.5%"), (5, "0.05%"), (10000, "100%"), (-1, "−0.01%"), (0, "0%")])
def test_basis_points_read_as_percent(bp: int, text: str) -> None:
    assert i18n.format_percent(bp) == text


@pytest.mark.parametrize(
    ("locale", "at", "text"),
    [
        ("zh_CN", NOW, "14:31"),
        ("zh_CN", NOW - timedelta(days=1), "11 月 20 日 14:31"),
        ("zh_CN", NOW - timedelta(days=400), "2025 年 10 月 17 日 14:31"),
        ("en", NOW - timedelta(days=1), "Nov 20, 14:31"),
        ("en", NOW - timedelta(days=400), "Oct 17, 2025, 14:31"),
    ],
)
def test_times_are_as_short_as_they_can_be(locale: str, at: datetime, text: str) -> None:
    with i18n.speaking(locale):
        assert i18n.format_datetime(at, NOW) == text


def test_today_is_the_listeners_today() -> None:
    late = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)  # already the 21st in Shanghai, still the 20th in London
    with i18n.speaking("en", "Asia/Shanghai"):
        assert i18n.format_datetime(late, NOW) == "01:00"
    with i18n.speaking("en", "Europe/London"):
        assert i18n.format_datetime(late, NOW) == "Nov 20, 17:00"


def test_dates_take_days_and_instants() -> None:
    with i18n.speaking("zh_CN"):
        assert i18n.format_date(date(2026, 11, 20), NOW) == "11 月 20 日"
        assert i18n.format_date(NOW, NOW) == "11 月 21 日"
        assert i18n.format_date(date(2027, 5, 31), NOW) == "2027 年 5 月 31 日"


def test_an_instant_without_a_zone_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="without a zone"):
        i18n.format_datetime(datetime(2026, 1, 1))  # noqa: DTZ001  # what is refused


def test_distances_have_a_space_between_digits_and_han() -> None:
    with i18n.speaking("zh_CN"):
        assert i18n.relative(NOW - timedelta(minutes=5), NOW) == "5 分钟前"
        assert i18n.relative(NOW, NOW) == "刚刚"
        assert i18n.duration(timedelta(minutes=17)) == "17 分钟"
        assert i18n.format_compact(12345) == "1.2 万"
    with i18n.speaking("en"):
        assert i18n.relative(NOW + timedelta(hours=3), NOW) == "in 3 hours"


@pytest.mark.parametrize(
    ("chosen", "accepted", "locale"),
    [
        (None, None, "zh_CN"),
        (None, "fr, en;q=0.8, zh;q=0.3", "en"),
        (None, "zh-TW, en;q=0.9", "zh_CN"),
        ("en", "zh-CN", "en"),
        ("de", "de", "zh_CN"),
        (None, ";;;q=x,,", "zh_CN"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_browsers_else_chinese(
    chosen: str | None, accepted: str | None, locale: str
) -> None:
    assert i18n.negotiate(chosen, accepted) == locale


def test_messages_are_filled_in_both_languages() -> None:
    message = "Too many tries. Wait %(seconds)s seconds and try again."
    assert i18n.translate("en", message, seconds=30) == "Too many tries. Wait 30 seconds and try again."
    assert i18n.translate("zh_CN", message, seconds=30) == "尝试次数太多。请 30 秒后再试。"
    one, many = "%(num)s step left before live mode", "%(num)s steps left before live mode"
    assert i18n.translate_plural("en", one, many, 1) == "1 step left before live mode"
    assert i18n.translate_plural("zh_CN", one, many, 2) == "还差 2 步可开通正式模式"


def test_speaking_to_another_ends_with_its_block() -> None:
    i18n.speak("en")
    with i18n.speaking("zh_CN"):
        assert i18n.html_language() == "zh-CN"
    assert i18n.html_language() == "en"
    i18n.speak("zh_CN")


def test_every_shared_message_has_its_chinese() -> None:
    assert [problem for problem in translations.check() if problem.startswith("kernel.po")] == []


@pytest.mark.parametrize(
    ("path", "slice_"),
    [
        ("app/catalog/pages.py", "catalog"),
        ("app/settings.py", "kernel"),
        ("app/kernel/errors.py", "kernel"),
        ("web/templates/catalog/index.html", "catalog"),
        ("web/templates/layouts/admin.html", "kernel"),
        ("web/templates/ui.html", "kernel"),
        ("operations/doctor.py", "operations"),
    ],
)
def test_a_message_belongs_to_the_slice_it_stands_in(path: str, slice_: str) -> None:
    assert translations.slice_of(path) == slice_
