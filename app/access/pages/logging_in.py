"""Logging in and out, the second factor's step, and choosing a new password by mail."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar import Controller, Response, get, post
from litestar.params import FromPath

from app.access import accounts, log_ins, passwords, second_factor, sessions
from app.access.guards import LogInFirst, identify
from app.access.log_ins import WrongLogIn
from app.access.pages.browsers import browser_of, give_session, is_known, take_session
from app.access.pages.fields import Code, TypedPassword, steady
from app.access.pages.signing_up import home_of, wanted_page
from app.access.second_factor import WrongCode
from app.access.sessions import Identity
from app.kernel.csrf import STAFF_COOKIE
from app.kernel.errors import N_
from app.kernel.forms import Email, Form, RawForm, invalid, parse
from app.kernel.web import AnyRequest, page, see_other, set_cookie
from tenants.directory import PLATFORM
from tenants.session import tenant_tx

_PUBLIC = {"public": True}


class LogInForm(Form):
    email: Email
    password: TypedPassword


class CodeForm(Form):
    code: Code


class ForgotForm(Form):
    email: Email


class NewPasswordForm(Form):
    password: TypedPassword


class LogInPages(Controller):
    opt = _PUBLIC

    @get("/log-in")
    async def new(self, request: AnyRequest) -> Response[str]:
        return page(request, "access/log_in.html", next=wanted_page(request) or "")

    @post("/log-in")
    async def create(self, request: AnyRequest, sent: RawForm) -> Response[Any]:
        wanted = wanted_page(request, sent)
        form = parse(LogInForm, sent, retry="access/log_in.html", next=wanted or "")
        knows_browser = is_known(request, await accounts.id_of(form.email))
        try:
            logged_in = await log_ins.log_in(
                form.email,
                form.password,
                browser=browser_of(request),
                knows_browser=knows_browser,
                old_token=request.cookies.get(STAFF_COOKIE),
            )
        except WrongLogIn:
            raise invalid(sent, {"password": WrongLogIn.message}, retry="access/log_in.html", next=wanted or "") from None
        if logged_in.is_second_factor_due:
            set_cookie(request, STAFF_COOKIE, logged_in.token)
            return see_other(request, "/log-in/second-factor" + (f"?next={quote(wanted, safe='/')}" if wanted else ""))
        give_session(request, logged_in.token, logged_in.user_id)
        return see_other(request, wanted or await _home(request, logged_in.token))

    @get("/log-in/second-factor")
    async def second(self, request: AnyRequest) -> Response[str]:
        await _half_logged_in(request)
        return page(request, "access/log_in_code.html", next=wanted_page(request) or "")

    @post("/log-in/second-factor")
    async def answer(self, request: AnyRequest, sent: RawForm) -> Response[Any]:
        identity = await _half_logged_in(request)
        wanted = wanted_page(request, sent)
        retry: dict[str, Any] = {"retry": "access/log_in_code.html", "next": wanted or ""}
        form = parse(CodeForm, sent, **retry)
        try:
            token = await second_factor.answer(identity, code=form.code, browser=browser_of(request))
        except WrongCode:
            raise invalid(sent, {"code": WrongCode.message}, **retry) from None
        give_session(request, token, identity.user_id)
        return see_other(request, wanted or await _home(request, token))

    @post("/log-out")
    async def delete(self, request: AnyRequest) -> Response[Any]:
        """End this browser's session. Idempotent."""
        if token := request.cookies.get(STAFF_COOKIE):
            async with tenant_tx(PLATFORM) as tx:
                await sessions.end(tx, token)
        take_session(request)
        return see_other(request, "/log-in", flash=N_("You are logged out."))


class PasswordPages(Controller):
    path = "/password"
    opt = _PUBLIC

    @get("/forgot")
    async def forgot(self, request: AnyRequest) -> Response[str]:
        return page(request, "access/forgot.html", is_sent=False)

    @post("/forgot")
    async def ask(self, request: AnyRequest, sent: RawForm) -> Response[Any]:
        form = parse(ForgotForm, sent, retry="access/forgot.html", is_sent=False)
        async with steady():
            await log_ins.ask_for_reset(form.email, browser=browser_of(request))
        return page(request, "access/forgot.html", is_sent=True)

    @get("/reset/{token:str}")
    async def choose(self, request: AnyRequest, token: FromPath[str]) -> Response[str]:
        user = await log_ins.look_at_reset(token)
        return page(request, "access/reset.html", email=user["email"], least=_least(user["totp_confirmed_at"] is not None))

    @post("/reset/{token:str}")
    async def reset(self, request: AnyRequest, token: FromPath[str], sent: RawForm) -> Response[Any]:
        user = await log_ins.look_at_reset(token)
        has_second_factor = user["totp_confirmed_at"] is not None
        retry: dict[str, Any] = {"retry": "access/reset.html", "email": user["email"], "least": _least(has_second_factor)}
        form = parse(NewPasswordForm, sent, **retry)
        if fault := passwords.fault_of(form.password, has_second_factor=has_second_factor, near=[user["email"]]):
            raise invalid(sent, {"password": fault}, **retry)
        await log_ins.reset_password(token, form.password)
        take_session(request)
        return see_other(request, "/log-in", flash=N_("Your new password counts from now on. All earlier log-ins have ended."))


def _least(has_second_factor: bool) -> int:
    return passwords.LEAST_WITH_SECOND_FACTOR if has_second_factor else passwords.LEAST


async def _half_logged_in(request: AnyRequest) -> Identity:
    identity = await identify(request)
    if identity is None or not identity.is_second_factor_due:
        raise LogInFirst
    return identity


async def _home(request: AnyRequest, token: str) -> str:
    """The first page of whoever has just logged in."""
    request.scope["state"]["identity"] = await sessions.find(token)
    return await home_of(request)
