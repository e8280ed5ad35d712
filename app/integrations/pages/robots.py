"""The robots of group chats that are told of the merchant's notices."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import AfterValidator, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do, outside_trials
from app.access.permissions import Permission
from app.integrations import robot_calls, robots
from app.integrations.alerts import EVENTS
from app.integrations.models import RobotCompany
from app.integrations.robot_calls import NotNow, Refused, Taken
from app.integrations.robots import RobotTerms
from app.kernel import i18n
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Form, InvalidForm, Line, RawForm, fail, parse
from app.kernel.web import AnyRequest, page, see_other
from app.settings import settings
from tenants.directory import Tenant
from tenants.session import raw

COMPANIES: Final = {
    RobotCompany.DINGTALK: (N_("DingTalk"), N_("Group settings, robots, custom robot; choose the security setting “sign”.")),
    RobotCompany.WECOM: (N_("WeCom"), N_("Group settings, add a group robot; its address holds the key.")),
    RobotCompany.FEISHU: (N_("Feishu"), N_("Group settings, bots, custom bot; turn on signature verification.")),
}
_FORM: Final = "integrations/robot_form.html"


def _known_events(events: list[str]) -> list[str]:
    if not events:
        raise fail(N_("Choose at least one kind of notice."))
    if not set(events) <= set(EVENTS):
        raise fail(N_("Choose one of the options."))
    return list(dict.fromkeys(events))


class RobotForm(Form):
    """A robot as the form sends it."""

    name: Line
    address: Annotated[str, StringConstraints(max_length=500)] = ""
    secret: Annotated[str, StringConstraints(max_length=200, pattern=r"^\S*$")] = ""
    locale: Annotated[str, StringConstraints(pattern=r"^(zh_CN|en)$")] = "zh_CN"
    events: Annotated[list[str], AfterValidator(_known_events)]


class RobotPages(Controller):
    path = "/m/{tenant_slug:str}/settings/robots"
    guards = (may(Permission.SETTINGS_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """The robots, each with what became of its last messages. No address is shown whole."""
        rows = await robots.all_robots(await raw(session))
        return page(request, "integrations/robots.html", robots=rows, **_context(request, tenant))

    @get("/new", guards=[may(Permission.SETTINGS_EDIT)])
    async def new(self, request: AnyRequest, *, tenant: Tenant) -> Response[str]:
        """The form of a robot of the company named by `?company=`. Raises: NotFound."""
        company = _company(request.query_params.get("company", RobotCompany.DINGTALK))
        return page(request, _FORM, robot=None, company=company, **_context(request, tenant))

    @post(guards=[may(Permission.SETTINGS_EDIT), outside_trials])
    async def create(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm
    ) -> Response[Any]:
        """Write a robot down; every fault of the form at once."""
        context = {**_context(request, tenant), "robot": None, "company": _company(sent.get("company"))}
        terms = _terms(sent, context)
        try:
            await robots.keep(session, terms, actor=actor)
        except robots.RobotNameTaken as refusal:
            raise _taken(sent, refusal, context) from None
        return see_other(request, context["here"], flash=N_("Saved. Send a test message to see whether it arrives."))

    @get("/{robot_id:uuid}", guards=[may(Permission.SETTINGS_EDIT)])
    async def show(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, robot_id: FromPath[UUID]
    ) -> Response[str]:
        """The form again, without address and secret. Raises: NotFound."""
        robot = await robots.robot_or_404(await raw(session), robot_id)
        return page(request, _FORM, robot=robot, company=RobotCompany(robot["company"]), **_context(request, tenant))

    @post("/{robot_id:uuid}", guards=[may(Permission.SETTINGS_EDIT)])
    async def change(
        self,
        request: AnyRequest,
        session: AsyncSession,
        *,
        tenant: Tenant,
        actor: Actor,
        sent: RawForm,
        robot_id: FromPath[UUID],
    ) -> Response[Any]:
        """Keep what was changed; an empty address or secret stays as it was. Raises: NotFound."""
        robot = await robots.robot_or_404(await raw(session), robot_id)
        context = {**_context(request, tenant), "robot": robot, "company": RobotCompany(robot["company"])}
        terms = _terms(sent, context)
        try:
            await robots.keep(session, terms, actor=actor, robot_id=robot_id)
        except robots.RobotNameTaken as refusal:
            raise _taken(sent, refusal, context) from None
        return see_other(request, context["here"], flash=N_("Saved."))

    @post("/{robot_id:uuid}/switch", guards=[may(Permission.SETTINGS_EDIT)])
    async def switch(
        self,
        request: AnyRequest,
        session: AsyncSession,
        *,
        tenant: Tenant,
        actor: Actor,
        sent: RawForm,
        robot_id: FromPath[UUID],
    ) -> Response[Any]:
        """Let it be told (`on=yes`), or not. Pressed twice, nothing more happens. Raises: NotFound."""
        is_on = sent.get("on") == "yes"
        await robots.switch(await raw(session), robot_id, is_on=is_on, actor=actor)
        words = N_("Switched on: it is told from now on.") if is_on else N_("Switched off: it is told nothing.")
        return see_other(request, _here(tenant), flash=words)

    @post("/{robot_id:uuid}/test", guards=[may(Permission.SETTINGS_EDIT)])
    async def test(self, request: AnyRequest, *, tenant: Tenant, robot_id: FromPath[UUID]) -> Response[Any]:
        """Say a test sentence in the group at once. The call runs in no transaction. Raises: NotFound, TooManyCalls."""
        match await robots.try_out(tenant, robot_id):
            case Taken():
                return see_other(request, _here(tenant), flash=N_("The group has the test message."))
            case NotNow(says):
                return see_other(request, _here(tenant), flash=_NOT_NOW, tone="warn", says=says)
            case Refused(says):
                return see_other(request, _here(tenant), flash=_REFUSED, tone="bad", says=says)

    @post("/{robot_id:uuid}/removal", guards=[may(Permission.SETTINGS_EDIT)])
    async def remove(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, robot_id: FromPath[UUID]
    ) -> Response[Any]:
        """Forget it with its address. Raises: NotFound."""
        await robots.remove(await raw(session), robot_id, actor=actor)
        return see_other(request, _here(tenant), flash=N_("Removed."))


_NOT_NOW: Final = N_("It did not take the message this moment: %(says)s. Try again.")
_REFUSED: Final = N_("The group refused the message: %(says)s. Compare address and secret with the robot's own page.")


def _terms(sent: RawForm, context: dict[str, Any]) -> RobotTerms:
    company, robot = context["company"], context["robot"]
    errors: dict[str, str] = {}
    try:
        form = parse(RobotForm, sent, retry=_FORM, **context)
    except InvalidForm as fault:
        errors = fault.errors
    address = sent.get("address").strip()
    if address or robot is None:
        wrong = robot_calls.wrong_address(company, address, may_be_plain=settings().allow_loopback_calls)
        if wrong:
            errors = {**errors, "address": i18n.gettext(wrong)}
    if errors:
        raise InvalidForm(errors, {**sent.values(), "secret": "", "events": sent.all("events")}, _FORM, context)
    return RobotTerms(company, form.name, form.address, form.secret, form.locale, tuple(form.events))


def _taken(sent: RawForm, refusal: robots.RobotNameTaken, context: dict[str, Any]) -> InvalidForm:
    return InvalidForm({"name": i18n.said(refusal)}, {**sent.values(), "events": sent.all("events")}, _FORM, context)


def _context(request: AnyRequest, tenant: Tenant) -> dict[str, Any]:
    return {
        "home": f"/m/{tenant.slug}",
        "here": _here(tenant),
        "companies": COMPANIES,
        "events": EVENTS,
        "may_edit": may_do(request, Permission.SETTINGS_EDIT),
    }


def _here(tenant: Tenant) -> str:
    return f"/m/{tenant.slug}/settings/robots"


def _company(name: str) -> RobotCompany:
    if name not in set(RobotCompany):
        raise NotFound
    return RobotCompany(name)
