"""The token endpoint's rules, as authlib has them: OAuth 2 client credentials, the secret in the Authorization header or in the form. Knows no database."""

from __future__ import annotations

import secrets as constant_time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, InvalidScopeError, OAuth2Request, grants
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6749.util import extract_basic_authorization

from app.access import credentials
from app.access.api_clients import TOKEN_LIVES, Proven
from app.access.models import Scope
from app.access.sessions import hash_of

_METHODS = ["client_secret_basic", "client_secret_post"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the endpoint says. `token` is None for a refusal; else it is to be kept for the secret it was asked with."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    token: str | None = field(default=None, repr=False)
    secret_id: UUID | None = None
    scopes: str = ""


def answer(
    client: Proven | None, *, tenant_id: UUID | None, uri: str, form: Mapping[str, str], headers: Mapping[str, str]
) -> Answer:
    """Answer one request for a token by a client that was looked up before, or by nobody. `uri` is our own address of the endpoint."""
    server = _Server(_Client(client) if client else None, tenant_id)
    status, body, said = server.create_token_response(_Request("POST", uri, form, headers))
    if status != 200 or server.client is None:
        return Answer(status, body, said)
    return Answer(status, body, said, body["access_token"], server.client.secret_id, body.get("scope", ""))


def named(form: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """The client a request says it is, in its Authorization header or in its form."""
    client_key, _ = extract_basic_authorization(headers)
    return client_key or form.get("client_id", "")


class _Client(ClientMixin):  # type: ignore[misc]
    """A client as authlib asks about it."""

    def __init__(self, proven: Proven) -> None:
        self._proven = proven
        self.secret_id: UUID | None = None

    def get_client_id(self) -> str:
        return self._proven.client_key

    def check_client_secret(self, client_secret: str) -> bool:
        given = hash_of(client_secret)
        for secret_id, kept in self._proven.secrets:
            if constant_time.compare_digest(given, kept):
                self.secret_id = secret_id
        return self.secret_id is not None

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in _METHODS

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"

    def get_allowed_scope(self, scope: str | None) -> str:
        """Of what is asked, what it may have; all of it when nothing is asked."""
        asked = (scope or " ".join(self._proven.scopes)).split()
        return " ".join(word for word in dict.fromkeys(asked) if word in self._proven.scopes)

    def check_response_type(self, response_type: str) -> bool:
        return False

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return False

    def get_default_redirect_uri(self) -> None:
        return None


class _Request(OAuth2Request):  # type: ignore[misc]
    def __init__(self, method: str, uri: str, form: Mapping[str, str], headers: Mapping[str, str]) -> None:
        super().__init__(method, uri, headers=headers)
        self.payload = BasicOAuth2Payload(dict(form))
        self._form = dict(form)

    @property
    def form(self) -> dict[str, str]:
        return self._form

    @property
    def args(self) -> dict[str, str]:
        return {}


class _Grant(grants.ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS


class _Server(AuthorizationServer):  # type: ignore[misc]
    """One request's server: it knows the one client the request names."""

    def __init__(self, client: _Client | None, tenant_id: UUID | None) -> None:
        super().__init__(scopes_supported=[scope.value for scope in Scope])
        self.client, self._tenant_id = client, tenant_id
        self.register_token_generator("default", self._new_token)
        self.register_grant(_Grant)

    def _new_token(self, client: _Client, scope: str | None = None, **_more: Any) -> dict[str, Any]:
        """A token within what the client may have: authlib itself only knows which scopes there are. Raises: InvalidScopeError."""
        assert self._tenant_id is not None, "a client that proved itself has a tenant"
        if not (allowed := client.get_allowed_scope(scope)):
            raise InvalidScopeError
        return {
            "token_type": "Bearer",
            "access_token": credentials.new_token(self._tenant_id),
            "expires_in": int(TOKEN_LIVES.total_seconds()),
            "scope": allowed,
        }

    def query_client(self, client_id: str) -> _Client | None:
        return self.client if self.client and self.client.get_client_id() == client_id else None

    def save_token(self, token: Mapping[str, Any], request: OAuth2Request) -> None:
        """Kept by the caller, in its transaction."""

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        return request

    def create_json_request(self, request: OAuth2Request) -> OAuth2Request:
        return request

    def send_signal(self, *_args: Any, **_kwargs: Any) -> None:
        """Nobody listens."""

    def handle_response(self, status: int, body: Any, headers: Any) -> tuple[int, Any, dict[str, str]]:
        return status, body, {name: value for name, value in headers if name.lower() != "content-type"}
