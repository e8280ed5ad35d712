"""A tenant's team, and the invitations that lead into it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import ValidationInfo, field_validator

from app.access import log_ins, one_time, team
from app.access.guards import identify, may, outside_trials
from app.access.models import MemberRole
from app.access.pages.browsers import browser_of, give_session
from app.access.pages.fields import TypedPassword, new_password
from app.access.pages.me import me
from app.access.permissions import ALLOWED, PERMISSION_WORDS, ROLE_WORDS, Permission, allows
from app.kernel import i18n
from app.kernel.actor import Actor
from app.kernel.csrf import STAFF_COOKIE
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Email, Form, Line, RawForm, invalid, parse
from app.kernel.web import AnyRequest, fragment, is_partial, page, see_other
from tenants import routing
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx

_PUBLIC = {"public": True}


class InvitationForm(Form):
    email: Email
    role: MemberRole


class RoleForm(Form):
    role: MemberRole


class JoinForm(Form):
    name: Line
    password: TypedPassword

    @field_validator("password")
    @classmethod
    def _may_be_one(cls, value: str, info: ValidationInfo) -> str:
        return new_password(value)


class TeamPages(Controller):
    path = "/m/{tenant_slug:str}/team"
    guards = (may(Permission.TEAM_VIEW),)

    @get()
    async def index(self, request: AnyRequest, tenant: Tenant) -> Response[str]:
        return page(request, "access/team.html", **await _team(request, tenant))

    @post("/invitations", guards=[may(Permission.TEAM_EDIT), outside_trials])
    async def invite(self, request: AnyRequest, tenant: Tenant, actor: Actor, sent: RawForm) -> Response[Any]:
        context = await _team(request, tenant)
        form = parse(InvitationForm, sent, retry="access/team.html", **context)
        try:
            await team.invite(tenant, email=form.email, role=form.role, actor=actor, locale=i18n.locale())
        except team.AlreadyMember as refusal:
            raise invalid(sent, {"email": refusal.message}, retry="access/team.html", **context) from None
        return see_other(
            request, _path(tenant), flash=N_("An invitation is on its way to %(email)s. It works for 7 days."), email=form.email
        )

    @post("/invitations/{invitation_id:uuid}/withdrawal", guards=[may(Permission.TEAM_EDIT)])
    async def withdraw(self, request: AnyRequest, tenant: Tenant, actor: Actor, invitation_id: FromPath[UUID]) -> Response[Any]:
        await team.withdraw_invitation(tenant, invitation_id, actor=actor)
        return see_other(request, _path(tenant), flash=N_("The invitation no longer works."))

    @post("/members/{user_id:uuid}/role", guards=[may(Permission.TEAM_EDIT)])
    async def change_role(
        self, request: AnyRequest, tenant: Tenant, actor: Actor, user_id: FromPath[UUID], sent: RawForm
    ) -> Response[Any]:
        form = parse(RoleForm, sent, retry="access/team.html", **await _team(request, tenant))
        identity = await me(request)
        await team.change_role(tenant, user_id, form.role, actor=actor, keep_session=identity.session_id)
        if user_id == identity.user_id:
            await _renew_own_session(request)
            return see_other(request, "/", flash=N_("Your role is changed."))
        return see_other(request, _path(tenant), flash=N_("The role is changed. This person has to log in again."))

    @get("/members/{user_id:uuid}/removal", guards=[may(Permission.TEAM_EDIT)])
    async def ask_before_removal(self, request: AnyRequest, tenant: Tenant, user_id: FromPath[UUID]) -> Response[str]:
        async with tenant_tx(PLATFORM) as tx:
            person = next((one for one in await team.members(tx, tenant.id) if one["user_id"] == user_id), None)
        if person is None:
            raise NotFound
        if is_partial(request):
            return fragment(request, "access/_removal.html", person=person, in_dialog=True)
        return page(request, "access/removal.html", person=person, in_dialog=False)

    @post("/members/{user_id:uuid}/removal", guards=[may(Permission.TEAM_EDIT)])
    async def remove(self, request: AnyRequest, tenant: Tenant, actor: Actor, user_id: FromPath[UUID]) -> Response[Any]:
        await team.remove(tenant, user_id, actor=actor)
        return see_other(request, _path(tenant), flash=N_("Removed. All log-ins of this person have ended."))


class InvitationPages(Controller):
    path = "/invitations/{token:str}"
    opt = _PUBLIC

    @get()
    async def show(self, request: AnyRequest, token: FromPath[str]) -> Response[str]:
        return page(request, "access/invitation.html", **await _invitation(request, token))

    @post()
    async def join(self, request: AnyRequest, token: FromPath[str], sent: RawForm) -> Response[Any]:
        """Join with the account one is logged in as, else with a new one."""
        context = await _invitation(request, token)
        tenant: Tenant = context["joined"]
        identity = await identify(request)
        if identity is not None and not identity.is_second_factor_due:
            await team.join(tenant, token, identity)
        elif context["has_account"]:
            raise team.LogInToJoin
        else:
            form = parse(JoinForm, sent, retry="access/invitation.html", **context)
            user_id = await team.join_anew(tenant, token, name=form.name, password=form.password, locale=i18n.locale())
            async with tenant_tx(PLATFORM) as tx:
                old = request.cookies.get(STAFF_COOKIE)
                fresh = await log_ins.start_session(tx, user_id, browser=browser_of(request), old_token=old)
            give_session(request, fresh, user_id)
        return see_other(request, f"/m/{tenant.slug}", flash=N_("Welcome to %(shop)s."), shop=tenant.name)


def _path(tenant: Tenant) -> str:
    return f"/m/{tenant.slug}/team"


async def _team(request: AnyRequest, tenant: Tenant) -> dict[str, Any]:
    """What the team's page shows: people, open invitations, and what each role may do."""
    role: MemberRole | None = request.scope["state"]["role"]
    async with tenant_tx(PLATFORM) as tx:
        people = await team.members(tx, tenant.id)
        invited = await team.invitations(tx, tenant.id)
    identity = await me(request)
    return {
        "people": people,
        "invited": invited,
        "me_id": identity.user_id,
        "may_edit": role is not None and allows(role, Permission.TEAM_EDIT),
        "roles": [(r.value, i18n.gettext(word)) for r, word in ROLE_WORDS.items()],
        "role_words": {r.value: i18n.gettext(word) for r, word in ROLE_WORDS.items()},
        "matrix": [(i18n.gettext(word), [right in ALLOWED[r] for r in ROLE_WORDS]) for right, word in PERMISSION_WORDS.items()],
    }


async def _invitation(request: AnyRequest, token: str) -> dict[str, Any]:
    async with tenant_tx(PLATFORM) as tx:
        link, has_account = await team.look_at_invitation(tx, token)
    assert link.tenant_id is not None
    assert link.role is not None
    joined = await routing.by_id(link.tenant_id)
    if joined is None:
        raise one_time.LinkOver
    identity = await identify(request)
    is_in = identity is not None and not identity.is_second_factor_due
    return {
        "token": token,
        "joined": joined,
        "link": link,
        "role_word": i18n.gettext(ROLE_WORDS[link.role]),
        "has_account": has_account,
        "here_as": identity.email if identity is not None and is_in else "",
    }


async def _renew_own_session(request: AnyRequest) -> None:
    """Whoever changed his own role goes on with a new session."""
    identity = await me(request)
    async with tenant_tx(PLATFORM) as tx:
        token = await log_ins.rotate(tx, identity, browser=browser_of(request))
    give_session(request, token, identity.user_id)
