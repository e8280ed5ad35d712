"""Whatever a stranger sends, he gets a sentence in his language and a 4xx, never a 5xx, and nothing changes."""

import json

import httpx2
import pytest

from tests.world import World

pytestmark = [pytest.mark.anyio]
HAN = "\u4e00"


def says_something(answer: httpx2.Response, language: str) -> bool:
    text = answer.text
    return ("<h1>" in text) and (any(HAN <= sign <= "\u9fff" for sign in text) if language == "zh-CN" else 'lang="en"' in text)


@pytest.mark.case("H15")
@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/checkout", b"a" * (10 * 1024 * 1024)),
        ("POST", "/checkout", b"listing=%00&quantity=1"),
        ("POST", "/checkout", b"listing=%ff%fe&quantity=%ED%A0%80"),
        ("POST", "/checkout", b"&".join(b"f%d=x" % n for n in range(2000))),
        ("POST", "/checkout", b""),
        ("GET", "/products/not-an-id", None),
        ("GET", "/products/00000000-0000-4000-8000-000000000000", None),
        ("GET", "/orders/N261121-AAAAAAA/forged", None),
        ("GET", "/orders/..%2f..%2fetc%2fpasswd/x", None),
        ("GET", "/search?q=%00", None),
        ("GET", "/no/such/page", None),
        ("PUT", "/products/00000000-0000-4000-8000-000000000000", b"x"),
        ("POST", "/orders/codes", b"contact=" + b"9" * 200_000),
        ("POST", "/cart/lines", b"listing=1&quantity=-1"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_shop_answers_nonsense_with_a_sentence(
    world: World, language: str, method: str, path: str, body: bytes | None
) -> None:
    client = world.client()
    headers = {"accept-language": language, "content-type": "application/x-www-form-urlencoded"}
    answer = await client.request(method, path, content=body, headers=headers)
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    assert says_something(answer, language), answer.text[:400]
    assert await world.value("select count(*) from shop_order") == 0


@pytest.mark.case("H15")
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 5000 + b"]" * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        json.dumps({"amount_minor": 2**70}).encode(),
        b'{"out_no":"\\u0000"}',
        b'{"a":1,"a":2}',
        b"NaN",
        b"\x00\x01\x02",
        b"",
        b"{" + b'"k":1,' * 100_000 + b'"z":1}',
    ],
    ids=lambda value: str(value[:20]),
)
async def test_a_notices_address_answers_nonsense_without_a_word_and_without_a_row(world: World, body: bytes) -> None:
    connection_id = await world.value("select id from gateway_connection")
    client = world.client("app")
    answer = await client.post(
        f"/hooks/{world.tenant.slug}/{connection_id}", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code in (401, 413), answer.text[:200]
    assert await world.value("select count(*) from gateway_notice") == 0


@pytest.mark.case("H15")
@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/sign-up", b"x" * (10 * 1024 * 1024)),
        ("/sign-up", b"email=%00"),
        ("/log-in", b""),
        ("/log-in", b"email=a%40b.cn&password=" + b"p" * 150_000),
        ("/m/no-such-shop/orders/N261121-AAAAAAA/refunds", b"reason=x"),
        ("/console/tenants/00000000-0000-4000-8000-000000000000/suspension", b"reason=x"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_the_back_office_answers_nonsense_with_a_sentence(world: World, language: str, path: str, body: bytes) -> None:
    client = world.client("app")
    headers = {"accept-language": language, "content-type": "application/x-www-form-urlencoded"}
    answer = await client.post(path, content=body, headers=headers)
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    assert says_something(answer, language), answer.text[:400]


@pytest.mark.case("H10")
@pytest.mark.parametrize(
    "host", ["evil.example", "app.quanyi.localhost.evil.example", "x..shop.localhost", "", "a" * 300, "127.0.0.1", "[::1]"]
)
async def test_a_foreign_host_reaches_no_page(world: World, host: str) -> None:
    client = world.client("app")
    answer = await client.get("/log-in", headers={"host": host, "x-forwarded-host": "app.quanyi.localhost"})
    assert answer.status_code == 421
    assert "set-cookie" not in answer.headers
