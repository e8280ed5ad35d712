"""The shop's settings: its face beside a phone that shows it, and its own domain."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, MediaType, Response, get, post
from pydantic import AfterValidator, BeforeValidator, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do, outside_trials
from app.access.permissions import Permission
from app.catalog import colors, pictures, queries, storefronts
from app.catalog.models import ContactRule, Storefront
from app.catalog.pages.shared import base, shop_changed
from app.catalog.storefronts import Face
from app.kernel import domains, links
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import Checked, Form, Line, OptionalLine, RawForm, fail, invalid, parse
from app.kernel.served import Served
from app.kernel.web import AnyRequest, page, see_other
from app.storefront.files import sheet_address, sheet_of
from tenants.directory import Tenant

_MOST_UPLOAD = pictures.LARGEST_BYTES + 64 * 1024


def _brand(value: object) -> object:
    color = colors.parse_color(value) if isinstance(value, str) else None
    if color is None:
        raise fail(N_("Type a colour as six signs, such as #9a3b1b."))
    return color


def _readable(color: str) -> str:
    if not colors.passes(color):
        raise fail(
            N_(
                "White text on %(color)s cannot be read well (it needs a contrast of 4.5 to 1). The nearest colour that can: %(offered)s"
            ),
            color=color,
            offered=colors.nearest_passing(color),
        )
    return color


class ShopForm(Form):
    """The shop's face as the form sends it."""

    name: Line
    tagline: OptionalLine = ""
    brand_color: Annotated[str, BeforeValidator(_brand), AfterValidator(_readable)]
    contact_rule: ContactRule
    mails_keys: Checked = False
    support_contact: OptionalLine = ""
    notice: Annotated[str, StringConstraints(max_length=2000)] = ""


