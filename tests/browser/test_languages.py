"""Every page in Chinese and in English, whole: no word of the other language, no raw message, dates and money as read there."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from app.kernel import i18n
from tests.browser.conftest import Shop, Surf
from tests.browser.every_page import Surface, surfaces

pytestmark = pytest.mark.browser

WORDS = """() => {
  const said = [], skip = 'script, style, template, noscript, #palette, [lang]:not(html), select[name=locale] option, .brand, .mono, code';
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  for (let at = walk.nextNode(); at; at = walk.nextNode()) {
    if ((at.nodeType === 3 ? at.parentElement : at).closest(skip)) continue;
    if (at.nodeType === 3) said.push(at.data);
    else for (const name of ['aria-label', 'placeholder', 'title', 'alt', 'data-busy', 'data-copied', 'data-left', 'data-offline'])
      if (at.getAttribute(name)) said.push(at.getAttribute(name));
  }
  return [document.title, ...said].map(text => text.trim().replace(/\\s+/g, ' ')).filter(Boolean);
}"""
RAW = re.compile(r"%\(|\{\{|\{%|<<<<<<<|>>>>>>>|=======|\bNone\b.*\bNone\b|\bundefined\b")
"""What a reader should never see: a place not filled, a template's own signs, the traces of a merge."""
HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def everything(open_shop: Callable[..., Shop], operator: str) -> dict[str, Surface]:
    return surfaces(open_shop(name="Yunqi Cards"), operator)


@pytest.fixture(scope="module")
def english() -> tuple[frozenset[str], list[str]]:
    """Messages that read otherwise in Chinese: all of them, and the whole sentences among them."""
    found = set()
    for path in i18n.catalogue_files().values():
        for message in i18n.read_catalogue(path):
            ids = message.id if isinstance(message.id, tuple) else (message.id,)
            strings = message.string if isinstance(message.string, tuple) else (message.string,)
            found |= {one for one in ids if one and one not in strings and len(one) > 2}
    return frozenset(found), [one for one in found if one.count(" ") >= 3 and "%(" not in one]


def is_right(page: Page, language: str) -> list[str]:
    wanted = {"zh": "zh-CN", "en": "en"}[language]
    said = page.evaluate("document.documentElement.lang")
    return [] if said == wanted else [f"lang is {said}"]


@pytest.mark.parametrize("who", ["stranger", "merchant", "supplier", "operator", "buyer"])
def test_every_page_is_wholly_chinese(
    surf: Surf, everything: dict[str, Surface], english: tuple[frozenset[str], list[str]], who: str
) -> None:
    words, sentences = english

    def look(page: Page) -> list[str]:
        found = is_right(page, "zh")
        for text in page.evaluate(WORDS):
            if text in words or RAW.search(text) or any(sentence in text for sentence in sentences):
                found.append(text)
        return found

    faults = everything[who].visit(surf, look, language="zh")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("who", ["stranger", "merchant", "supplier", "operator", "buyer"])
def test_every_page_is_wholly_english(surf: Surf, everything: dict[str, Surface], who: str) -> None:
    def look(page: Page) -> list[str]:
        return is_right(page, "en") + [text for text in page.evaluate(WORDS) if HAN.search(text) or RAW.search(text)]

    faults = everything[who].visit(surf, look, language="en")
    assert not faults, "\n".join(faults)


def test_dates_and_money_read_as_people_there_write_them(surf: Surf, everything: dict[str, Surface]) -> None:
    for language, day in (("zh", "2099 年 12 月 30 日"), ("en", "Dec 30, 2099")):
        page = surf(language=language)
        page.goto(everything["buyer"].pages["delivered"])
        words = page.locator("main").inner_text()
        assert day in words
        assert "¥39.80" in words


def test_a_chosen_language_stays(surf: Surf, everything: dict[str, Surface]) -> None:
    page = surf(language="zh", width=1360)
    page.goto(everything["buyer"].pages["home"])
    page.get_by_role("link", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.goto(everything["buyer"].pages["help"])
    assert page.evaluate("document.documentElement.lang") == "en"
