"""The addresses every machine needs first: a token, and the description of all others."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get, post

from app.access import api_clients, credentials, tokens
from app.access.machines import home_of
from app.kernel import api, csrf, links
from app.kernel.api import ROOT, operation
from app.kernel.errors import BadRequest
from app.kernel.rates import Limit, count
from app.kernel.web import NO_STORE, AnyRequest
from tenants.directory import PLATFORM, TenantState
from tenants.session import tenant_tx

_ASKED = Limit("api.token", 60, 60)
_UNKNOWN = Limit("api.token_of_nobody", 30, 60)
_PUBLIC = {"public": True, "signed": True}


class ApiPages(Controller):
    path = ROOT

    @post("/token", opt=_PUBLIC)
    async def token(self, request: AnyRequest) -> Response[Any]:
        """OAuth 2 client credentials (RFC 6749 §4.4): an access token for an hour. Errors are OAuth's own. Raises: TooMany, BadRequest."""
        sent = await csrf.form_of(request)
        form = {name: value for name, value in sent.items() if isinstance(value, str)}
        if any("\x00" in value for value in form.values()):
            raise BadRequest
        client_key = tokens.named(form, request.headers)
        tenant = await home_of(client_key, credentials.CLIENT)
        uri = f"https://{links.app('/api/v1/token').partition('://')[2]}"
        if tenant is None or tenant.state is TenantState.CLOSED:
            await count(PLATFORM, _UNKNOWN, request.scope["state"]["address"])
            return _said(tokens.answer(None, tenant_id=None, uri=uri, form=form, headers=request.headers))
        await count(tenant, _ASKED, client_key)
        async with tenant_tx(tenant) as tx:
            client = await api_clients.find_client(tx, client_key)
            answer = tokens.answer(client, tenant_id=tenant.id, uri=uri, form=form, headers=request.headers)
            if answer.token is not None and answer.secret_id is not None:
                await api_clients.keep_token(tx, answer.token, secret_id=answer.secret_id, scopes=answer.scopes)
        return _said(answer)

    @get("/openapi.json", opt=operation("This description"))
    async def description(self, request: AnyRequest) -> Response[Any]:
        return Response(api.document(request.app), media_type="application/json")


def _said(answer: tokens.Answer) -> Response[Any]:
    return Response(
        dict(answer.body), status_code=answer.status, media_type="application/json", headers={**answer.headers, **NO_STORE}
    )