class ShopSettingsPages(Controller):
    path = "/m/{tenant_slug:str}/settings"
    guards = (may(Permission.SETTINGS_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """The shop's face, and how a phone shows it."""
        return page(request, "settings/shop.html", **await _context(request, session, tenant))

    @post(guards=[may(Permission.SETTINGS_EDIT)])
    async def change(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm
    ) -> Response[None]:
        """Save the face. A colour that cannot be read is refused with the nearest one that can."""
        sent = _with_offer(sent)
        context = await _context(request, session, tenant)
        context["offered"] = _offered(sent)
        form = parse(ShopForm, sent, retry="settings/shop.html", **context)
        face = Face(
            form.name, form.tagline, form.brand_color, form.contact_rule, form.mails_keys, form.support_contact, form.notice
        )
        await storefronts.change_face(session, face, actor=actor)
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/settings", flash=N_("Saved. Your shop shows it within seconds."))

    @post("/logo", guards=[may(Permission.SETTINGS_EDIT)], request_max_body_size=_MOST_UPLOAD)
    async def logo(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm
    ) -> Response[None]:
        """Put a picture on the shop, made small and freed of everything that is not picture."""
        upload = sent.files.get("logo")
        body = await upload.read() if upload is not None else b""
        try:
            await storefronts.set_logo(session, body, actor=actor)
        except (pictures.NotAPicture, pictures.PictureTooLarge) as refusal:
            context = await _context(request, session, tenant)
            raise invalid(sent, {"logo": refusal.message}, retry="settings/shop.html", **context) from None
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/settings", flash=N_("Logo saved."))

    @post("/logo/removal", guards=[may(Permission.SETTINGS_EDIT)])
    async def drop_logo(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor) -> Response[None]:
        """Take the picture off."""
        await storefronts.drop_logo(session, actor=actor)
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/settings", flash=N_("Logo taken off."))

    @get("/brand.css")
    async def brand(self, session: AsyncSession) -> Response[str]:
        """The shop's colour for the phone beside the form."""
        shop = await storefronts.shop_of(session)
        return Response(sheet_of(shop.brand_color), media_type=MediaType.CSS)


class DomainSettingsPages(Controller):
    path = "/m/{tenant_slug:str}/settings/domain"
    guards = (may(Permission.SETTINGS_VIEW),)

    @get()
    async def show(self, request: AnyRequest, *, tenant: Tenant) -> Response[str]:
        """The shop's own domains: waiting for their record, or leading here; and what to enter at the registrar."""
        return page(request, "settings/domain.html", **await _domain_context(request, tenant))

    @post(guards=[may(Permission.SETTINGS_EDIT), outside_trials])
    async def claim(self, request: AnyRequest, *, tenant: Tenant, actor: Actor, sent: RawForm) -> Response[None]:
        """Name a domain. It leads nowhere until its record is seen."""
        context = await _domain_context(request, tenant)
        host = domains.parse_host(sent.get("host"))
        problem = (
            domains.problem_with(host)
            if host
            else N_("Type a domain such as shop.yourbrand.com, without https:// and without a path.")
        )
        if not problem and len(context["domains"]) >= domains.MOST:
            problem = N_("You have as many domains as a shop can have. Give one up first.")
        if host is None or problem:
            raise invalid(sent, {"host": problem}, retry="settings/domain.html", **context)
        if not await domains.claim(tenant, host, actor=actor):
            raise invalid(
                sent, {"host": N_("Another shop has proved that it rules this domain. If it is yours, take its record away first.")},
                retry="settings/domain.html", **context,
            )  # fmt: skip
        return see_other(request, f"{base(tenant)}/settings/domain", flash=N_("Domain noted. Now enter the two records below."))

    @post("/checks", guards=[may(Permission.SETTINGS_EDIT)])
    async def check(self, request: AnyRequest, *, tenant: Tenant, actor: Actor, sent: RawForm) -> Response[None]:
        """Ask the name system for the record now; once it was seen, look whether the domain is served over HTTPS."""
        found = await domains.check(tenant, sent.get("host"), actor=actor)
        told, tone = _TOLD[found] if found in _TOLD else _SERVED[await domains.look(tenant, sent.get("host"))]
        return see_other(request, f"{base(tenant)}/settings/domain", flash=told, tone=tone)

    @post("/removals", guards=[may(Permission.SETTINGS_EDIT)])
    async def drop(self, request: AnyRequest, *, tenant: Tenant, actor: Actor, sent: RawForm) -> Response[None]:
        """Give a domain up: it stops leading here at once. Idempotent."""
        await domains.drop(tenant, sent.get("host"), actor=actor)
        return see_other(
            request, f"{base(tenant)}/settings/domain", flash=N_("Domain given up. Your shop stays at its own address.")
        )


_TOLD = {
    domains.Check.MISSING: (N_("The record is not there yet. A new record can take an hour to be seen; try again then."), "warn"),
    domains.Check.OTHER: (N_("There is a record, but not this one. Copy the value below once more."), "warn"),
    domains.Check.SILENT: (N_("The domain's name servers did not answer. Nothing was changed; try again in a moment."), "warn"),
}


_SERVED = {
    Served.SERVED: (N_("Your shop answers there over HTTPS. The certificate is renewed by itself."), "ok"),
    Served.NO_ADDRESS: (
        N_("The domain is yours, and leads nowhere yet. Enter the CNAME record below; a new record can take an hour to be seen."),
        "warn",
    ),
    Served.ELSEWHERE: (
        N_("The domain is yours, and leads to another machine. Enter the CNAME record below, and no other record of that name."),
        "warn",
    ),
    Served.NOT_YET: (
        N_(
            "The domain leads here, and could not be opened over HTTPS yet. Its certificate is fetched by itself; look again in a minute. "
            "If it stays so for an hour, tell whoever runs this platform."
        ),
        "warn",
    ),
    Served.SILENT: (N_("The domain's name servers did not answer. Nothing was changed; try again in a moment."), "warn"),
}
"""What a look at a domain that is proved found: said at once, and on its card until the next look."""


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant) -> dict[str, Any]:
    shop = await storefronts.shop_of(session)
    return {
        "home": base(tenant),
        "face": shop,
        "notice": storefronts.notice_as_typed(shop),
        "offered": "",
        "may_edit": may_do(request, Permission.SETTINGS_EDIT),
        "shop_url": links.shop(tenant),
        "products": (await queries.products(session, page=(0, 2))),
        **_preview(shop, tenant),
    }


def _preview(shop: Storefront, tenant: Tenant) -> dict[str, Any]:
    logo = f"{base(tenant)}/pictures/{shop.logo_id}" if shop.logo_id else ""
    return {
        "preview_name": shop.name,
        "preview_logo": logo,
        "brand_sheet": f"{base(tenant)}/settings{sheet_address(shop.brand_color)}",
    }


def _offered(sent: RawForm) -> str:
    """The nearest colour that can be read, when the one sent cannot."""
    color = colors.parse_color(sent.get("brand_color"))
    return "" if color is None or colors.passes(color) else colors.nearest_passing(color)


def _with_offer(sent: RawForm) -> RawForm:
    """The form as sent, with the colour that was offered in place of the one typed when its button was pressed."""
    if not (offer := sent.get("take_offer")):
        return sent
    return RawForm(
        {**{name: sent.all(name) for name in ShopForm.model_fields if name in sent}, "brand_color": [offer]}, sent.files
    )


async def _domain_context(request: AnyRequest, tenant: Tenant) -> dict[str, Any]:
    return {
        "home": base(tenant),
        "domains": await domains.of(tenant),
        "shop_url": links.shop(tenant),
        "target": domains.target(tenant),
        "prefix": domains.RECORD_PREFIX,
        "served_words": _SERVED,
        "may_edit": may_do(request, Permission.SETTINGS_EDIT),
    }
