"""The scripts in a real browser, on pages made of the layouts and macros alone, under the strict policy the application sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from markupsafe import Markup
from playwright.sync_api import Browser, Page, Route, expect

from app.kernel import i18n, templating

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
ADMIN = '{% extends "layouts/admin.html" %}{% block title %}T{% endblock %}{% block main %}<h1>T</h1>{{ body() }}{% endblock %}'
ITEM = {"icon": "receipt", "label": "Orders", "href": "/orders", "current": True}

PARTS = """
{{ ui.field("a", "A", hint="h") }}{{ ui.checkbox("b", "B") }}{{ ui.pick("c", "C", [("1", "One", "x"), ("2", "Two", "")], "1") }}
{{ ui.file("d", "Choose a file") }}{{ ui.stepper("e", "How many") }}{{ ui.secret("****-7M2P", "key 1", "/r", "/c") }}
{% call ui.note("odd", "circle-help", "Not known yet") %}<p>Asking. <a href="/x">More</a></p>{% endcall %}
{% call ui.card("Units", "3 of them", flush=true, id="u") %}{% call ui.table(["What", ("Amount", "end")], "Units") %}
<tr><td data-at="a">Month</td><td class="end" data-at="b">{{ 1490|money }}</td></tr>{% endcall %}{% endcall %}
{% call ui.card() %}{{ ui.no_match("Nothing paid today", "/x") }}{% endcall %}{{ ui.blocked("Refund", "Not known yet", "why") }}
{% for tone in ["", "ok", "info", "warn", "bad", "odd"] %}{{ ui.pill("Word", tone) }}{% endfor %}{{ ui.toast("Saved") }}
"""

Show = Callable[..., Page]


@pytest.fixture
def show(browser: Browser) -> Iterator[Show]:
    """Opens `/` as a page of the admin shell whose main part is `source`; other paths answer as `answers` says."""
    contexts, said = [], []

    def open_page(source: str, *, answers: Any = None, width: int = 1360, **context: Any) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, reduced_motion="reduce", **context))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text) if "olicy" in message.text else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.route("**/*", lambda route: answer(route, source, answers or {}))
        page.goto("http://app.test/")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def answer(route: Route, source: str, answers: dict[str, Any]) -> None:
    path = route.request.url.removeprefix("http://app.test/").split("?")[0]
    headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": POLICY}
    if path.startswith("static/"):
        file = templating.WEB / path
        route.fulfill(body=file.read_bytes(), headers=headers | {"content-type": TYPES.get(file.suffix, "text/plain")})
    elif path in answers:
        reply = answers[path](route) if callable(answers[path]) else answers[path]
        route.fulfill(**({"headers": headers} | (reply if isinstance(reply, dict) else {"body": reply})))
    else:
        route.fulfill(body=render(source), headers=headers)


def render(source: str) -> str:
    with i18n.speaking("en"):
        env = templating.environment()
        body = env.from_string('{% import "ui.html" as ui with context %}' + source)
        context = {
            "nav": [{"label": "", "items": [ITEM, {"icon": "package", "label": "Products", "href": "/products"}]}],
            "tabbar": [ITEM],
            "tenant": SimpleNamespace(name="Nanzhi"),
            "palette": [ITEM | {"hint": "page"}, {"label": "Products", "href": "/products", "icon": "package"}],
            "palette_search_href": "/orders?q=",
            "account": {"name": "Ada", "initial": "A", "links": [], "sign_out_url": "/sign-out"},
            "csrf_token": lambda: "token-1",
            "csrf_field": lambda: Markup('<input type="hidden" name="_csrf" value="token-1">'),
            "now": datetime.now(UTC),
            "hour": timedelta(hours=1),
        }
        return env.from_string(ADMIN).render(context | {"body": lambda: Markup(body.render(context))})


def test_the_palette_opens_filters_goes_and_closes(show: Show) -> None:
    page = show('{{ ui.field("name", "Name") }}', answers={"products": "<!doctype html><title>P</title><h1>Products</h1>"})
    page.keyboard.press("Control+k")
    box = page.locator("#palette input")
    expect(box).to_be_focused()
    page.keyboard.type("pro")
    expect(page.locator("#palette li:visible a").nth(1)).to_contain_text("Search orders for")
    expect(page.locator("#palette li:visible")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()
    page.keyboard.press("Control+k")
    page.keyboard.type("pro")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Products")


def test_the_question_mark_lists_shortcuts_but_not_while_typing(show: Show) -> None:
    page = show('{{ ui.field("name", "Name") }}')
    page.get_by_label("Name").focus()
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_hidden()
    expect(page.get_by_label("Name")).to_have_value("?")
    page.locator("body").click(position={"x": 700, "y": 700})
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()


def test_the_theme_follows_the_system_and_a_choice_stays(show: Show) -> None:
    page = show("", color_scheme="dark")
    dark = "document.documentElement.classList.contains('dark')"
    assert page.evaluate(dark)
    page.get_by_role("button", name="Switch light and dark").first.click()
    assert not page.evaluate(dark)
    page.reload(wait_until="commit")
    page.wait_for_selector("body")
    assert not page.evaluate(dark)


def test_a_double_press_sends_once(show: Show) -> None:
    sent: list[str] = []

    def pay(route: Route) -> str:
        sent.append(route.request.headers.get("x-csrf-token", ""))
        return "<p>paid</p>"

    form = '<form method="post" action="/pay" hx-post="/pay" hx-target="#out">{{ csrf_field() }}{{ ui.submit("Pay") }}</form>'
    page = show(form + '<div id="out"></div>', answers={"pay": pay})
    page.get_by_role("button", name="Pay").dblclick()
    expect(page.locator("#out")).to_have_text("paid")
    expect(page.get_by_role("button", name="Pay")).to_be_enabled()
    assert sent == ["token-1"]


def test_a_plain_form_is_sent_once_and_says_what_it_does(show: Show) -> None:
    sent: list[str] = []

    def refund(route: Route) -> dict[str, Any]:
        sent.append(route.request.method)
        return {"status": 204}

    form = '<form method="post" action="/refund">{{ csrf_field() }}{{ ui.submit("Refund", busy="Refunding") }}</form>'
    page = show(form, answers={"refund": refund})
    page.get_by_role("button", name="Refund").dblclick()
    expect(page.get_by_role("button", name="Refunding")).to_be_disabled()
    assert sent == ["POST"]


def test_all_errors_come_back_and_the_first_has_the_focus(show: Show) -> None:
    fields = '{{ ui.field("given", "Given name") }}{{ ui.field("family", "Family name") }}'

    def refuse(_: Route) -> dict[str, Any]:
        template = templating.environment().from_string('{% import "ui.html" as ui with context %}' + fields)
        with i18n.speaking("en"):
            html = template.render(errors={"given": "Say it", "family": "Say it too"}, values={"given": "x", "family": "y"})
        return {"status": 422, "body": f'<div id="fields">{html}</div>'}

    page = show(
        '<form method="post" action="/save" hx-post="/save" hx-target="#fields" hx-swap="outerHTML">{{ csrf_field() }}'
        f'<div id="fields">{fields}</div>{{{{ ui.submit("Save") }}}}</form>',
        answers={"save": refuse},
    )
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_have_count(2)
    expect(page.get_by_label("Given name")).to_be_focused()
    expect(page.get_by_label("Given name")).to_have_value("x")


def test_a_copy_says_so_in_place(show: Show) -> None:
    page = show('{{ ui.copy("Copy link", "https://shop.example/1") }}', permissions=["clipboard-read", "clipboard-write"])
    button = page.get_by_role("button", name="Copy link")
    button.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    expect(button).to_be_visible(timeout=4000)


def test_a_secret_hides_again_and_leaves_the_page(show: Show) -> None:
    page = show('{{ ui.revealed("YQ8K-5N2W", "****-5N2W", "key 1", seconds=2) }}')
    expect(page.get_by_text("YQ8K-5N2W")).to_be_visible()
    expect(page.get_by_text("Hides again in")).to_be_visible()
    expect(page.get_by_text("Hidden again")).to_be_visible(timeout=5000)
    assert "YQ8K" not in page.content()


def test_a_clock_goes_by_the_server_and_tells_its_end(show: Show) -> None:
    page = show("{{ ui.clock(now + hour, now, 'Ends in') }}", timezone_id="America/New_York")
    expect(page.get_by_role("timer")).to_have_text("00:59:58", timeout=4000)


def test_selecting_rows_shows_what_can_be_done_with_them(show: Show) -> None:
    table = (
        '<form id="bulk" method="post" action="/x">{{ csrf_field() }}</form>'
        '{% call ui.table(["Order"], "Orders", select_all=true) %}'
        "{% for n in [1, 2, 3] %}<tr>{{ ui.row_check(n, 'Order ' ~ n) }}<td>{{ n }}</td></tr>{% endfor %}{% endcall %}"
        '{% call ui.bulk(total=300) %}{{ ui.submit("Tag", form="bulk") }}{% endcall %}'
    )
    page = show(table)
    expect(page.locator("[data-bulk]")).to_be_hidden()
    page.get_by_label("Order 2").check()
    expect(page.locator("[data-bulk-count]")).to_have_text("1 selected")
    page.get_by_label("Select the whole page").check()
    expect(page.locator("[data-bulk-count]")).to_have_text("3 selected")
    page.get_by_role("button", name="Clear the selection").click()
    expect(page.locator("[data-bulk]")).to_be_hidden()


def test_a_dialog_is_fetched_traps_the_focus_and_gives_it_back(show: Show) -> None:
    part = '<h2>Refund?</h2><form method="dialog"><button type="submit">Not now</button></form>'
    page = show('{{ ui.dialog_link("Refund", "/refund") }}', answers={"refund": part})
    page.get_by_role("link", name="Refund").click()
    expect(page.get_by_role("heading", name="Refund?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).to_be_hidden()
    expect(page.get_by_role("link", name="Refund")).to_be_focused()


def test_navigation_is_boosted_and_a_changed_build_reloads_the_whole_page(show: Show) -> None:
    page = show("<p id='here'>one</p>")
    page.evaluate("window.sameDocument = true")
    page.get_by_role("link", name="Products").first.click()
    page.wait_for_url("**/products")
    assert page.evaluate("window.sameDocument")
    page.evaluate("""document.querySelector('meta[name="assets"]').content = 'older'""")
    with page.expect_navigation():
        page.get_by_role("link", name="Orders").first.click()
    assert not page.evaluate("window.sameDocument")


def test_the_menu_opens_on_a_phone_and_closes_by_key(show: Show) -> None:
    page = show("", width=390)
    expect(page.locator("#sidebar")).to_have_attribute("aria-hidden", "true")
    page.get_by_role("button", name="Menu").click()
    expect(page.locator("#sidebar nav")).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(page.locator("#sidebar")).to_have_attribute("aria-hidden", "true")
    expect(page.get_by_role("button", name="Menu")).to_be_focused()


def test_a_lost_connection_is_said(show: Show) -> None:
    page = show('<button type="button" hx-get="/gone" hx-target="#x">Load</button><div id="x"></div>')
    page.route("**/gone", lambda route: route.abort())
    page.get_by_role("button", name="Load").click()
    expect(page.get_by_role("alert")).to_contain_text("The connection was lost")


@pytest.mark.parametrize("width", [1360, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_shell_and_parts(show: Show, width: int, scheme: str) -> None:
    page = show(PARTS, width=width, color_scheme=scheme)
    page.evaluate(AXE.read_text(encoding="utf-8") + ";0")
    found = page.evaluate(
        "rules => axe.run(document, {runOnly: rules})"
        ".then(found => found.violations.map(rule => [rule.id, rule.nodes.map(node => node.target.join(' '))]))",
        RULES,
    )
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
