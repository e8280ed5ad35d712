"""Opening a shop: the form, the page that waits for the mail, and the link in it."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import ValidationInfo, field_validator

from app.access import accounts, log_ins, one_time
from app.access.accounts import NewShop, SlugTaken
from app.access.addresses import SLUG_TAKEN, way_back
from app.access.guards import identify
from app.access.models import LinkPurpose
from app.access.pages.browsers import browser_of, give_session, is_known, mark
from app.access.pages.fields import Slug, TypedPassword, new_password, steady
from app.catalog import service as catalog
from app.kernel import i18n
from app.kernel.contact import parse_email
from app.kernel.csrf import STAFF_COOKIE
from app.kernel.errors import N_
from app.kernel.forms import Email, Form, Line, RawForm, invalid, parse
from app.kernel.web import AnyRequest, page, see_other, set_cookie
from app.settings import settings
from tenants.directory import PLATFORM
from tenants.session import tenant_session, tenant_tx

_PUBLIC = {"public": True}
_WAITING = "__Host-q_waiting"
"""Which address the sign-up of this browser waits for; only to show it and to have the mail sent again."""


class SignUpForm(Form):
    shop_name: Line
    slug: Slug
    email: Email
    password: TypedPassword

    @field_validator("password")
    @classmethod
    def _may_be_one(cls, value: str, info: ValidationInfo) -> str:
        return new_password(value, near=[str(info.data[name]) for name in ("email", "slug", "shop_name") if name in info.data])


class AgainForm(Form):
    email: Email


@get("/", opt=_PUBLIC)
async def start(request: AnyRequest) -> Response[Any]:
    """Where somebody who names no page belongs: his first shop, the console, or the log-in."""
    return see_other(request, await home_of(request))


async def home_of(request: AnyRequest) -> str:
    """The first page of whoever is logged in here."""
    identity = await identify(request)
    if identity is None or identity.is_second_factor_due:
        return "/log-in"
    async with tenant_tx(PLATFORM) as tx:
        places = await accounts.places_of(tx, identity.user_id)
    if places:
        return f"/m/{places[0]['slug']}"
    return "/console" if identity.is_operator else "/me"


class SignUpPages(Controller):
    opt = _PUBLIC

    @get("/sign-up")
    async def new(self, request: AnyRequest) -> Response[str]:
        return page(request, "access/sign_up.html", shops_host=settings().shops_host)

    @post("/sign-up")
    async def create(self, request: AnyRequest, sent: RawForm) -> Response[Any]:
        retry: dict[str, Any] = {"retry": "access/sign_up.html", "shops_host": settings().shops_host}
        form = parse(SignUpForm, sent, **retry)
        new = NewShop(form.email, form.password, form.shop_name, form.slug, i18n.locale())
        async with steady():
            try:
                opened = await accounts.sign_up(new, browser=browser_of(request))
            except SlugTaken:
                raise invalid(sent, {"slug": SLUG_TAKEN}, **retry) from None
            if opened.tenant is not None:
                async with tenant_session(opened.tenant) as session:
                    await catalog.open_storefront(session, name=form.shop_name)
        mark(request, opened.user_id)
        set_cookie(request, _WAITING, form.email, max_age=86_400)
        return see_other(request, "/sign-up/sent")

    @get("/sign-up/sent")
    async def sent(self, request: AnyRequest) -> Response[str]:
        return page(request, "access/sign_up_sent.html", email=await _waiting_address(request))

    @post("/sign-up/sent")
    async def again(self, request: AnyRequest, sent: RawForm) -> Response[Any]:
        form = parse(AgainForm, sent, retry="access/sign_up_sent.html", email=await _waiting_address(request))
        async with steady():
            await accounts.resend_verification(form.email, browser=browser_of(request))
        set_cookie(request, _WAITING, form.email, max_age=86_400)
        return see_other(
            request, "/sign-up/sent", flash=N_("If this address still has to be confirmed, a new link is on its way.")
        )

    @get("/verify/{token:str}")
    async def ask(self, request: AnyRequest, token: FromPath[str]) -> Response[str]:
        async with tenant_tx(PLATFORM) as tx:
            link = await one_time.look(tx, LinkPurpose.VERIFY_EMAIL, token)
        return page(request, "access/verify.html", email=link.email)

    @post("/verify/{token:str}")
    async def verify(self, request: AnyRequest, token: FromPath[str]) -> Response[Any]:
        """Confirm the address. In the browser that opened the shop this also logs in; elsewhere the log-in follows."""
        user = await accounts.verify_email(token)
        set_cookie(request, _WAITING, "")
        async with tenant_tx(PLATFORM) as tx:
            places = await accounts.places_of(tx, user["id"])
            home = f"/m/{places[0]['slug']}" if places else "/me"
            if not is_known(request, user["id"]) or user["totp_confirmed_at"] is not None:
                return see_other(request, f"/log-in?next={home}", flash=N_("Your address is confirmed. Log in to go on."))
            fresh = await log_ins.start_session(
                tx, user["id"], browser=browser_of(request), old_token=request.cookies.get(STAFF_COOKIE)
            )
        give_session(request, fresh, user["id"])
        return see_other(request, home, flash=N_("Your address is confirmed. Your shop is open."))


async def _waiting_address(request: AnyRequest) -> str:
    """Whose mail is waited for: the one who is logged in, else what this browser last signed up with."""
    identity = await identify(request)
    if identity is not None:
        return identity.email
    contact = parse_email(request.cookies.get(_WAITING, ""))
    return contact.value if contact else ""


def wanted_page(request: AnyRequest, sent: RawForm | None = None) -> str | None:
    """Where the log-in shall lead, if it is one of our own pages."""
    return way_back((sent.get("next") if sent else "") or request.query_params.get("next"))
