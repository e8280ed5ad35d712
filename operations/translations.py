"""Holds the messages to their Chinese: nothing missing, empty, doubtful, left over, or filled with other facts.

`python -m operations.translations` says what is wrong, one line each; with `--add` it first writes the missing messages, still
empty, into their slice's file.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

from app.kernel import i18n

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ("app", "operations", "workers", "tenants", "web/templates")
METHODS: Final = [("**.py", "python"), ("**.html", "jinja2.ext:babel_extract"), ("**.txt", "jinja2.ext:babel_extract")]
OPTIONS: Final = {name: {"silent": "false", "trimmed": "true"} for name in ("**.html", "**.txt")}
KEYWORDS: Final[Mapping[str, Any]] = {
    "_": None,
    "N_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "translate": (2,),
    "translate_plural": (2, 3),
}
SHARED: Final = "kernel"

MessageId = str | tuple[str, ...]


@dataclass
class Use:
    """A message of the sources: which slice it belongs to and where it stands."""

    slice: str
    places: list[str] = field(default_factory=list)


def check() -> list[str]:
    """What is wrong with the translations, one sentence each; none is the wish."""
    used = extract()
    files = {name: i18n.read_catalogue(path) for name, path in i18n.catalogue_files().items()}
    return [*_missing(used, files), *_doubtful(files), *_left_over(used, files), *_at_odds(files), *_not_english(used)]


def extract() -> dict[MessageId, Use]:
    """Every message of the sources."""
    used: dict[MessageId, Use] = {}
    for source in SOURCES:
        folder = ROOT / source
        if not folder.is_dir():
            continue
        found = extract_from_dir(str(folder), METHODS, OPTIONS, keywords=KEYWORDS, strip_comment_tags=True)
        for filename, line, message, _, _ in found:
            if message:
                path = f"{source}/{filename}"
                used.setdefault(message, Use(slice_of(path))).places.append(f"{path}:{line}")
    return used


def slice_of(path: str) -> str:
    """The slice whose file keeps the Chinese of what stands at `path`: its folder, or the kernel for what all share."""
    parts = path.removeprefix("web/templates/").split("/")
    if parts[0] == "app":
        parts = parts[1:]
    if parts[0] in ("operations", "workers", "tenants"):
        return parts[0]
    return parts[0] if len(parts) > 1 and parts[0] != "layouts" else SHARED


def add_missing() -> int:
    """Write each message that has no Chinese, with an empty one, into its slice's file. Returns how many."""
    used = extract()
    files = {name: i18n.read_catalogue(path) for name, path in i18n.catalogue_files().items()}
    missing = [(message, use) for message, use in used.items() if not _entries(message, files)]
    for message, use in missing:
        catalogue = files.setdefault(use.slice, Catalog(locale=i18n.CHINESE, fuzzy=False))
        catalogue.add(message, ("",) if isinstance(message, tuple) else "", auto_comments=[use.places[0].rpartition(":")[0]])
    for name in {use.slice for _, use in missing}:
        save(name, files[name])
    return len(missing)


def save(name: str, catalogue: Catalog) -> None:
    """Write a slice's file with the least header, so that two people's additions merge."""
    folder = i18n.LOCALE_FOLDER / i18n.CHINESE
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.po").open("wb") as file:
        file.write(HEADER.encode())
        write_po(file, catalogue, width=0, omit_header=True, no_location=True)


def _missing(used: Mapping[MessageId, Use], files: Mapping[str, Catalog]) -> Iterator[str]:
    for message, use in used.items():
        if not _entries(message, files):
            yield f"{use.slice}.po has no Chinese for {_quoted(message)} ({use.places[0]})"


def _doubtful(files: Mapping[str, Catalog]) -> Iterator[str]:
    """Entries that are empty, marked fuzzy, or use other facts than the message."""
    for name, catalogue in files.items():
        for entry in _own(catalogue):
            strings = _texts(entry.string or "")
            if entry.fuzzy:
                yield f"{name}.po: {_quoted(entry.id)} is marked fuzzy"
            elif not all(strings):
                yield f"{name}.po: {_quoted(entry.id)} is empty"
            elif any(_facts(text) - _facts_of(entry.id) for text in strings):
                yield f"{name}.po: {_quoted(entry.id)} is given facts its message does not have"
            elif not all(_is_format(text) for text in [*strings, *_texts(entry.id)]):
                yield f"{name}.po: {_quoted(entry.id)} has a bare % (write %%)"


def _left_over(used: Mapping[MessageId, Use], files: Mapping[str, Catalog]) -> Iterator[str]:
    known = {_key(message) for message in used}
    for name, catalogue in files.items():
        for entry in _own(catalogue):
            if _key(entry.id) not in known:
                yield f"{name}.po: {_quoted(entry.id)} is used nowhere"


def _at_odds(files: Mapping[str, Catalog]) -> Iterator[str]:
    """One message has one Chinese: files are merged, so a second would win or lose by chance."""
    first: dict[str, tuple[str, Any]] = {}
    for name, catalogue in files.items():
        for entry in _own(catalogue):
            other, string = first.setdefault(_key(entry.id), (name, entry.string))
            if string != entry.string:
                yield f"{name}.po and {other}.po differ on {_quoted(entry.id)}"


def _not_english(used: Mapping[MessageId, Use]) -> Iterator[str]:
    for message, use in used.items():
        if any(re.search(r"[\u4e00-\u9fff]", text) for text in _texts(message)):
            yield f"{use.places[0]}: a message is written in English, its Chinese in {use.slice}.po: {_quoted(message)}"


def _entries(message: MessageId, files: Mapping[str, Catalog]) -> list[Message]:
    return [entry for catalogue in files.values() if (entry := catalogue.get(_key(message))) is not None]


def _own(catalogue: Catalog) -> Iterator[Message]:
    return (entry for entry in catalogue if entry.id)


def _texts(message: MessageId | list[str]) -> list[str]:
    return [message] if isinstance(message, str) else list(message)


def _key(message: MessageId | list[str]) -> str:
    return _texts(message)[0]


def _facts(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)", text))


def _facts_of(message: MessageId | list[str]) -> set[str]:
    return set().union(*(_facts(text) for text in _texts(message)))


def _is_format(text: str) -> bool:
    return not re.search(r"%(?!%|\(\w+\)[sd])", text.replace("%%", ""))


def _quoted(message: MessageId | list[str]) -> str:
    text = _key(message)
    return f"“{text if len(text) <= 70 else text[:69] + '…'}”"


HEADER: Final = """msgid ""
msgstr ""
"Language: zh_CN\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"

"""


def main() -> int:
    if "--add" in sys.argv[1:]:
        print(f"added {add_missing()} messages without Chinese")
    problems = check()
    print("\n".join(problems) or "every message has its Chinese")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
