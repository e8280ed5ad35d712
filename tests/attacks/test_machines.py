"""The addresses machines ask: whatever is sent there, by their description or against it, the answer is one of those they give, and nothing is written."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode

from app.kernel import clock
from app.payments.gateways.sandbox import SandboxGateway, _mac
from app.payments.service import connection_of
from app.settings import settings as installed
from tenants.session import tenant_tx
from tests.attacks.merchant import fingerprint
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.case("H15")]
EXAMPLES, WAIT_S = 60, 30
NOTICE = "/hooks/{tenant_slug}/{connection_id}"
TEXT: dict[str, Any] = {"type": "string", "maxLength": 600}
FIELDS = {
    "event_id": TEXT,
    "type": {"type": "string", "enum": ["payment.succeeded", "refund.succeeded"]},
    "merchant_id": TEXT,
    "out_no": TEXT,
    "refund_no": TEXT,
    "gateway_ref": TEXT,
    "gateway_txn": TEXT,
    "amount_minor": {"type": "integer"},
    "currency": TEXT,
    "occurred_at": TEXT,
}


def description(slug: str, connection_id: object) -> dict[str, Any]:
    """What these addresses take, for the generator; the parameters are those of one real connection."""
    named = {"tenant_slug": slug, "connection_id": str(connection_id)}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": [value]}}
        for name, value in named.items()
    ]
    parameters += [{"name": "sandbox-timestamp", "in": "header", "schema": {"type": "string"}}]
    body = {"application/json": {"schema": {"type": "object", "properties": FIELDS, "required": list(FIELDS)}}}
    answer = {"responses": {"200": {"description": "taken"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Addresses of machines", "version": "1"},
        "paths": {
            "/healthz": {"get": answer},
            "/readyz": {"get": answer},
            NOTICE: {"post": {"parameters": parameters, "requestBody": {"content": body, "required": True}, **answer}},
        },
    }


def body_of(case: Case) -> bytes:
    """What a case sends, as bytes."""
    sent = case.as_transport_kwargs(base_url="http://x")
    if "json" in sent:
        return json.dumps(sent["json"]).encode()
    data = sent.get("data", b"")
    return data if isinstance(data, bytes) else str(data).encode("utf-8", "surrogatepass")


async def send(world: World, case: Case, headers: dict[str, str]) -> httpx2.Response:
    """Send a case's method, address and body to the application. What no HTTP client can put into a header is left out."""
    plain = {
        name: value
        for name, value in {**dict(case.as_transport_kwargs(base_url="http://x")["headers"]), **headers}.items()
        if value.isascii() and value.isprintable() and name.lower() not in ("content-length", "host")
    }
    transport = httpx2.ASGITransport(app=world.app)
    async with httpx2.AsyncClient(transport=transport, base_url=installed().app_url) as client:
        return await client.request(case.method, case.formatted_path, headers=plain, content=body_of(case))


async def tried(world: World, path: str, method: str, mode: GenerationMode, sign: Any = None) -> set[int]:
    """The statuses that sixty generated requests were answered with."""
    connection_id = await world.value("select id from gateway_connection")
    operation = schemathesis.openapi.from_dict(description(world.tenant.slug, connection_id))[path][method]
    loop, statuses = asyncio.get_running_loop(), set()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Case) -> None:
        headers = sign(body_of(case)) if sign else {}
        answer = asyncio.run_coroutine_threadsafe(send(world, case, headers), loop).result(WAIT_S)
        statuses.add(answer.status_code)
        assert answer.status_code < 500, answer.text[:300]

    await asyncio.to_thread(run)
    return statuses


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_the_health_addresses_say_the_same_to_any_request(world: World, path: str) -> None:
    assert await tried(world, path, "GET", GenerationMode.POSITIVE) == {200}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
async def test_an_unsigned_notice_is_refused_whatever_it_says(world: World, mode: GenerationMode) -> None:
    before = await fingerprint(world.tenant)
    assert await tried(world, NOTICE, "POST", mode) <= {401, 404, 413}
    assert await fingerprint(world.tenant) == before


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
async def test_a_signed_notice_about_nothing_of_ours_is_refused_and_leaves_nothing(world: World, mode: GenerationMode) -> None:
    """Signed with the connection's own secret, so the words themselves are read."""
    async with tenant_tx(world.tenant) as tx:
        connection = await connection_of(tx, await tx.fetchval("select id from gateway_connection"))
    gateway = connection.gateway
    assert isinstance(gateway, SandboxGateway)

    def signed(body: bytes) -> dict[str, str]:
        at = str(int(clock.now().timestamp()))
        return {"sandbox-timestamp": at, "sandbox-signature": "v1=" + _mac(gateway.notice_secret, at.encode() + b"." + body)}

    before = await fingerprint(world.tenant)
    assert await tried(world, NOTICE, "POST", mode, signed) <= {401, 404, 413, 422}
    assert await fingerprint(world.tenant) == before
