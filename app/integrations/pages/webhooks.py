"""The merchant's webhooks: which systems are told of what, their secrets, and what became of each event."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import AfterValidator, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do, outside_trials
from app.access.permissions import Permission
from app.integrations import webhooks
from app.integrations.models import WebhookDeliveryState, WebhookTopic
from app.integrations.webhooks import TOPICS, WebhookTerms
from app.kernel import http, i18n, templating
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError
from app.kernel.forms import Form, Line, RawForm, fail, invalid, parse
from app.kernel.web import NO_STORE, AnyRequest, page, see_other
from app.settings import settings
from tenants.directory import Tenant
from tenants.session import Tx, raw

_LIST: Final = "integrations/webhooks.html"
_ONE: Final = "integrations/webhook.html"
_FORM: Final = "integrations/webhook_form.html"
templating.register_states(
    "webhook_delivery",
    {
        WebhookDeliveryState.WAITING: (N_("Waiting"), "info"),
        WebhookDeliveryState.DELIVERED: (N_("Taken"), "ok"),
        WebhookDeliveryState.FAILED: (N_("Not taken"), "bad"),
    },
)
_TOPIC_WORDS: Final = {**TOPICS, WebhookTopic.TEST: N_("A test")}
_QUEUED: Final = N_("It is sent now. Look at the list below in a moment.")


def _plain_url(url: str) -> str:
    parts = urlsplit(url)
    is_plain_allowed = settings().allow_loopback_calls and parts.scheme == "http"
    if (parts.scheme != "https" and not is_plain_allowed) or not parts.hostname or parts.username or parts.fragment:
        raise fail(N_("Write the whole address, beginning with https:// and without a name or password."))
    try:
        http.check_literal(parts.hostname, allow_loopback=settings().allow_loopback_calls)
    except http.ForbiddenDestination:
        raise fail(N_("This address is inside a private network. Only public addresses are called.")) from None
    return url


def _known_topics(topics: list[str]) -> list[str]:
    if not topics:
        raise fail(N_("Choose at least one."))
    if not set(topics) <= set(TOPICS):
        raise fail(N_("Choose one of the options."))
    return list(dict.fromkeys(topics))


class WebhookForm(Form):
    """An endpoint as the form sends it."""

    name: Line
    url: Annotated[str, StringConstraints(max_length=500, pattern=r"^[!-~]+$"), AfterValidator(_plain_url)]
    topics: Annotated[list[str], AfterValidator(_known_topics)]


class WebhookPages(Controller):
    path = "/m/{tenant_slug:str}/settings/webhooks"
    guards = (may(Permission.SETTINGS_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """Every endpoint and how it takes what it is told."""
        rows = await webhooks.all_endpoints(await raw(session))
        return page(request, _LIST, endpoints=rows, **_context(request, tenant))

    @get("/new", guards=[may(Permission.SETTINGS_EDIT)])
    async def new(self, request: AnyRequest, *, tenant: Tenant) -> Response[str]:
        return page(request, _FORM, endpoint=None, **_context(request, tenant))

    @post(guards=[may(Permission.SETTINGS_EDIT), outside_trials])
    async def create(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm
    ) -> Response[str]:
        """Write an endpoint down; this answer alone shows its secret. Raises: TooManyWebhooks."""
        tx, context = await raw(session), {**_context(request, tenant), "endpoint": None}
        terms = _terms(sent, context)
        try:
            endpoint_id, secret = await webhooks.add(tx, terms, actor=actor)
        except webhooks.WebhookNameTaken as refusal:
            raise _taken(sent, refusal, context) from None
        return await _shown(request, tx, tenant, endpoint_id, secret=secret)

    @get("/{endpoint_id:uuid}")
    async def show(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, endpoint_id: FromPath[UUID]
    ) -> Response[str]:
        """An endpoint with its newest events. Raises: NotFound."""
        return await _shown(request, await raw(session), tenant, endpoint_id)

    @get("/{endpoint_id:uuid}/change", guards=[may(Permission.SETTINGS_EDIT)])
    async def edit(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, endpoint_id: FromPath[UUID]
    ) -> Response[str]:
        """Raises: NotFound."""
        endpoint = await webhooks.endpoint_or_404(await raw(session), endpoint_id)
        return page(request, _FORM, endpoint=endpoint, **_context(request, tenant))

    @post("/{endpoint_id:uuid}", guards=[may(Permission.SETTINGS_EDIT)])
    async def change(
        self,
        request: AnyRequest,
        session: AsyncSession,
        *,
        tenant: Tenant,
        actor: Actor,
        sent: RawForm,
        endpoint_id: FromPath[UUID],
    ) -> Response[Any]:
        """Raises: NotFound."""
        tx = await raw(session)
        context = {**_context(request, tenant), "endpoint": await webhooks.endpoint_or_404(tx, endpoint_id)}
        terms = _terms(sent, context)
        try:
            await webhooks.change(tx, endpoint_id, terms, actor=actor)
        except webhooks.WebhookNameTaken as refusal:
            raise _taken(sent, refusal, context) from None
        return see_other(request, _place(tenant, endpoint_id), flash=N_("Saved."))

    @post("/{endpoint_id:uuid}/secrets", guards=[may(Permission.SETTINGS_EDIT)])
    async def roll(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, endpoint_id: FromPath[UUID]
    ) -> Response[str]:
        """A new secret, shown in this answer alone; the one before signs for a day more. Raises: NotFound."""
        tx = await raw(session)
        secret = await webhooks.roll(tx, endpoint_id, actor=actor)
        return await _shown(request, tx, tenant, endpoint_id, secret=secret)

    @post("/{endpoint_id:uuid}/switch", guards=[may(Permission.SETTINGS_EDIT)])
    async def switch(
        self,
        request: AnyRequest,
        session: AsyncSession,
        *,
        tenant: Tenant,
        actor: Actor,
        sent: RawForm,
        endpoint_id: FromPath[UUID],
    ) -> Response[Any]:
        """Let it be told (`on=yes`), or not. Pressed twice, nothing more happens. Raises: NotFound."""
        is_on = sent.get("on") == "yes"
        await webhooks.switch(await raw(session), endpoint_id, is_on=is_on, actor=actor)
        words = N_("Switched on: it is told from now on.") if is_on else N_("Switched off: it is told nothing.")
        return see_other(request, _place(tenant, endpoint_id), flash=words)

    @post("/{endpoint_id:uuid}/test", guards=[may(Permission.SETTINGS_EDIT)])
    async def test(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, endpoint_id: FromPath[UUID]
    ) -> Response[Any]:
        """Tell it of a test event. Raises: NotFound."""
        await webhooks.test(await raw(session), endpoint_id)
        return see_other(request, _place(tenant, endpoint_id), flash=_QUEUED)

    @post("/{endpoint_id:uuid}/failed", guards=[may(Permission.SETTINGS_EDIT)])
    async def send_failed(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, endpoint_id: FromPath[UUID]
    ) -> Response[Any]:
        """Have everything sent again that it did not take. Raises: NotFound."""
        await webhooks.send_again(await raw(session), endpoint_id)
        return see_other(request, _place(tenant, endpoint_id), flash=_QUEUED)

    @post("/{endpoint_id:uuid}/deliveries/{delivery_id:uuid}", guards=[may(Permission.SETTINGS_EDIT)])
    async def send_again(
        self,
        request: AnyRequest,
        session: AsyncSession,
        *,
        tenant: Tenant,
        endpoint_id: FromPath[UUID],
        delivery_id: FromPath[UUID],
    ) -> Response[Any]:
        """Have one event sent again under its id. Raises: NotFound."""
        await webhooks.send_again(await raw(session), endpoint_id, delivery_id)
        return see_other(request, _place(tenant, endpoint_id), flash=_QUEUED)

    @post("/{endpoint_id:uuid}/removal", guards=[may(Permission.SETTINGS_EDIT)])
    async def remove(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, endpoint_id: FromPath[UUID]
    ) -> Response[Any]:
        """Forget it with its secret. Raises: NotFound."""
        await webhooks.remove(await raw(session), endpoint_id, actor=actor)
        return see_other(request, f"/m/{tenant.slug}/settings/webhooks", flash=N_("Removed."))


def _terms(sent: RawForm, context: dict[str, Any]) -> WebhookTerms:
    form = parse(WebhookForm, sent, retry=_FORM, **context)
    return WebhookTerms(form.name, form.url, tuple(form.topics))


def _taken(sent: RawForm, refusal: DomainError, context: dict[str, Any]) -> Exception:
    return invalid(sent, {"name": i18n.said(refusal)}, retry=_FORM, **context)


async def _shown(request: AnyRequest, tx: Tx, tenant: Tenant, endpoint_id: UUID, *, secret: str = "") -> Response[str]:
    context = {
        "endpoint": await webhooks.endpoint_or_404(tx, endpoint_id),
        "deliveries": await webhooks.deliveries_of(tx, endpoint_id),
        "secret": secret,
        **_context(request, tenant),
    }
    return page(request, _ONE, headers=NO_STORE if secret else {}, **context)


def _context(request: AnyRequest, tenant: Tenant) -> dict[str, Any]:
    return {
        "home": f"/m/{tenant.slug}",
        "here": f"/m/{tenant.slug}/settings/webhooks",
        "tab": "webhooks",
        "topics": TOPICS,
        "topic_words": _TOPIC_WORDS,
        "may_edit": may_do(request, Permission.SETTINGS_EDIT),
    }


def _place(tenant: Tenant, endpoint_id: UUID) -> str:
    return f"/m/{tenant.slug}/settings/webhooks/{endpoint_id}"
