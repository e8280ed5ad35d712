"""The addresses for programs: keys and tokens, scopes, strict bodies, answers that repeat, and codes at tills."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode

from app.access import api_clients, repeats
from app.access.api_clients import Issued, Terms
from app.access.models import MemberRole, Scope
from app.catalog.models import DeliveryKind
from app.fulfillment import redeeming
from app.kernel.errors import DomainError
from tenants.directory import Tenant
from tenants.session import tenant_tx
from tests.app.fulfillment.links import ADDRESS, link
from tests.app.fulfillment.test_minting import code_of, minted
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio]
BOTH = (Scope.REDEMPTIONS_READ, Scope.REDEMPTIONS_WRITE)
DOCS = Path(__file__).parents[3] / "docs" / "api.md"


@dataclass
class Program:
    """A merchant's program: a client with a token."""

    http: httpx2.AsyncClient
    issued: Issued
    token: str

    async def send(self, method: str, path: str, body: Any = None, *, key: str = "", **headers: str) -> httpx2.Response:
        given = {"authorization": f"Bearer {self.token}", **({"idempotency-key": key} if key else {}), **headers}
        if body is None:
            return await self.http.request(method, f"/api/v1{path}", headers=given)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.request(
            method, f"/api/v1{path}", content=content, headers={"content-type": "application/json", **given}
        )

    async def redeem(self, code: str, *, place: str = "West Lake", key: str = "", reference: str = "") -> httpx2.Response:
        sent = {"code": code, "place": place, "reference": reference or str(uuid4())}
        return await self.send("POST", "/redemptions", sent, key=key or str(uuid4()))


async def issued(world: World, *scopes: Scope, tenant: Tenant | None = None, **terms: Any) -> Issued:
    async with tenant_tx(tenant or world.tenant) as tx:
        return await api_clients.create(tx, Terms("Till", scopes or BOTH, **terms), actor=STAFF)


async def ask_token(http: httpx2.AsyncClient, client: Issued, **form: str) -> httpx2.Response:
    sent = {"grant_type": "client_credentials", **form}
    return await http.post("/api/v1/token", data=sent, auth=(client.client_key, client.secret))


async def program(world: World, *scopes: Scope, tenant: Tenant | None = None) -> Program:
    http, client = world.client("app"), await issued(world, *scopes, tenant=tenant)
    answer = await ask_token(http, client)
    assert answer.status_code == 200, answer.text
    return Program(http, client, answer.json()["access_token"])


async def sold(world: World, kind: DeliveryKind = DeliveryKind.VOUCHER, **terms: Any) -> str:
    product = await minted(world, kind, **terms)
    return await code_of(world, await world.bought(product.skus[0].listing.id))


async def test_a_secret_buys_a_token_for_its_scopes_and_nothing_else_does(world: World) -> None:
    http, client = world.client("app"), await issued(world)
    good = await ask_token(http, client, scope="redemptions:read")
    assert good.status_code == 200
    assert good.json()["scope"] == "redemptions:read"
    assert good.headers["cache-control"] == "no-store"
    in_form = await http.post(
        "/api/v1/token",
        data={"grant_type": "client_credentials", "client_id": client.client_key, "client_secret": client.secret},
    )
    assert in_form.json()["scope"] == "redemptions:read redemptions:write"
    for form, auth, error in (
        ({}, (client.client_key, client.secret + "x"), "invalid_client"),
        ({}, (client.client_key[:-2], client.secret), "invalid_client"),
        ({}, ("qyc_" + "A" * 22 + ".x", client.secret), "invalid_client"),
        ({"grant_type": "password"}, (client.client_key, client.secret), "unsupported_grant_type"),
        ({"scope": "everything"}, (client.client_key, client.secret), "invalid_scope"),
    ):
        refused = await http.post("/api/v1/token", data={"grant_type": "client_credentials", **form}, auth=auth)
        assert refused.json()["error"] == error, error
        assert refused.status_code in (400, 401)
    assert not await world.value("select position($1::bytea in secret_hash) > 0 from api_secret", client.secret.encode())
    assert await world.value("select count(*) from api_token") == 2


