"""A supplier whose protocol is written down in a recipe. What the recipe does not describe is answered `Unknown`, with nothing sent.

Source of each number in `traits`: none; they are our own caution. The grace is the longest that any description we read gives (ten minutes); a recipe
may ask for a longer one. A recipe promises nothing about repeats, so a number is never sent twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import ClassVar, Self

from app.kernel import clock, http
from app.kernel.errors import N_
from app.kernel.http import Answer, CallFailed, Client, NotSent
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors.declarative import answering, asking, messages, values
from app.suppliers.connectors.declarative.answering import Ours, Said
from app.suppliers.connectors.declarative.messages import Clock
from app.suppliers.connectors.declarative.recipe import (
    AnswerPart,
    BadRecipe,
    CallName,
    CallPart,
    MessagePart,
    Recipe,
    read_recipe,
)
from app.suppliers.connectors.declarative.signing import BadKey, private_key, public_key
from app.suppliers.connectors.declarative.values import Missing
from app.suppliers.connectors.port import (
    Ability,
    AccountFits,
    AccountRefused,
    Asked,
    Balance,
    CatalogItem,
    CatalogPage,
    Forged,
    Found,
    GoodsNotice,
    IncompleteConnection,
    NoSuchGoods,
    NoSuchPurchase,
    Notice,
    OtherNotice,
    Outcome,
    Purchase,
    RawNotice,
    Reason,
    Rejected,
    Setting,
    StatementPage,
    Traits,
    Unknown,
    UseNotice,
)

READ_S = 15.0
TOTAL_S = 25.0
PAGE = 500
MAX_PAGES = 1000
OWN_SETTINGS = ("recipe", "credentials", "base_url")


@dataclass(frozen=True, slots=True)
class Declarative:
    """One account at a supplier that a recipe describes."""

    traits: ClassVar[Traits] = Traits(
        name="declarative",
        title=N_("By recipe"),
        verified_on=date(2026, 11, 22),
        settings=(
            Setting(
                "recipe",
                N_("Recipe"),
                help=N_("What to send and what answers mean, as JSON. Start from a preset."),
                pattern=r"[\s\S]+",
            ),
            Setting(
                "credentials",
                N_("Credentials"),
                is_secret=True,
                help=N_("One line each: name = value, with the names the recipe lists under settings."),
                pattern=r"[\s\S]*",
            ),
            Setting("base_url", N_("Address"), help=N_("Instead of the recipe's own address."), pattern=r"(https?://[^\s?#]+)?"),
        ),
        abilities=frozenset(
            {
                Ability.CATALOG,
                Ability.CHANGED_SINCE,
                Ability.STOCK,
                Ability.PRE_CHECK,
                Ability.BALANCE,
                Ability.NOTICES,
                Ability.GOODS_NOTICES,
                Ability.USE_NOTICES,
            }
        ),
        not_found_grace=timedelta(minutes=10),
        idempotency_life=None,
        calls_per_second=5.0,
        calls_at_once=4,
    )

    recipe: Recipe = field(repr=False)
    settings: Mapping[str, str] = field(repr=False)
    client: Client = field(repr=False)
    total_s: float = TOTAL_S

    @classmethod
    def for_connection(cls, config: Mapping[str, str], client: Client | None = None) -> Self:
        recipe, settings = read_config(config)
        return cls(recipe, settings, client or http.shared())

    @property
    def abilities(self) -> frozenset[Ability]:
        """Those the recipe describes."""
        described = {Ability(name) for name in ("catalog", "pre_check", "balance") if name in self.recipe.calls}
        described |= {Ability.STOCK} if "goods" in self.recipe.calls else set()
        described |= (
            {Ability.CHANGED_SINCE}
            if "catalog" in self.recipe.calls and _names(self.recipe.calls["catalog"], "since.")
            else set()
        )
        described |= {Ability.NOTICES} if self.recipe.notice else set()
        described |= {Ability.GOODS_NOTICES} if self.recipe.goods_notice else set()
        return frozenset(described | ({Ability.USE_NOTICES} if self.recipe.use_notice else set()))

    async def place(self, purchase: Purchase) -> Outcome:
        name: CallName = "place_top_up" if purchase.account and "place_top_up" in self.recipe.calls else "place"
        found = await self._about(name, asking.of_purchase(purchase), Ours(purchase.out_no))
        if isinstance(found, NoSuchPurchase):
            return Unknown("the supplier does not know the number it was just given", evidence=found.evidence)
        return found

    async def query(self, asked: Asked) -> Found:
        named = {"asked.out_no": asked.out_no, "asked.supplier_ref": asked.supplier_ref or ""}
        found = await self._about("query", named, Ours(asked.out_no, asked.supplier_ref))
        if isinstance(found, NoSuchPurchase) and clock.now() - asked.sent_at < timedelta(seconds=self.recipe.grace_s):
            return Unknown("the supplier does not know the number yet", evidence=found.evidence)
        return found

    async def catalog(self, cursor: str | None, since: datetime | None) -> CatalogPage | Unknown:
        """The cursor is a page, and where to go on in it: pages longer than 500 are cut here. Without `since` its names are empty."""
        part = self.recipe.calls.get("catalog")
        if part is None:
            return _not_described("catalog")
        number, first = (int(step) for step in (cursor or "1.0").split("."))
        asked = {"page.number": str(number), "page.size": str(self.recipe.page_size)}
        said = await self._call(part, asked | (values.instant("since", since, self.recipe.zone) if since else {}))
        if isinstance(said, Unknown) or said.word != "ok":
            return _unread(said)
        try:
            items, unread = answering.catalog_items(self.recipe, part.answer, said.document)
        except NotStrictJson as fault:
            return Unknown(f"the catalog cannot be read: {fault}", evidence=said.evidence)
        if len(items) > first + PAGE:
            return CatalogPage(tuple(items[first : first + PAGE]), f"{number}.{first + PAGE}")
        is_paged = _names(part, "page.number")
        is_last = not is_paged or len(items) + unread < self.recipe.page_size or number >= MAX_PAGES
        return CatalogPage(tuple(items[first:]), None if is_last else f"{number + 1}.0", unread)

    async def goods(self, supplier_sku: str) -> CatalogItem | NoSuchGoods | Unknown:
        part = self.recipe.calls.get("goods")
        if part is None:
            return _not_described("goods")
        said = await self._call(part, {"goods.supplier_sku": supplier_sku})
        if isinstance(said, Unknown) or said.word not in ("ok", "not_found"):
            return _unread(said)
        if said.word == "not_found":
            return NoSuchGoods()
        return _one(self.recipe, part.answer, said, supplier_sku)

    async def pre_check(self, supplier_sku: str, account: Mapping[str, str]) -> AccountFits | AccountRefused | Unknown:
        part = self.recipe.calls.get("pre_check")
        if part is None:
            return _not_described("pre_check")
        said = await self._call(part, {"goods.supplier_sku": supplier_sku, **values.named("account", account)})
        if isinstance(said, Said) and said.word.startswith("rejected:"):
            return AccountRefused(said.says[:200])
        if isinstance(said, Unknown) or said.word != "ok":
            return _unread(said)
        try:
            return AccountFits(answering.word_at(said.document, part.answer.account_name) if part.answer.account_name else "")
        except NotStrictJson as fault:
            return Unknown(str(fault), evidence=said.evidence)

    async def balance(self) -> Balance | Unknown:
        part = self.recipe.calls.get("balance")
        if part is None or part.answer.amount is None:
            return _not_described("balance")
        said = await self._call(part, {})
        if isinstance(said, Unknown) or said.word != "ok":
            return _unread(said)
        try:
            return Balance(answering.amount_at(said.document, part.answer.amount), self.recipe.currency)
        except NotStrictJson as fault:
            return Unknown(str(fault), evidence=said.evidence)

    async def statement(self, day: date, cursor: str | None) -> StatementPage | Unknown:
        return _not_described("statement")

    def verify_notice(self, raw: RawNotice, now: datetime) -> Notice:
        if self.recipe.notice is None:
            return Forged("the recipe describes no notices")
        return messages.verify(self.recipe.notice, raw, values.common(self.settings, now, self.recipe.zone))

    def acknowledge(self) -> tuple[int, bytes, str]:
        return _acknowledged(self.recipe.notice)

    def verify_goods_notice(self, raw: RawNotice, now: datetime) -> GoodsNotice | Forged:
        if self.recipe.goods_notice is None:
            return Forged("the recipe describes no notices of goods")
        named = values.common(self.settings, now, self.recipe.zone)
        return messages.verify_goods(self.recipe.goods_notice, raw, named, Clock(now, self.recipe.zone))

    def acknowledge_goods(self) -> tuple[int, bytes, str]:
        return _acknowledged(self.recipe.goods_notice)

    def verify_use_notice(self, raw: RawNotice, now: datetime) -> UseNotice | OtherNotice | Forged:
        if self.recipe.use_notice is None:
            return Forged("the recipe describes no notices of uses")
        named = values.common(self.settings, now, self.recipe.zone)
        return messages.verify_use(self.recipe.use_notice, raw, named, Clock(now, self.recipe.zone))

    def acknowledge_use(self) -> tuple[int, bytes, str]:
        return _acknowledged(self.recipe.use_notice)

    async def _about(self, name: CallName, named: Mapping[str, str], ours: Ours) -> Found:
        part = self.recipe.calls[name]
        try:
            said = await self._send(part, named)
        except Missing as fault:
            if name == "query":
                return Unknown(str(fault), is_sent=False)
            return Rejected(Reason.NOT_FOR_SALE, f"nothing was sent: {fault}")
        if isinstance(said, Unknown):
            return said
        return answering.outcome(self.recipe, part.answer, said, ours, values.named("settings", self.settings))

    async def _call(self, part: CallPart, named: Mapping[str, str]) -> Said | Unknown:
        try:
            return await self._send(part, named)
        except Missing as fault:
            return Unknown(str(fault), is_sent=False)

    async def _send(self, part: CallPart, named: Mapping[str, str]) -> Said | Unknown:
        """Raises: Missing, with nothing sent, where a value has not the form the recipe asks for."""
        common = values.common(self.settings, clock.now(), self.recipe.zone)
        try:
            prepared = asking.prepare(self.recipe, part, {**common, **named})
            answer: Answer = await self.client.send(prepared.call, read_s=READ_S, total_s=self.total_s)
        except NotSent as fault:
            return Unknown(fault.reason, is_sent=False)
        except CallFailed as fault:
            return Unknown(fault.reason)
        return answering.read(part.answer, answer)


def _names(part: CallPart, name: str) -> bool:
    """Whether a call names a value that begins so."""
    return "{" + name in part.model_dump_json()


def _acknowledged(part: MessagePart | None) -> tuple[int, bytes, str]:
    if part is None:
        return 200, b"ok", "text/plain"
    said = part.acknowledge
    return said.status, said.text.encode("utf-8"), said.media_type


def read_config(config: Mapping[str, str]) -> tuple[Recipe, dict[str, str]]:
    """The recipe and the values of its settings. Raises: IncompleteConnection."""
    try:
        recipe = read_recipe(config.get("recipe", ""))
    except BadRecipe as fault:
        raise IncompleteConnection("recipe", str(fault)) from fault
    settings = _credentials(config.get("credentials", ""), recipe)
    settings |= {name: value for name, value in config.items() if name not in OWN_SETTINGS}
    for part in recipe.settings:
        if not settings.get(part.name, "").strip():
            raise IncompleteConnection("credentials", f"{part.name} is missing")
    if address := config.get("base_url", "").strip():
        try:
            recipe = Recipe.model_validate({**recipe.model_dump(mode="json"), "base_url": address})
        except ValueError as error:
            raise IncompleteConnection("base_url", "is not a web address") from error
    _check_keys(recipe, settings)
    return recipe, settings


def _credentials(text: str, recipe: Recipe) -> dict[str, str]:
    """Lines `name = value`; a value that goes on over lines, as keys do, ends with the next `name =`."""
    names = {part.name for part in recipe.settings}
    found: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        name, sign, value = line.partition("=")
        if sign and name.strip() in names:
            last = name.strip()
            found[last] = value.strip()
        elif last and line.strip():
            found[last] += "\n" + line.strip()
        elif line.strip():
            raise IncompleteConnection("credentials", "a line is not name = value with a name the recipe lists")
    return found


def _check_keys(recipe: Recipe, settings: Mapping[str, str]) -> None:
    named = values.named("settings", settings)
    try:
        if recipe.signing is not None and recipe.signing.hash == "rsa-sha256":
            private_key(values.fill(recipe.signing.key, named))
        for part in recipe.messages:
            if part.signing.hash == "rsa-sha256":
                public_key(values.fill(part.signing.key, named))
    except BadKey as fault:
        raise IncompleteConnection("credentials", str(fault)) from fault
    if recipe.secrets.cipher == "aes-256-ecb" and len(values.fill(recipe.secrets.key, named).encode()) != 32:
        raise IncompleteConnection("credentials", "the key of the cards has to be 32 bytes long")


def _one(recipe: Recipe, part: AnswerPart, said: Said, supplier_sku: str) -> CatalogItem | Unknown:
    try:
        items, unread = answering.catalog_items(recipe, part, said.document)
    except NotStrictJson as fault:
        return Unknown(f"the goods cannot be read: {fault}", evidence=said.evidence)
    found = [item for item in items if item.supplier_sku == supplier_sku]
    if len(found) != 1 or unread:
        return Unknown("the answer does not describe these goods", evidence=said.evidence)
    return found[0]


def _not_described(what: str) -> Unknown:
    return Unknown(f"the recipe describes no call for: {what}", is_sent=False)


def _unread(said: Said | Unknown) -> Unknown:
    return (
        said
        if isinstance(said, Unknown)
        else Unknown(f"the supplier's answer is not listed ({said.says})", evidence=said.evidence)
    )
