"""Tries a recipe without sending anything: the exact request it makes, and what it makes of a pasted answer or message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

from app.kernel.http import Answer
from app.suppliers.connectors.declarative import answering, asking, messages, values
from app.suppliers.connectors.declarative.answering import Ours
from app.suppliers.connectors.declarative.messages import Clock
from app.suppliers.connectors.declarative.recipe import CallName, MessageKind, Recipe
from app.suppliers.connectors.port import Found, GoodsNotice, Notice, Purchase, RawNotice, Unknown, UseNotice

_SINCE = timedelta(minutes=15)
"""So long before the sample's instant a sample reading asks for changes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The values a request is made of. With `now` and `nonce` given, the same request comes out every time."""

    now: datetime
    nonce: str
    purchase: Purchase
    supplier_ref: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class Shown:
    """What would be sent. Secrets are replaced by their names, in the text that is signed as well."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str
    signed_text: str


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a pasted answer means: its word in the recipe, and for placing and asking the outcome."""

    word: str
    outcome: Found | None = field(default=None)


def show_request(recipe: Recipe, settings: Mapping[str, str], name: CallName, sample: Sample) -> Shown:
    """Raises: KeyError where the recipe has no such call, values.Missing, signing.BadKey."""
    prepared = asking.prepare(recipe, recipe.calls[name], _named(recipe, settings, sample))
    call = prepared.call
    return Shown(
        method=call.method,
        url=_masked(call.url, recipe, settings),
        headers={header: _masked(value, recipe, settings) for header, value in call.headers.items()},
        body=_masked(call.body.decode("utf-8"), recipe, settings),
        signed_text=_masked(prepared.signed_text, recipe, settings),
    )


def exact_request(recipe: Recipe, settings: Mapping[str, str], name: CallName, sample: Sample) -> asking.Prepared:
    """The same with its secrets, for recorded tests. Raises: as `show_request`."""
    return asking.prepare(recipe, recipe.calls[name], _named(recipe, settings, sample))


def read_answer(recipe: Recipe, settings: Mapping[str, str], name: CallName, sample: Sample, answer: Answer) -> Meaning:
    """What an answer would mean, by the very code that reads real ones."""
    part = recipe.calls[name].answer
    said = answering.read(part, answer)
    if isinstance(said, Unknown):
        return Meaning("unknown", said)
    if name not in ("place", "place_top_up", "query"):
        return Meaning(said.word)
    ours = Ours(sample.purchase.out_no, sample.supplier_ref or None)
    return Meaning(said.word, answering.outcome(recipe, part, said, ours, values.named("settings", settings)))


def read_message(
    recipe: Recipe, settings: Mapping[str, str], kind: MessageKind, raw: RawNotice, now: datetime
) -> Notice | GoodsNotice | UseNotice | None:
    """What a message would mean, by the very code that reads real ones; None where the recipe describes none of this kind."""
    named, clock = values.common(settings, now, recipe.zone), Clock(now, recipe.zone)
    match kind:
        case "notice" if recipe.notice:
            return messages.verify(recipe.notice, raw, named)
        case "goods_notice" if recipe.goods_notice:
            return messages.verify_goods(recipe.goods_notice, raw, named, clock)
        case "use_notice" if recipe.use_notice:
            return messages.verify_use(recipe.use_notice, raw, named, clock)
        case _:
            return None


def _named(recipe: Recipe, settings: Mapping[str, str], sample: Sample) -> dict[str, str]:
    return {
        **values.common(settings, sample.now, recipe.zone, sample.nonce),
        **asking.of_purchase(sample.purchase),
        "asked.out_no": sample.purchase.out_no,
        "asked.supplier_ref": sample.supplier_ref,
        "goods.supplier_sku": sample.purchase.supplier_sku,
        "page.number": str(sample.page),
        "page.size": str(recipe.page_size),
        **values.instant("since", sample.now - _SINCE, recipe.zone),
    }


def _masked(text: str, recipe: Recipe, settings: Mapping[str, str]) -> str:
    for part in recipe.settings:
        secret = settings.get(part.name, "") if part.is_secret else ""
        for written in {secret, quote(secret, safe="")} - {""}:
            text = text.replace(written, f"‹{part.name}›")
    return text
