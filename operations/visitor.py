"""A browser without scripts: it keeps cookies per host, reads the forms of a page and sends them back as they were filled in.

Hosts under `.localhost` lead to this machine, as browsers have it, whatever the resolver says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx2

from operations.trouble import Trouble

ANSWER_S = 30.0
MOST_REDIRECTS = 5
GONE = "max-age=0"

Upload = tuple[str, bytes, str]
"""A file's name, its bytes and its media type."""


@dataclass
class FoundForm:
    """A form of a page with what it holds: what is typed or chosen when the page opens."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown:
    """A page as it was answered, after the redirects that led to it."""

    url: str
    status: int
    html: str

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def forms(self) -> list[FoundForm]:
        reader = _Forms()
        reader.feed(self.html)
        return reader.found

    def form_to(self, ending: str) -> FoundForm:
        """The form whose address ends so. Raises: Trouble."""
        for found in self.forms:
            if urlsplit(found.action).path.endswith(ending):
                return found
        raise Trouble(f"{self.path} has no form to …{ending}. It says: {self.words[:400]}")

    @property
    def words(self) -> str:
        """What a reader sees."""
        text = re.sub(r"<(script|style|svg|head)\b.*?</\1>", " ", self.html, flags=re.DOTALL)
        return " ".join(re.sub(r"<[^>]+>", " ", text).split())


class Visitor:
    """One person at one browser."""

    def __init__(self) -> None:
        self._client = httpx2.Client(timeout=ANSWER_S, trust_env=False, follow_redirects=False)
        self._cookies: dict[str, dict[str, str]] = {}

    def close(self) -> None:
        self._client.close()

    def open(self, url: str) -> Shown:
        """A page. Raises: Trouble when it does not answer 200."""
        return self._follow("GET", url, None, None)

    def send(
        self, page: Shown, ending: str, typed: Mapping[str, str] | None = None, files: Mapping[str, Upload] | None = None
    ) -> Shown:
        """Fill in the form of a page whose address ends so, send it, and go where it leads. Raises: Trouble."""
        form = page.form_to(ending)
        return self._follow("POST", urljoin(page.url, form.action), {**form.fields, **(typed or {})}, files)

    def _follow(self, method: str, url: str, data: dict[str, str] | None, files: Mapping[str, Upload] | None) -> Shown:
        for _ in range(MOST_REDIRECTS):
            answer = self._ask(method, url, data, files)
            if answer.status_code not in (302, 303):
                shown = Shown(url, answer.status_code, answer.text)
                if answer.status_code != 200:
                    raise Trouble(f"{method} {shown.path} answered {answer.status_code}: {shown.words[:400]}")
                return shown
            method, url, data, files = "GET", urljoin(url, answer.headers["location"]), None, None
        raise Trouble(f"{url} leads on and on.")

    def _ask(self, method: str, url: str, data: dict[str, str] | None, files: Mapping[str, Upload] | None) -> httpx2.Response:
        parts = urlsplit(url)
        place = urlunsplit(parts._replace(netloc=_on_this_machine(parts.netloc)))
        jar = self._cookies.setdefault(parts.netloc, {})
        headers = {"Host": parts.netloc, "Accept": "text/html", "Accept-Language": "en"}
        if jar:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        if method == "POST":
            headers["Origin"] = f"{parts.scheme}://{parts.netloc}"
        try:
            answer = self._client.request(method, place, headers=headers, data=data, files=dict(files) if files else None)
        except httpx2.HTTPError as fault:
            raise Trouble(f"{method} {url} was not answered: {type(fault).__name__} {fault}") from None
        for line in answer.headers.get_list("set-cookie"):
            _keep(jar, line)
        return answer


def _keep(jar: dict[str, str], line: str) -> None:
    pair, _, attributes = line.partition(";")
    name, _, value = pair.partition("=")
    if GONE in attributes.lower():
        jar.pop(name.strip(), None)
    else:
        jar[name.strip()] = value.strip()


def _on_this_machine(netloc: str) -> str:
    host, _, port = netloc.partition(":")
    return f"127.0.0.1:{port}" if host.endswith(".localhost") and port else netloc


class _Forms(HTMLParser):
    """Reads the forms of a page: inputs that count, chosen options, texts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[FoundForm] = []
        self._is_inside = False
        self._select = ""
        self._textarea = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(FoundForm(given.get("action", "")))
            self._is_inside = True
        elif not self._is_inside:
            return
        elif tag == "input" and "name" in given:
            self._take_input(given)
        elif tag == "select":
            self._select = given.get("name", "")
        elif tag == "option" and self._select and ("selected" in given or self._select not in self._fields):
            self._fields[self._select] = given.get("value", "")
        elif tag == "textarea" and "name" in given:
            self._textarea = given["name"]
            self._fields[self._textarea] = ""

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self._fields[self._textarea] += data.removeprefix("\n") if not self._fields[self._textarea] else data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._textarea = ""

    @property
    def _fields(self) -> dict[str, str]:
        return self.found[-1].fields

    def _take_input(self, given: dict[str, str]) -> None:
        kind = given.get("type", "text")
        if kind in ("file", "submit", "button", "image") or (kind in ("radio", "checkbox") and "checked" not in given):
            return
        self._fields[given["name"]] = given.get("value", "on" if kind == "checkbox" else "")
