"""Rules that hold for every template and script, checked on their text, and what the macros make of what they are given."""

from __future__ import annotations

import gzip
import importlib.util
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from jinja2 import DictLoader, TemplateError, meta
from markupsafe import Markup

from app.kernel import i18n, templating

TEMPLATES = templating.WEB / "templates"
SCRIPTS = templating.STATIC / "js"
NAMES = sorted(str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.html"))
FIRST_LOAD_BYTES = 120 * 1024
PAGE_BYTES = 15 * 1024

# The kit's own class names. They stand in ui.html alone; every other template uses its macros, and for layout the classes of
# web/static/css (stack row split tiles page push grow end dim sm num … and the parts the kit lacks).
KIT = frozenset(
    re.findall(
        r"[\w-]+",
        """accordion alert avatar badge breadcrumb btn button-group card card-action chart checkbox collapsible combobox command
    dialog drawer dropdown-menu empty field fieldset form input input-group item kbd label popover progress radio range
    select sidebar skeleton switch table table-container tabs textarea toast toaster tooltip""",
    )
)


@pytest.fixture(params=NAMES)
def template(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Name and text of a template."""
    return request.param, (TEMPLATES / request.param).read_text(encoding="utf-8")


def bare(text: str) -> str:
    """The HTML of a template with Jinja's own constructs taken out."""
    text = re.sub(r"\{#.*?#\}", "", text, flags=re.S)
    return re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.S)


def tags(text: str) -> list[str]:
    return re.findall(r"<[a-zA-Z][^<>]*>", bare(text))


def test_every_template_compiles(template: tuple[str, str]) -> None:
    try:
        templating.environment().get_template(template[0])
    except TemplateError as error:
        pytest.fail(f"{template[0]}: {error}")


def test_nothing_a_strict_policy_would_refuse(template: tuple[str, str]) -> None:
    html = bare(template[1])
    found = re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on|hx-vals=.js:|<script(?![^>]*\ssrc=)[^>]*>", html, re.I)
    assert not found, found


def test_attributes_are_quoted(template: tuple[str, str]) -> None:
    loose = [tag for tag in tags(template[1]) if re.search(r"\s[\w:@.-]+=(?![\"'])", re.sub(r"\"[^\"]*\"|'[^']*'", '""', tag))]
    assert not loose, loose


def test_nothing_escapes_escaping(template: tuple[str, str]) -> None:
    assert not re.search(r"\|\s*safe\b|autoescape\s+false|\bMarkup\(", template[1])


def test_kit_classes_stand_only_in_the_macro_file(template: tuple[str, str]) -> None:
    name, text = template
    if name == "ui.html":
        pytest.skip("the one place that may")
    used = {word for classes in re.findall(r"class=\"([^\"]*)\"", bare(text)) for word in classes.split()}
    assert not used & KIT


def test_every_posted_form_carries_the_token(template: tuple[str, str]) -> None:
    text = re.sub(r"\{#.*?#\}", "", template[1], flags=re.S)
    forms = re.findall(r"<form\b[^>]*method=\"post\".*?</form>", text, re.S | re.I)
    assert all("csrf_field()" in form for form in forms)
    assert text.count("<form") == text.count("</form>")


def test_every_form_and_button_says_what_it_does(template: tuple[str, str]) -> None:
    assert all(re.search(r"\btype=", tag) for tag in tags(template[1]) if tag.startswith("<button"))
    assert all(re.search(r"\bmethod=", tag) for tag in tags(template[1]) if tag.startswith("<form"))


def test_pictures_have_a_size_and_a_text(template: tuple[str, str]) -> None:
    pictures = [tag for tag in tags(template[1]) if tag.startswith("<img")]
    assert all(all(f"{wanted}=" in tag for wanted in ("alt", "width", "height")) for tag in pictures)


def test_named_icons_are_in_the_sprite(template: tuple[str, str]) -> None:
    named = re.findall(r"\b(?:ui\.i|i|icon)\([\"']([a-z0-9-]+)[\"']|[\"']icon[\"']:\s*[\"']([a-z0-9-]+)[\"']", template[1])
    assert {first or second for first, second in named} <= templating.icon_names()


def test_an_unknown_icon_is_the_question_mark() -> None:
    assert templating.icon("no-such-thing").endswith("#circle-help")


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.js")), ids=lambda path: path.name)
def test_scripts_build_no_code_and_no_markup_from_text(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(
        r"\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|setAttribute\(.style", text
    )
    assert text.startswith("//"), "a script says first what it does"


def test_vendored_files_are_as_locked() -> None:
    assert load_vendor().check() == []


def test_first_load_of_a_shop_page_is_light() -> None:
    page = templating.render("closed.html", shop_name="x")
    paths = set(re.findall(r"/static/([\w./-]+)\?v=", page)) | {"css/shop.css", "icons.svg"}
    weight = sum(len(gzip.compress((templating.STATIC / path).read_bytes(), 6)) for path in paths)
    assert weight + PAGE_BYTES < FIRST_LOAD_BYTES, f"{weight:,} bytes before the page itself"


def test_the_macro_file_lists_its_macros() -> None:
    text = (TEMPLATES / "ui.html").read_text(encoding="utf-8")
    contents, _, rest = text.partition("#}")
    made = {name for name in re.findall(r"\{% macro (\w+)\(", rest) if not name.startswith("_")}
    assert made == set(re.findall(r"\b([a-z_]+)\(", contents)) - {"i18n"}


# What the macros make


def show(source: str, **context: object) -> str:
    with i18n.speaking("en"):
        return templating.environment().from_string('{% import "ui.html" as ui with context %}' + source).render(context)


def test_a_field_in_error_is_tied_to_its_message_and_keeps_the_input() -> None:
    html = show(
        '{{ ui.field("name", "Name", hint="As buyers see it") }}', errors={"name": "Say a name"}, values={"name": '<b>"x"'}
    )
    assert 'aria-invalid="true"' in html
    assert 'aria-describedby="f-name-hint f-name-error"' in html
    assert 'id="f-name-error"' in html
    assert "&lt;b&gt;&#34;x&#34;" in html


def test_a_password_is_never_written_back() -> None:
    assert "secret" not in show('{{ ui.field("p", "P", type="password") }}', values={"p": "secret"})


def test_an_unticked_box_stays_unticked_when_the_form_comes_back() -> None:
    ticked = '{{ ui.checkbox("agree", "I agree", checked=true) }}'
    assert " checked" in show(ticked)
    assert " checked" not in show(ticked, values={"other": "1"})
    assert " checked" in show(ticked, values={"agree": "yes"})


def test_attributes_are_escaped() -> None:
    assert "<script>" not in show("{{ ui.btn('Go', '/x', attrs={'data-x': '\"><script>'}) }}")


def test_states_have_one_word_and_tone() -> None:
    templating.register_states("test-thing", {"asking": ("Not known yet", "odd")})
    html = show('{{ ui.state("test-thing", "asking") }}')
    assert html == '<span class="pill" data-tone="odd">Not known yet</span>'


def test_a_price_shows_what_it_was_only_when_that_was_more() -> None:
    assert "¥19.90" in show("{{ ui.price(1590, 1990) }}")
    assert "¥15.90" not in show("{{ ui.price(1990, 1590) }}")


def test_a_clock_counts_by_the_servers_time() -> None:
    now = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
    html = show("{{ ui.clock(until, now, 'Ends in') }}", until=now + timedelta(seconds=4356), now=now)
    assert "<b>01</b>:<b>12</b>:<b>36</b>" in html
    assert 'data-now="2026-11-21T06:00:00+00:00"' in html


def test_a_qr_code_is_drawn_and_named() -> None:
    code = templating.qr("https://shop.example/g/1", '"poster"')
    assert isinstance(code, Markup)
    assert 'aria-label="&#34;poster&#34;"' in code


@pytest.mark.parametrize("status", [403, 404, 409, 422, 429, 500, 503])
def test_errors_give_the_number_to_ask_with(status: int) -> None:
    with i18n.speaking("en"):
        html = templating.render("error.html", status=status, request_id="req_8F3KQ2")
    assert html.count("<h1>") == 1
    assert "req_8F3KQ2" in html


def load_vendor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vendor", templating.WEB / "vendor.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_kit_is_made_once_and_still_signs_each_page_s_own_forms() -> None:
    source = '{% import "ui.html" as ui with context %}{{ ui.secret("****1", "Key", "/reveal") }}'
    environment = templating.environment()
    environment.loader, kept = (
        DictLoader({"_secret.html": source, "ui.html": (TEMPLATES / "ui.html").read_text()}),
        environment.loader,
    )
    try:
        pages = [templating.render("_secret.html", csrf_field=lambda mark=mark: Markup(f"<{mark}>")) for mark in ("one", "two")]
    finally:
        environment.loader = kept
        environment.cache.clear()  # type: ignore[union-attr]
    assert "<one>" in pages[0]
    assert "<two>" in pages[1]
    assert "<one>" not in pages[1]


def test_a_form_with_faults_does_not_leave_them_on_the_next_page() -> None:
    wrong = show('{{ ui.field("name", "Name") }}', errors={"name": "Say a name"}, values={"name": "Zhou"})
    clean = show('{{ ui.field("name", "Name") }}')
    assert "Say a name" in wrong
    assert "Zhou" in wrong
    assert "Say a name" not in clean
    assert "Zhou" not in clean


def test_the_kit_reads_no_name_of_the_context_but_those_it_is_known_to_read() -> None:
    """Anything else would keep what the first page of the process said."""
    bare = templating.environment().overlay()
    bare.globals = {}
    read = meta.find_undeclared_variables(bare.parse((TEMPLATES / "ui.html").read_text(encoding="utf-8")))
    own = {"line", "x", "y", "given"}
    same_for_all = {"icon", "split_money", "state_word", "html_language", "_", "ngettext", "namespace", "dict", "range"}
    assert read - own - same_for_all == {"csrf_field", "errors", "values"}
