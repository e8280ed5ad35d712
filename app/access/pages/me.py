"""One's own account: profile and language, password, second factor, sessions."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath

from app.access import accounts, log_ins, passwords, second_factor, sessions
from app.access.guards import identify, logged_in
from app.access.log_ins import WrongPassword
from app.access.pages.browsers import browser_of, give_session, name_of
from app.access.pages.fields import Code, TypedPassword
from app.access.second_factor import NotBegun, PasswordTooShortAlone, WrongCode
from app.access.sessions import Identity
from app.kernel import i18n
from app.kernel.errors import N_
from app.kernel.forms import Form, InvalidForm, Line, RawForm, invalid, parse
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import PLATFORM
from tenants.session import tenant_tx

_SECURITY = "/me/security"


class ProfileForm(Form):
    name: Line
    locale: Literal["zh_CN", "en"]


class PasswordForm(Form):
    old_password: TypedPassword
    new_password: TypedPassword


class ProofForm(Form):
    password: TypedPassword


class CodeForm(Form):
    code: Code


async def me(request: AnyRequest) -> Identity:
    """Who is logged in; the guard has made sure that somebody is."""
    identity = await identify(request)
    assert identity is not None
    return identity


class MePages(Controller):
    path = "/me"
    guards = (logged_in,)

    @get()
    async def show(self, request: AnyRequest) -> Response[str]:
        return page(request, "access/me.html", **await _profile(request))

    @post()
    async def update(self, request: AnyRequest, sent: RawForm) -> Response[Any]:
        form = parse(ProfileForm, sent, retry="access/me.html", **await _profile(request))
        await accounts.change_profile(await me(request), name=form.name, locale=form.locale)
        i18n.speak(form.locale)
        return see_other(request, f"/me?lang={form.locale}", flash=N_("Your profile is saved."))


class SecurityPages(Controller):
    path = _SECURITY
    guards = (logged_in,)

    @get()
    async def show(self, request: AnyRequest) -> Response[str]:
        return page(request, "access/security.html", **await _security(request))

    @post("/password")
    async def change_password(self, request: AnyRequest, sent: RawForm) -> Response[Any]:
        identity = await me(request)
        context = await _security(request)
        form = parse(PasswordForm, sent, retry="access/security.html", **context)
        fault = passwords.fault_of(form.new_password, has_second_factor=identity.has_second_factor, near=[identity.email])
        if fault:
            raise invalid(sent, {"new_password": fault}, retry="access/security.html", **context)
        try:
            token = await log_ins.change_password(
                identity, old=form.old_password, new=form.new_password, browser=browser_of(request)
            )
        except WrongPassword:
            raise invalid(sent, {"old_password": WrongPassword.message}, retry="access/security.html", **context) from None
        give_session(request, token, identity.user_id)
        return see_other(request, _SECURITY, flash=N_("Your new password counts from now on. All earlier log-ins have ended."))

    @post("/sessions/{session_id:uuid}/end")
    async def end_session(self, request: AnyRequest, session_id: FromPath[UUID]) -> Response[Any]:
        identity = await me(request)
        async with tenant_tx(PLATFORM) as tx:
            await sessions.end_one(tx, identity.user_id, session_id)
        return see_other(request, _SECURITY, flash=N_("That log-in has ended."))

    @post("/sessions/end-others")
    async def end_others(self, request: AnyRequest) -> Response[Any]:
        identity = await me(request)
        async with tenant_tx(PLATFORM) as tx:
            await sessions.end_all(tx, identity.user_id, but=identity.session_id)
        return see_other(request, _SECURITY, flash=N_("All other log-ins have ended."))


class SecondFactorPages(Controller):
    path = f"{_SECURITY}/second-factor"
    guards = (logged_in,)

    @post()
    async def start(self, request: AnyRequest, sent: RawForm) -> Response[Any]:
        form, context = await _proof(request, sent)
        try:
            await second_factor.start(await me(request), password=form.password)
        except WrongPassword:
            raise _wrong(sent, context) from None
        return see_other(request, f"{_SECURITY}/second-factor")

    @get()
    async def show(self, request: AnyRequest) -> Response[Any]:
        try:
            return page(request, "access/second_factor.html", **await _enrolment(request))
        except NotBegun:
            return see_other(request, _SECURITY)

    @post("/confirmation")
    async def confirm(self, request: AnyRequest, sent: RawForm) -> Response[Any]:
        """Turn it on. The recovery codes are in this answer and nowhere else."""
        identity, enrolment = await me(request), await _enrolment(request)
        form = parse(CodeForm, sent, retry="access/second_factor.html", **enrolment)
        try:
            codes, token = await second_factor.confirm(identity, code=form.code, browser=browser_of(request))
        except WrongCode:
            raise invalid(sent, {"code": WrongCode.message}, retry="access/second_factor.html", **enrolment) from None
        give_session(request, token, identity.user_id)
        return page(request, "access/recovery_codes.html", codes=codes)

    @post("/recovery-codes")
    async def renew_codes(self, request: AnyRequest, sent: RawForm) -> Response[Any]:
        form, context = await _proof(request, sent)
        try:
            codes = await second_factor.renew_codes(await me(request), password=form.password)
        except WrongPassword:
            raise _wrong(sent, context) from None
        return page(request, "access/recovery_codes.html", codes=codes)

    @post("/removal")
    async def turn_off(self, request: AnyRequest, sent: RawForm) -> Response[Any]:
        form, context = await _proof(request, sent)
        identity = await me(request)
        try:
            token = await second_factor.turn_off(identity, password=form.password, browser=browser_of(request))
        except WrongPassword:
            raise _wrong(sent, context) from None
        except PasswordTooShortAlone as refusal:
            raise invalid(sent, {"password": refusal.message}, retry="access/security.html", **context) from None
        give_session(request, token, identity.user_id)
        return see_other(request, _SECURITY, flash=N_("The second factor is off."))


async def _profile(request: AnyRequest) -> dict[str, Any]:
    identity = await me(request)
    return {"identity": identity, "languages": [("zh_CN", "中文"), ("en", "English")], "language": i18n.locale()}


async def _security(request: AnyRequest) -> dict[str, Any]:
    identity = await me(request)
    async with tenant_tx(PLATFORM) as tx:
        open_sessions = await sessions.of_user(tx, identity.user_id)
        left = await second_factor.codes_left(tx, identity.user_id)
    shown = [
        {
            "id": row["id"],
            "browser": name_of(row["agent"]),
            "address": row["address"],
            "seen_at": row["seen_at"],
            "created_at": row["created_at"],
            "is_here": row["id"] == identity.session_id,
        }
        for row in open_sessions
    ]
    least = passwords.LEAST_WITH_SECOND_FACTOR if identity.has_second_factor else passwords.LEAST
    return {"identity": identity, "sessions": shown, "codes_left": left, "least": least}


async def _enrolment(request: AnyRequest) -> dict[str, Any]:
    uri = await second_factor.uri_of(await me(request))
    secret = uri.partition("secret=")[2].partition("&")[0]
    return {"uri": uri, "secret": " ".join(secret[i : i + 4] for i in range(0, len(secret), 4))}


async def _proof(request: AnyRequest, sent: RawForm) -> tuple[ProofForm, dict[str, Any]]:
    context = await _security(request)
    return parse(ProofForm, sent, retry="access/security.html", **context), context


def _wrong(sent: RawForm, context: dict[str, Any]) -> InvalidForm:
    return invalid(sent, {"password": WrongPassword.message}, retry="access/security.html", **context)