async def test_revoking_rolling_and_ending_are_felt_at_once(world: World) -> None:
    one = await program(world)
    assert (await one.send("GET", "/redemptions")).status_code == 200
    row = (await world.rows("select last_used_at, last_used_address from api_client"))[0]
    assert row["last_used_at"] is not None
    assert row["last_used_address"] == "127.0.0.1"
    async with tenant_tx(world.tenant) as tx:
        rolled = await api_clients.roll(tx, one.issued.client_id, overlap=timedelta(hours=1), actor=STAFF)
    assert (await one.send("GET", "/redemptions")).status_code == 200
    assert (await ask_token(one.http, one.issued)).status_code == 200
    async with tenant_tx(world.tenant) as tx:
        last = await api_clients.roll(tx, one.issued.client_id, overlap=timedelta(0), actor=STAFF)
    assert [(await ask_token(one.http, client)).status_code for client in (one.issued, rolled, last)] == [401, 401, 200]
    gone = await one.send("GET", "/redemptions")
    assert gone.status_code == 401
    assert gone.json()["code"] == "not_authorised"
    assert gone.headers["www-authenticate"] == "Bearer"
    one.token = (await ask_token(one.http, last)).json()["access_token"]
    assert (await one.send("GET", "/redemptions")).status_code == 200
    async with tenant_tx(world.tenant) as tx:
        await api_clients.revoke(tx, one.issued.client_id, actor=STAFF)
    assert (await one.send("GET", "/redemptions")).status_code == 401
    assert (await ask_token(one.http, last)).status_code == 401
    with pytest.raises(api_clients.ClientOver):
        async with tenant_tx(world.tenant) as tx:
            await api_clients.roll(tx, one.issued.client_id, overlap=timedelta(0), actor=STAFF)


async def test_a_token_acts_within_its_scopes_and_in_its_own_tenant(world: World) -> None:
    code = await sold(world)
    reader = await program(world, Scope.REDEMPTIONS_READ)
    assert (await reader.send("POST", "/code-look-ups", {"code": code})).json()["state"] == "usable"
    more = await ask_token(reader.http, reader.issued, scope="redemptions:write")
    assert more.json()["error"] == "invalid_scope"
    part = await ask_token(reader.http, reader.issued, scope="redemptions:read redemptions:write")
    assert part.json()["scope"] == "redemptions:read"
    refused = await reader.redeem(code)
    assert refused.status_code == 403
    assert refused.json()["details"] == {"scope": "redemptions:write"}
    stranger = await program(world, tenant=await world.new_tenant("Other"))
    assert (await stranger.redeem(code)).json()["code"] == "no_such_code"
    mixed = stranger.token.partition(".")[2]
    reader.token = reader.token.partition(".")[0] + "." + mixed
    assert (await reader.send("GET", "/redemptions")).status_code == 401
    assert (await reader.send("GET", "/redemptions", authorization="Basic x")).status_code == 401
    assert await world.value("select count(*) from minted_use") == 0


@pytest.mark.case("A10")
async def test_a_till_redeems_once_and_the_second_is_told_of_the_first(world: World) -> None:
    code, till = await sold(world, shops=("West Lake", "East Gate")), await program(world)
    typed = f" {code.lower().replace('-', ' ')} "
    assert (await till.redeem(typed, place="Nowhere")).json()["code"] == "cannot_use_now"
    done = await till.redeem(typed, key="k-1", reference="till-7/1")
    assert done.status_code == 200, done.text
    assert done.json() | {"use_no": 1, "place": "West Lake", "reference": "till-7/1", "who": "Till"} == done.json()
    refused = await till.redeem(code, place="East Gate", **{"key": "k-2"})
    assert refused.status_code == 409
    told = refused.json()
    assert told["code"] == "used_up"
    assert told["details"]["place"] == "West Lake"
    assert told["details"]["first_at"]
    assert told["request_id"]
    chinese = await till.send(
        "POST", "/redemptions", {"code": code, "place": "x", "reference": "r"}, key="k-3", **{"accept-language": "zh-CN"}
    )
    assert re.search(r"[\u4e00-\u9fff]", chinese.json()["title"])
    found = (await till.send("POST", "/code-look-ups", {"code": typed})).json()
    assert (found["state"], found["uses_left"], found["first_use"]["place"]) == ("used_up", 0, "West Lake")
    order_no = await world.value("select order_no from shop_order")
    owner = await staff(world)
    assert "till-7/1" in words((await owner.get(f"/orders/{order_no}")).text)
    part = await owner.get(f"/orders/{order_no}/timeline?seen=delivered.0.", part=True)
    assert 'id="order-uses"' in part.text
    assert await world.value("select count(*) from minted_use") == 1


