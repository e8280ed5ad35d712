"""Every page, visited in Chinese in a dark hand and in English on a light desk: to axe, and whole in its language.

Between the schemes only colours differ, and between the languages words, so each width and each scheme is asked everything once.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from app.kernel import i18n
from tests.browser.axe import wrong_with
from tests.browser.conftest import Shop, Surf
from tests.browser.every_page import Surface, surfaces
from tests.browser.every_route import further

pytestmark = pytest.mark.browser

PEOPLE = ["stranger", "merchant", "supplier", "operator", "buyer", "merchant's other pages", "buyer's other pages"]
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
    known = surfaces(open_shop(name="Yunqi Cards"), operator)
    more = further(open_shop(name="Tern Vouchers"), known)
    return {**known, **{f"{who}'s other pages": surface for who, surface in more.items()}}


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


@pytest.mark.parametrize("who", PEOPLE)
def test_in_chinese_in_a_dark_hand(
    surf: Surf, everything: dict[str, Surface], english: tuple[frozenset[str], list[str]], who: str
) -> None:
    words, sentences = english

    def look(page: Page) -> list[str]:
        found = is_right(page, "zh")
        for text in page.evaluate(WORDS):
            if text in words or RAW.search(text) or any(sentence in text for sentence in sentences):
                found.append(text)
        return found + wrong_with(page, width=390, scheme="dark")

    faults = everything[who].visit(surf, look, language="zh")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("who", PEOPLE)
def test_in_english_on_a_light_desk(surf: Surf, everything: dict[str, Surface], who: str) -> None:
    def look(page: Page) -> list[str]:
        found = is_right(page, "en") + [text for text in page.evaluate(WORDS) if HAN.search(text) or RAW.search(text)]
        return found + wrong_with(page, width=1360, scheme="light")

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
