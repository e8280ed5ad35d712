"""One connection: typed in by the fields of its protocol, looked at, asked whether it answers, tested by a real purchase, switched on and off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do, outside_trials
from app.access.permissions import Permission
from app.catalog.pages.shared import either
from app.fulfillment import showing
from app.kernel import history, i18n, links
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import InvalidForm, RawForm, parse
from app.kernel.i18n import gettext, said
from app.kernel.web import AnyRequest, page, see_other
from app.suppliers import adjusting, health, importing, noticing, overview, queries, service, testing
from app.suppliers.connectors import CONNECTORS
from app.suppliers.connectors.declarative.presets import preset, preset_names
from app.suppliers.connectors.port import Ability, IncompleteConnection
from app.suppliers.forms import SETTING, ConnectionForm, settings_sent, without_secrets
from app.suppliers.models import OPEN_TESTS, ConnectionMode, SupplierConnection
from app.suppliers.pages.shared import ABILITY_WORDS, is_optional, rows_for, shared
from app.suppliers.service import ConnectionTerms
from tenants.directory import Tenant
from tenants.session import Tx, raw

_FORM = "suppliers/connection_form.html"
_REFUSED = N_("The protocol cannot be spoken with this: %(says)s.")


class NewConnectionPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/{supplier_id:uuid}/connections"
    guards = (may(Permission.SUPPLY_EDIT),)

    @get("/new")
    async def new(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, supplier_id: FromPath[UUID]
    ) -> Response[str]:
        """First the protocols to choose from, then with `?protocol=` the form it asks for. Raises: NotFound."""
        context = await _new_context(request, session, tenant, supplier_id, request.query_params.get("protocol", ""))
        return page(request, _FORM if context["protocol"] else "suppliers/protocols.html", **context)

    @post(guards=[outside_trials])
    async def create(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        supplier_id: FromPath[UUID],
    ) -> Response[Any]:
        """Store a connection; every fault of the form at once. Secrets are not shown again, not even typed wrong."""
        context = await _new_context(request, session, tenant, supplier_id, sent.get("protocol"))
        if not context["protocol"]:
            raise NotFound
        form, settings = _read(sent, context, known={})
        terms = ConnectionTerms(
            context["protocol"], form.name, settings, form.mode, form.calls_per_second, form.calls_at_once, form.ip_note, form.warn_below
        )  # fmt: skip
        try:
            connection = await service.connect(session, supplier_id, terms, actor=actor)
        except (service.NameTaken, IncompleteConnection) as refusal:
            raise _fault(sent, refusal, context) from None
        words = N_("Connected, and still switched off. Ask whether it answers, then place a test order.")
        return see_other(request, f"{context['home']}/connections/{connection.id}", flash=words)


class ConnectionPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/connections/{supply_id:uuid}"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def show(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, supply_id: FromPath[UUID]
    ) -> Response[str]:
        """How a connection stands and what may be done with it. Raises: NotFound."""
        context = await connection_context(request, await raw(session), tenant, supply_id)
        return either(request, "suppliers/connection.html", "suppliers/_connection.html", **context)

    @get("/settings", guards=[may(Permission.SUPPLY_EDIT)])
    async def settings(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, supply_id: FromPath[UUID]
    ) -> Response[str]:
        """The form again, without the secrets. Raises: NotFound."""
        return page(request, _FORM, **await _edit_context(request, session, tenant, supply_id))

    @post("/settings", guards=[may(Permission.SUPPLY_EDIT)])
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
        """Keep what was changed. A secret left empty stays; other credentials need another test order before the connection serves again."""
        context = await _edit_context(request, session, tenant, supply_id)
        connection: SupplierConnection = context["connection"]
        known = context["known"]
        form, settings = _read(sent, context, known=known)
        try:
            if any(settings[name] != known.get(name) for name in settings):
                await service.reconfigure(session, connection, settings, actor=actor)
            wanted = adjusting.Adjustment(
                form.name, form.mode, form.calls_per_second, form.calls_at_once, form.ip_note, form.warn_below
            )
            await adjusting.adjust(session, connection, wanted, actor=actor)
        except (service.NameTaken, IncompleteConnection) as refusal:
            raise _fault(sent, refusal, context) from None
        words = N_("Saved.") if connection.tested_at else N_("Saved and switched off: place a test order with the new settings.")
        return see_other(request, f"{context['home']}/connections/{supply_id}", flash=words)

    @post("/switch", guards=[may(Permission.SUPPLY_EDIT)])
    async def switch(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        supply_id: FromPath[UUID],
    ) -> Response[Any]:
        """Let it serve orders (`on=yes`), or stop it. Pressed twice, nothing more happens. Raises: NotFound, NotTested."""
        connection = await queries.connection_or_404(session, supply_id)
        is_on = sent.get("on") == "yes"
        await service.switch(session, connection, is_on=is_on, actor=actor)
        words = N_("Switched on: it serves orders now.") if is_on else N_("Switched off: orders go elsewhere.")
        return see_other(request, _address(tenant, supply_id), flash=words)

    @post("/breaker", guards=[may(Permission.SUPPLY_EDIT)])
    async def breaker(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        supply_id: FromPath[UUID],
    ) -> Response[Any]:
        """Stop buying by hand (`do=trip`), or buy again (`do=restore`). Pressed twice, nothing more happens. Raises: NotFound."""
        await queries.connection_or_404(session, supply_id)
        tx = await raw(session)
        back = f"/m/{tenant.slug}/suppliers/board" if sent.get("from") == "board" else _address(tenant, supply_id)
        if sent.get("do") == "restore":
            await health.restore(tx, supply_id, actor=actor)
            return see_other(request, back, flash=N_("Restored: orders may go there again."))
        await health.trip(tx, supply_id, actor=actor)
        return see_other(request, back, flash=N_("Stopped: new orders go elsewhere until you restore it."))

    @post("/check", guards=[may(Permission.SUPPLY_EDIT)])
    async def check(self, request: AnyRequest, tenant: Tenant, *, supply_id: FromPath[UUID]) -> Response[Any]:
        """Ask it something without effect. The call runs in no transaction. Raises: NotFound."""
        back = _address(tenant, supply_id)
        try:
            found = await adjusting.check(tenant, supply_id)
        except IncompleteConnection as refusal:
            return see_other(request, f"{back}/settings", flash=_REFUSED, tone="bad", says=str(refusal))
        if found.balance is not None:
            amount = i18n.format_cost(found.balance.amount, found.balance.currency)
            return see_other(request, back, flash=N_("It answers. Balance there: %(amount)s."), amount=amount)
        if found.is_well:
            told = N_("It answers, and named %(items)s goods.")
            return see_other(request, back, flash=told, items=i18n.format_number(found.items or 0))
        told = N_("It did not answer as it should: %(says)s. Compare the credentials and the address.")
        return see_other(request, back, flash=told, tone="bad", says=found.says[:160])

    @post("/reading", guards=[may(Permission.SUPPLY_EDIT)])
    async def read_catalog(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, supply_id: FromPath[UUID]
    ) -> Response[Any]:
        """Have its catalog read now. Pressed twice, it is read once. Raises: NotFound."""
        await queries.connection_or_404(session, supply_id)
        await adjusting.read_now(session, supply_id)
        return see_other(request, _address(tenant, supply_id), flash=N_("Its goods are being read; the count below follows."))


def _address(tenant: Tenant, connection_id: UUID) -> str:
    return f"/m/{tenant.slug}/suppliers/connections/{connection_id}"


async def connection_context(request: AnyRequest, tx: Tx, tenant: Tenant, connection_id: UUID) -> dict[str, Any]:
    """Everything the page of a connection shows. Raises: NotFound."""
    found = await overview.lines(tx, connection_id)
    if not found:
        raise NotFound
    line = found[0]
    traits = CONNECTORS[line.row["connector"]].traits if line.row["connector"] in CONNECTORS else None
    tests = await testing.newest(tx, connection_id, limit=10)
    spent = (await showing.spent_in_a_day(tx)).get(connection_id)
    return {
        **shared(request, tenant),
        "line": line,
        "row": line.row,
        "here": _address(tenant, connection_id),
        "traits": traits,
        "ability_words": ABILITY_WORDS,
        "has_check": traits is not None and bool({Ability.BALANCE, Ability.CATALOG} & traits.abilities),
        "has_catalog": traits is not None and Ability.CATALOG in traits.abilities,
        "notice_url": links.supply_notice(tenant, connection_id) if traits and Ability.NOTICES in traits.abilities else "",
        "goods_notice_url": links.goods_notice(tenant, connection_id)
        if traits and Ability.GOODS_NOTICES in traits.abilities
        else "",
        "use_notice_url": links.use_notice(tenant, connection_id) if traits and Ability.USE_NOTICES in traits.abilities else "",
        "goods_notices": await noticing.newest(tx, connection_id),
        "tests": tests,
        "is_testing": any(row["state"] in OPEN_TESTS for row in tests),
        "imports": await importing.imports_of(tx, connection_id),
        "story": await history.of_subjects(tx, [connection_id], limit=12),
        "story_words": STORY_WORDS,
        "lasts_days": overview.forecast_days(line.row["balance"], spent) if spent else None,
        "open": (await showing.open_by_connection(tx)).get(connection_id),
        "may_reveal": may_do(request, Permission.ORDERS_REVEAL),
    }


STORY_WORDS = {
    "breaker.open": (N_("Stopped: nothing is bought there"), "bad"),
    "breaker.half_open": (N_("One purchase at a time, to see whether it is back"), "warn"),
    "breaker.closed": (N_("Back: it serves orders"), "ok"),
}


async def _new_context(
    request: AnyRequest, session: AsyncSession, tenant: Tenant, supplier_id: UUID, protocol: str
) -> dict[str, Any]:
    supplier = await adjusting.supplier_or_404(session, supplier_id)
    home = f"/m/{tenant.slug}/suppliers"
    return {
        **shared(request, tenant),
        "supplier": supplier,
        "connection": None,
        "protocol": protocol if protocol in CONNECTORS else "",
        "protocols": [one.traits for one in CONNECTORS.values()],
        "ability_words": ABILITY_WORDS,
        "known": _starting(protocol, request.query_params.get("preset", "")),
        "presets": preset_names() if protocol == "declarative" else [],
        "target": f"{home}/{supplier_id}/connections",
        "back": home,
        **_traits_context(protocol),
    }


async def _edit_context(request: AnyRequest, session: AsyncSession, tenant: Tenant, connection_id: UUID) -> dict[str, Any]:
    connection = await queries.connection_or_404(session, connection_id)
    here = _address(tenant, connection_id)
    return {
        **shared(request, tenant),
        "supplier": await adjusting.supplier_or_404(session, connection.supplier_id),
        "connection": connection,
        "protocol": connection.connector,
        "known": await adjusting.settings_of(session, connection),
        "presets": [],
        "target": f"{here}/settings",
        "back": here,
        **_traits_context(connection.connector),
    }


def _starting(protocol: str, wanted: str) -> dict[str, str]:
    """What the form of a new connection starts from: for a recipe, the preset that was chosen."""
    return {"recipe": preset(wanted)} if protocol == "declarative" and wanted in preset_names() else {}


def _traits_context(protocol: str) -> dict[str, Any]:
    traits = CONNECTORS[protocol].traits if protocol in CONNECTORS else None
    return {
        "traits": traits,
        "setting_prefix": SETTING,
        "rows_for": rows_for,
        "is_optional": is_optional,
        "modes": list(ConnectionMode),
    }


def _read(sent: RawForm, context: dict[str, Any], *, known: Mapping[str, str]) -> tuple[ConnectionForm, dict[str, str]]:
    """The form and the protocol's settings; what is known stands in for a secret left empty. Raises: InvalidForm with every fault."""
    traits = context["traits"]
    typed = settings_sent(traits, sent)
    secret = {one.name for one in traits.settings if one.is_secret}
    settings = {name: value or (known.get(name, "") if name in secret else "") for name, value in typed.items()}
    errors: dict[str, str] = {}
    form = None
    try:
        form = parse(ConnectionForm, sent)
    except InvalidForm as refusal:
        errors |= refusal.errors
    wrong = service.wrong_settings(traits.name, settings)
    errors |= {SETTING + name: gettext(message) for name, message in wrong.items()}
    if errors or form is None:
        raise InvalidForm(errors, without_secrets(traits, sent.values()), _FORM, context)
    return form, settings


def _fault(sent: RawForm, refusal: service.NameTaken | IncompleteConnection, context: dict[str, Any]) -> InvalidForm:
    if isinstance(refusal, IncompleteConnection):
        says = str(refusal).partition(": ")[2]
        faults = {SETTING + refusal.setting: gettext(_REFUSED) % {"says": says}}
    else:
        faults = {"name": said(refusal)}
    return InvalidForm(faults, without_secrets(context["traits"], sent.values()), _FORM, context)