async def test_the_same_key_gets_the_same_answer_and_another_body_is_refused(world: World) -> None:
    code, till = await sold(world, DeliveryKind.SERIAL, most_uses=5), await program(world)
    first, again = [await till.redeem(code, key="one", reference="r1") for _ in range(2)]
    assert first.json() == again.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = await till.redeem(code, place="East Gate", key="one", reference="r1")
    assert (other.status_code, other.json()["code"]) == (409, "key_reused")
    wrong = [await till.redeem("NO-SUCH", key="two", reference="r2") for _ in range(2)]
    assert wrong[0].json() == wrong[1].json()
    assert wrong[1].status_code == 404
    missing = await till.send("POST", "/redemptions", {"code": code, "place": "x", "reference": "r9"})
    assert (missing.status_code, missing.json()["code"]) == (400, "key_missing")
    same = await till.redeem(code, key="three", reference="r1")
    assert same.json()["id"] == first.json()["id"]
    another = await sold(world)
    assert (await till.redeem(another, reference="r1")).json()["code"] == "reference_reused"
    assert await world.value("select count(*) from minted_use") == 1
    stored = await world.value("select string_agg(answer::text, '') from api_answer")
    assert code not in stored
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update api_answer set created_at = now() - interval '8 days'")
        assert await repeats.forget(tx) == 4


@pytest.mark.case("A10")
async def test_twenty_tills_at_once_use_a_code_as_often_as_it_is_good_for(world: World) -> None:
    code, till = await sold(world, DeliveryKind.SERIAL, most_uses=3), await program(world)
    answers = await asyncio.gather(*(till.redeem(code, place=f"Till {n}") for n in range(20)))
    assert Counter(a.json().get("code", "used") for a in answers) == {"used": 3, "used_up": 17}
    same = await asyncio.gather(
        *(till.redeem(await_code, key="same", reference="same") for await_code in [await sold(world)] * 10)
    )
    assert {a.status_code for a in same} == {200}
    assert len({a.json()["id"] for a in same}) == 1


