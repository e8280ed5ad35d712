"""The recipe of a connection that speaks by recipe: written here, tried with sample values without sending anything, then kept."""

from __future__ import annotations

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
from app.kernel.i18n import gettext
from app.kernel.web import AnyRequest, page, see_other
from app.suppliers import adjusting, queries, service
from app.suppliers.connectors.declarative import trying
from app.suppliers.connectors.declarative.connector import read_config
from app.suppliers.connectors.declarative.presets import preset, preset_names
from app.suppliers.connectors.declarative.recipe import BadRecipe, CallName, Recipe, read_recipe
from app.suppliers.connectors.declarative.signing import BadKey
from app.suppliers.connectors.declarative.trying import Sample
from app.suppliers.connectors.declarative.values import Missing
from app.suppliers.connectors.port import (
    Accepted,
    Delivered,
    Found,
    IncompleteConnection,
    NoSuchPurchase,
    Purchase,
    Rejected,
    Unknown,
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
        "sample": _SAMPLE,
        "notes": [],
        "shown": None,
        "meaning": None,
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
    except (IncompleteConnection, Missing, BadKey) as refusal:
        found["refusal"] = str(refusal)
    return found


def _sample(recipe: Recipe, sent: RawForm) -> Sample:
    account = {}
    for line in sent.get("account").splitlines()[:20]:
        name, sign, value = line.partition("=")
        if sign and name.strip():
            account[name.strip()[:60]] = value.strip()[:200]
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
