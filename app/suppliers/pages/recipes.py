"""The recipe of a connection that speaks by recipe: written here, tried with sample values without sending anything, then kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import InvalidForm, RawForm
from app.kernel.http import Answer
from app.kernel.i18n import format_datetime, gettext
from app.kernel.web import AnyRequest, page, see_other
from app.suppliers import adjusting, queries, service
from app.suppliers.connectors.declarative import trying
from app.suppliers.connectors.declarative.connector import read_config
from app.suppliers.connectors.declarative.presets import preset, preset_names
from app.suppliers.connectors.declarative.recipe import BadRecipe, CallName, MessageKind, Recipe, read_recipe
from app.suppliers.connectors.declarative.signing import BadKey
from app.suppliers.connectors.declarative.trying import Sample
from app.suppliers.connectors.declarative.values import Missing
from app.suppliers.connectors.port import (
    Accepted,
    Delivered,
    Forged,
    Found,
    GoodsNotice,
    IncompleteConnection,
    NoSuchPurchase,
    Notice,
    OtherNotice,
    Purchase,
    PurchaseNotice,
    RawNotice,
    Rejected,
    Unknown,
    UseNotice,
)
from app.suppliers.models import SupplierConnection
from app.suppliers.pages.shared import shared
from tenants.directory import Tenant

_PAGE = "suppliers/recipe.html"
_PROTOCOL = "declarative"
CALLS: Final[dict[CallName, str]] = {
    "place": N_("Buy a card"),
    "place_top_up": N_("Buy a top-up"),
    "query": N_("Ask about a purchase"),
    "catalog": N_("Read the catalog"),
    "goods": N_("Read one item"),
    "pre_check": N_("Check an account"),
    "balance": N_("Ask for the balance"),
}
MESSAGES: Final[dict[MessageKind, str]] = {
    "notice": N_("A notice of a purchase"),
    "goods_notice": N_("A notice of goods"),
    "use_notice": N_("A notice of a use"),
}
_SAMPLE: Final = {
    "out_no": "TEST0000000000000000000000000001",
    "supplier_sku": "10001",
    "account": "account = 13800138000",
    "supplier_ref": "",
    "face_value_minor": "",
}


class RecipePages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/connections/{supply_id:uuid}/recipe"
    guards = (may(Permission.SUPPLY_EDIT),)

    @get()
    async def show(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, supply_id: FromPath[UUID]
    ) -> Response[str]:
        """The recipe as it is kept, or with `?preset=` one to start from. Raises: NotFound where the connection has none."""
        context = await _context(request, session, tenant, supply_id)
        wanted = request.query_params.get("preset", "")
        if wanted in preset_names():
            context["recipe"] = preset(wanted)
        return page(request, _PAGE, **context)

    @post()
    async def change(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        supply_id: FromPath[UUID],
    ) -> Response[Any]:
        """Keep the recipe (`act=keep`), or show what it would send and what a pasted answer would mean. Trying sends and keeps nothing."""
        context = await _context(request, session, tenant, supply_id)
        text = sent.get("recipe").replace("\r\n", "\n").strip()
        context["recipe"] = text
        recipe = _read(text, sent, context)
        if sent.get("act") == "keep":
            return await _keep(request, session, tenant, context, actor=actor, sent=sent)
        context |= _tried(recipe, {**context["known"], "recipe": text}, sent)
        return page(request, _PAGE, **context, values=sent.values())


async def _keep(
    request: AnyRequest, session: AsyncSession, tenant: Tenant, context: dict[str, Any], *, actor: Actor, sent: RawForm
) -> Response[Any]:
    connection: SupplierConnection = context["connection"]
    try:
        await service.reconfigure(session, connection, {"recipe": context["recipe"]}, actor=actor)
    except IncompleteConnection as refusal:
        raise InvalidForm({"recipe": str(refusal)}, sent.values(), _PAGE, context) from None
    words = N_("Saved and switched off: place a test order with the new settings.")
    return see_other(request, context["here"], flash=words)


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, connection_id: UUID) -> dict[str, Any]:
    connection = await queries.connection_or_404(session, connection_id)
    if connection.connector != _PROTOCOL:
        raise NotFound
    known = await adjusting.settings_of(session, connection)
    return {
        **shared(request, tenant),
        "connection": connection,
        "here": f"/m/{tenant.slug}/suppliers/connections/{connection_id}",
        "known": known,
        "recipe": known.get("recipe", ""),
        "presets": preset_names(),
        "calls": CALLS,
        "messages": MESSAGES,
        "sample": _SAMPLE,
        "notes": [],
        "shown": None,
        "meaning": None,
        "message_meaning": None,
    }


def _read(text: str, sent: RawForm, context: dict[str, Any]) -> Recipe:
    """Raises: InvalidForm with every fault of the recipe."""
    try:
        return read_recipe(text)
    except BadRecipe as refusal:
        told = "\n".join(f"{where}: {says}" if where else says for where, says in refusal.faults)
        raise InvalidForm({"recipe": told}, sent.values(), _PAGE, context) from None


def _tried(recipe: Recipe, config: dict[str, str], sent: RawForm) -> dict[str, Any]:
    """What the recipe would send for the sample, and what the pasted answer would mean; or the sentence that says why neither."""
    wanted = sent.get("call")
    name: CallName = wanted if wanted in recipe.calls else next(iter(recipe.calls))
    found: dict[str, Any] = {"notes": recipe.not_verified, "tried": name}
    sample = _sample(recipe, sent)
    try:
        _, settings = read_config(config)
        found["shown"] = trying.show_request(recipe, settings, name, sample)
        if pasted := sent.get("pasted").strip():
            answer = Answer(200, pasted.encode(), {"content-type": "application/json"})
            meaning = trying.read_answer(recipe, settings, name, sample, answer)
            found["meaning"] = (meaning.word, _outcome(meaning.outcome))
        if sent.get("message").strip() or sent.get("message_query").strip():
            found["message_meaning"] = _message(recipe, settings, sent)
    except (IncompleteConnection, Missing, BadKey) as refusal:
        found["refusal"] = str(refusal)
    return found


def _message(recipe: Recipe, settings: Mapping[str, str], sent: RawForm) -> str:
    """What a pasted message would do, in a sentence. Its bytes are those pasted, with the line ends a form changes put back, without blanks around."""
    wanted = sent.get("message_kind")
    kind: MessageKind = wanted if wanted in MESSAGES else "notice"
    headers = {name.strip().lower(): value.strip() for name, _, value in _pairs(sent.get("message_headers"), ":")}
    body = sent.get("message").replace("\r\n", "\n").strip().encode()
    raw = RawNotice(headers, sent.get("message_query").strip().lstrip("?"), body)
    return _meant(trying.read_message(recipe, settings, kind, raw, clock.now()))


def _meant(notice: Notice | GoodsNotice | UseNotice | None) -> str:
    match notice:
        case None:
            return gettext(N_("The recipe describes no such messages."))
        case Forged(says):
            return gettext(N_("It is turned away and leaves no trace: %(says)s.")) % {"says": says}
        case PurchaseNotice(_, out_no, ref):
            told = gettext(N_("It is genuine: the supplier is asked about %(out_no)s (their number: %(ref)s)."))
            return told % {"out_no": out_no, "ref": ref or "–"}
        case GoodsNotice(told=told, unread=unread):
            said = gettext(N_("It is genuine: %(told)s goods are read (%(skus)s), %(unread)s entries are unclear."))
            return said % {"told": len(told), "skus": ", ".join(one.supplier_sku for one in told[:10]) or "–", "unread": unread}
        case UseNotice(_, out_no, _, is_taken_back, used_at, place):
            said = (
                N_("It is genuine: a use of %(out_no)s is taken back.")
                if is_taken_back
                else N_("It is genuine: %(out_no)s was used, %(at)s, %(place)s.")
            )
            return gettext(said) % {"out_no": out_no, "at": format_datetime(used_at or clock.now()), "place": place or "–"}
        case OtherNotice():
            return gettext(N_("It is genuine and says nothing of a use: it is acknowledged, and nothing follows."))


def _pairs(text: str, sign: str) -> list[tuple[str, str, str]]:
    """The first twenty lines that hold the sign, parted at it."""
    return [found for line in text.splitlines()[:20] if (found := line.partition(sign))[1] and found[0].strip()]


def _sample(recipe: Recipe, sent: RawForm) -> Sample:
    account = {name.strip()[:60]: value.strip()[:200] for name, _, value in _pairs(sent.get("account"), "=")}
    digits = sent.get("face_value_minor").strip()
    purchase = Purchase(
        out_no=(sent.get("out_no").strip() or _SAMPLE["out_no"])[:64],
        supplier_sku=(sent.get("supplier_sku").strip() or _SAMPLE["supplier_sku"])[:120],
        account=account,
        face_value_minor=int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None,
        currency=recipe.currency,
        most_cost=None,
        notice_url="https://example.com/notice",
    )
    return Sample(clock.now(), "0" * 32, purchase, supplier_ref=sent.get("supplier_ref").strip()[:120])


def _outcome(found: Found | None) -> str:
    """An outcome in a sentence, without the secrets it may hold."""
    match found:
        case None:
            return ""
        case Delivered(supplier_ref, issued):
            told = gettext(N_("Delivered: %(cards)s cards under their number %(ref)s"))
            return told % {"cards": len(issued), "ref": supplier_ref}
        case Accepted(supplier_ref, _):
            return gettext(N_("Taken in, not decided; their number: %(ref)s")) % {"ref": supplier_ref or "–"}
        case Rejected(reason, says, _):
            return gettext(N_("A definite no (%(reason)s): %(says)s")) % {"reason": reason, "says": says}
        case NoSuchPurchase():
            return gettext(N_("The supplier knows nothing of this number"))
        case Unknown(says, _, _):
            return gettext(N_("Unknown, so it is asked about: %(says)s")) % {"says": says}