@pytest.mark.case("A10")
async def test_red_without_the_keys_claim_one_request_counts_more_than_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the claim of its key, a request that a till sends again is a use of its own, unless its reference says otherwise."""
    code, till = await sold(world, DeliveryKind.SERIAL, most_uses=5), await program(world)

    async def nothing_kept(*_of: Any) -> None:
        return None

    monkeypatch.setattr(repeats, "_kept", nothing_kept)
    for number in range(2):
        await till.redeem(code, key="same", reference=f"r{number}")
    assert await world.value("select uses from minted_good") == 2


async def test_the_last_use_is_taken_back_within_half_an_hour(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    code, till = await sold(world, DeliveryKind.SERIAL, most_uses=2), await program(world)
    first, second = [(await till.redeem(code, reference=f"v{n}")).json()["id"] for n in range(2)]

    async def void(use_id: str, key: str = "") -> httpx2.Response:
        return await till.send("POST", f"/redemptions/{use_id}/void", {"reason": "Wrong guest"}, key=key or str(uuid4()))

    assert (await void(first)).json()["code"] == "not_the_last_use"
    done, again = await void(second, "v"), await void(second)
    assert done.json() == again.json()
    assert done.json()["void_reason"] == "Wrong guest"
    assert (await void(str(uuid4()))).status_code == 404
    assert (await till.redeem(code, reference="v1")).json()["code"] == "reference_reused"
    third = await till.redeem(code, reference="v3")
    assert third.json()["use_no"] == 2
    monkeypatch.setattr(redeeming, "VOID_WITHIN", timedelta(0))
    assert (await void(third.json()["id"])).json()["code"] == "too_late_to_void"
    assert await world.value("select array_agg(use_no order by id)::text from minted_use where voided_at is null") == "{1,2}"
    assert await world.value("select reason from audit_entry where action = 'minted_good.use_voided'") == "Wrong guest"
    listed = (await till.send("GET", "/redemptions?limit=2")).json()
    assert [item["reference"] for item in listed["items"]] == ["v0", "v1"]
    rest = (await till.send("GET", f"/redemptions?after={listed['next']}")).json()
    assert [item["reference"] for item in rest["items"]] == ["v3"]
    assert rest["next"] is None
    assert [i["id"] for i in (await till.send("GET", "/redemptions?reference=v1")).json()["items"]] == [second]
    bad = await till.send("GET", "/redemptions?after=x&limit=1000")
    assert (bad.status_code, [fault["path"] for fault in bad.json()["errors"]]) == (422, ["/after", "/limit"])


async def test_a_link_is_no_code_for_tills(world: World) -> None:
    product = await link(world, address=ADDRESS)
    placed = await world.bought(product.skus[0].listing.id)
    minted_id = await world.value("select id from minted_good")
    async with tenant_tx(world.tenant) as tx:
        from app.fulfillment.minting import open_code

        token = (await open_code(tx, minted_id)).reveal()
    assert placed.order_no
    assert (await (await program(world)).redeem(token)).json()["code"] == "no_such_code"


async def test_what_is_no_body_is_refused_with_each_fault(world: World) -> None:
    till = await program(world)
    for body, status, code in (
        (b"{", 400, "unreadable"),
        (b"[]", 400, "unreadable"),
        (b'{"code": "A", "code": "B"}', 400, "unreadable"),
        (b'{"code": NaN}', 400, "unreadable"),
        (b'{"code": "' + b"A" * 20_000 + b'"}', 400, "unreadable"),
        (b"{}", 422, "invalid_body"),
        (b'{"code": 7, "place": "x", "reference": "r", "more": 1}', 422, "invalid_body"),
    ):
        answer = await till.send("POST", "/redemptions", body, key=str(uuid4()))
        assert (answer.status_code, answer.json()["code"]) == (status, code), body[:40]
        assert answer.headers["content-type"].startswith("application/problem+json")
    faults = {fault["path"]: fault["message"] for fault in answer.json()["errors"]}
    assert set(faults) == {"/code", "/more"}
    assert (await till.send("POST", "/redemptions", b"{}", **{"content-type": "text/plain"})).status_code == 415
    nowhere = await till.send("GET", "/nothing")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    assert (await till.send("DELETE", "/redemptions")).status_code == 405


async def test_one_key_is_held_to_its_rate(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.access import machines
    from app.kernel.rates import Limit, RateWindow

    monkeypatch.setattr(machines, "_window", lambda window=RateWindow(Limit("api.test", 2, 60)): window)
    till = await program(world)
    answers = [await till.send("GET", "/redemptions") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) > 0
    assert answers[2].json()["code"] == "too_many"


async def test_the_owner_makes_rolls_and_revokes_keys_on_their_page(world: World) -> None:
    owner, path = await staff(world), "/settings/api-keys"
    assert "No key yet" in words((await owner.get(path)).text)
    wrong = await owner.post(path, {"name": "", "expires_on": "2020-01-01"})
    assert wrong.status_code == 422
    assert all(f'id="f-{name}-error"' in wrong.text for name in ("name", "scopes", "expires_on"))
    made = await owner.post(path, {"name": "Till 7", "scopes": ["redemptions:write"]})
    assert made.status_code == 200
    secret = re.search(r"qys_[\w-]+\.[\w-]+", made.text)
    assert secret
    assert secret[0] not in (await owner.get(path)).text
    client_id = await world.value("select id from api_client")
    rolled = await owner.post(f"{path}/{client_id}/secrets", {"overlap": "3600"})
    assert "Copy the secret now" in words(rolled.text)
    assert (await owner.post(f"{path}/{client_id}/secrets", {"overlap": "7"})).status_code == 422
    assert [(await owner.post(f"{path}/{client_id}/revocation")).status_code for _ in range(2)] == [303, 303]
    assert "Revoked" in words((await owner.get(path)).text)
    assert (await owner.post(f"{path}/{UUID(int=1)}/revocation")).status_code == 404
    assert (await (await staff(world, MemberRole.OPERATOR)).get(path)).status_code == 403
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await stranger.post(f"{path}/{client_id}/revocation")).status_code == 404
    actions = await world.rows(
        "select action, count(*) as times from audit_entry where action like 'api_client.%' group by 1 order by 1"
    )
    assert [tuple(row.values()) for row in actions] == [
        ("api_client.created", 1),
        ("api_client.revoked", 1),
        ("api_client.rolled", 1),
    ]


def filled(text: str, facts: Mapping[str, str]) -> str:
    for name, value in facts.items():
        text = text.replace("{" + name + "}", value)
    return text


async def test_the_examples_of_the_documentation_work(world: World) -> None:
    """Each request of docs/api.md, in its order; what it answers holds at least what stands there."""
    code, client, http = await sold(world), await issued(world), world.client("app")
    facts = {"code": code}
    steps = re.findall(r"```http\n(.*?)```\n→ (\d+)\n```json\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S)
    assert len(steps) == 6
    for request, status, wanted in steps:
        head, _, body = filled(request, facts).partition("\n\n")
        method, path = head.splitlines()[0].split()
        headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
        auth = (client.client_key, client.secret) if "Authorization" in headers else None
        headers.pop("Authorization", None)
        if "token" in facts:
            headers["Authorization"] = f"Bearer {facts['token']}"
        answer = await http.request(method, path, headers=headers, content=body.strip().encode(), auth=auth)
        assert answer.status_code == int(status), (path, answer.text)
        got = answer.json()
        for name, value in json.loads(wanted).items():
            if isinstance(value, dict):
                assert value.items() <= got[name].items(), (path, name)
            else:
                assert got[name] == value or value == "…", (path, name, got[name])
        facts |= {"token": got["access_token"]} if "access_token" in got else {}
        facts |= {"id": got["id"]} if "id" in got else {}


async def test_every_code_a_refusal_can_have_stands_in_the_documentation(world: World) -> None:
    described = (await world.client("app").get("/api/v1/openapi.json")).json()
    codes = {
        code
        for path in described["paths"].values()
        for one in path.values()
        for status, answer in one["responses"].items()
        if status != "200"
        for code in answer["description"].split(", ")
    }
    documented = set(re.findall(r"^\| `(\w+)` \| \d+", DOCS.read_text(encoding="utf-8"), re.M))
    assert codes <= documented, codes - documented
    known = {kind.code() for kind in _kinds(DomainError)} | {"too_large"}
    assert documented <= known, documented - known


def _kinds(of: type[DomainError]) -> set[type[DomainError]]:
    return {of}.union(*(_kinds(kind) for kind in of.__subclasses__()))


@pytest.mark.case("H15")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
async def test_whatever_is_sent_is_answered_as_described(world: World, mode: GenerationMode) -> None:
    """Generated from our own description: a status it names, a body of its schema, never a fault of ours."""
    till = await program(world)
    described = (await till.http.get("/api/v1/openapi.json")).json()
    schema, loop = schemathesis.openapi.from_dict(described), asyncio.get_running_loop()
    wrong: list[str] = []

    async def one(path: str, method: str, case: Any) -> None:
        sent = case.as_transport_kwargs(base_url="http://x")
        headers = {
            k: v
            for k, v in dict(sent["headers"]).items()
            if v.isascii() and v.isprintable() and k.lower() not in ("host", "content-length")
        }
        body = json.dumps(sent["json"]).encode() if "json" in sent else sent.get("data") or b""
        body = body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogatepass")
        headers |= {"authorization": f"Bearer {till.token}"}
        answer = await till.http.request(case.method, case.formatted_path, headers=headers, content=body, params=case.query or {})
        named = described["paths"][path][method]["responses"]
        if str(answer.status_code) not in named and answer.status_code not in (404, 405):
            wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        elif str(answer.status_code) in named:
            content = next(iter(named[str(answer.status_code)]["content"].values()))["schema"]
            whole = {**content, "components": described["components"]}
            if not jsonschema_rs.is_valid(whole, answer.json()):
                wrong.append(f"{method} {path}: not of its schema: {answer.text[:300]}")

    def tried(path: str, method: str) -> None:
        @hypothesis_settings(
            max_examples=20, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
        )
        @given(case=schema[path][method.upper()].as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            asyncio.run_coroutine_threadsafe(one(path, method, case), loop).result(30)

        ask()

    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if mode is GenerationMode.NEGATIVE and not operation["parameters"] and "requestBody" not in operation:
                continue  # nothing can be sent wrongly there
            await asyncio.to_thread(tried, path, method)
    assert wrong == []
    assert await world.value("select count(*) from minted_use") == 0
