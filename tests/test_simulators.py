"""The other companies themselves: what the pages show and what they keep."""

import json
import smtplib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx2
import pytest

from simulators.signing import mac, message_headers, request_message
from tests.simulators import GatewaySimulator, OutboxSimulator, gateway_simulator, outbox_simulator


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutboxSimulator]:
    with outbox_simulator(tmp_path_factory.mktemp("outbox")) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewaySimulator]:
    with gateway_simulator(tmp_path_factory.mktemp("gateway")) as simulator:
        yield simulator


# Outbox


def send_mail(outbox: OutboxSimulator, to: str, *, subject: str, text: str, html: str = "") -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "shop@example.com", to, subject
    mail.set_content(text)
    if html:
        mail.add_alternative(html, subtype="html")
    with smtplib.SMTP("127.0.0.1", outbox.smtp_port) as smtp:
        smtp.send_message(mail)


def send_sms(outbox: OutboxSimulator, body: bytes, *, secret: str = "sms-secret") -> httpx2.Response:
    return outbox.http.post("/sms", content=body, headers=message_headers(secret, body))


def test_mail_is_kept_whole_and_its_links_are_found(outbox: OutboxSimulator) -> None:
    send_mail(outbox, "Lin@Example.com", subject="请确认邮箱", text="点这里：\nhttp://app.localhost/verify?t=a1&x=2\n谢谢。")
    [message] = outbox.wait_for("lin@example.com")
    assert message["subject"] == "请确认邮箱"
    assert message["links"] == ["http://app.localhost/verify?t=a1&x=2"]
    page = outbox.http.get(f"/messages/{message['id']}")
    assert '<a href="http://app.localhost/verify?t=a1&amp;x=2">' in page.text


def test_mail_cannot_run_anything_on_the_page(outbox: OutboxSimulator) -> None:
    send_mail(outbox, "x@example.com", subject="<script>1</script>", text="<b>hi</b>", html="<script>steal()</script><p>hi</p>")
    [message] = outbox.wait_for("x@example.com")
    for page in (outbox.http.get("/"), outbox.http.get(f"/messages/{message['id']}")):
        assert "<script>" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
    shown = outbox.http.get(f"/messages/{message['id']}/html")
    assert shown.headers["content-security-policy"].startswith("sandbox allow-popups")


def test_search_is_by_recipient_and_wildcards_are_plain_text(outbox: OutboxSimulator) -> None:
    send_mail(outbox, "a_b@example.com", subject="underscore", text="1")
    send_mail(outbox, "axb@example.com", subject="letter", text="2")
    outbox.wait_for("axb@example.com")
    page = outbox.http.get("/", params={"to": "A_B@", "lang": "en"}).text
    assert "underscore" in page
    assert "letter" not in page


def test_text_message_is_kept_once_for_its_id(outbox: OutboxSimulator) -> None:
    body = json.dumps({"to": "13800138000", "text": "验证码 482913", "id": "s-1"}).encode()
    assert [send_sms(outbox, body).status_code for _ in range(2)] == [202, 202]
    [message] = outbox.messages("13800138000")
    assert (message["medium"], message["text"]) == ("sms", "验证码 482913")
    other = json.dumps({"to": "13800138000", "text": "another", "id": "s-1"}).encode()
    assert send_sms(outbox, other).status_code == 409


def test_a_number_that_takes_no_text_messages_says_so_and_gets_none(outbox: OutboxSimulator) -> None:
    body = json.dumps({"to": "+8617000000404", "text": "验证码 482913", "id": "s-9"}).encode()
    assert send_sms(outbox, body).status_code == 422
    assert outbox.messages("+8617000000404") == []


@pytest.mark.parametrize("body", [b"", b"[]", b'{"to":"138","text":"","id":"s"}', b'{"to":138,"text":"x","id":"s"}'])
def test_malformed_text_message_is_refused(outbox: OutboxSimulator, body: bytes) -> None:
    assert send_sms(outbox, body).status_code == 400


def test_text_message_of_a_stranger_is_refused(outbox: OutboxSimulator) -> None:
    body = json.dumps({"to": "13900139000", "text": "x", "id": "s-2"}).encode()
    assert send_sms(outbox, body, secret="another").status_code == 401
    assert outbox.http.post("/sms", content=body).status_code == 401
    assert outbox.messages("13900139000") == []


def test_older_messages_are_one_page_further(outbox: OutboxSimulator) -> None:
    with smtplib.SMTP("127.0.0.1", outbox.smtp_port) as smtp:
        for number in range(51):
            smtp.sendmail("s@example.com", ["many@example.com"], f"Subject: n{number}.\n\nx")
    first = outbox.http.get("/", params={"to": "many@", "lang": "en"}).text
    assert "n50." in first
    assert "n0." not in first
    older = first.split('">Older</a>')[0].rsplit('href="', 1)[1].replace("&amp;", "&")
    assert "n0." in outbox.http.get(older).text


# Gateway


def place(gateway: GatewaySimulator, out_no: str, /, *, lives_s: float = 300, **changes: Any) -> httpx2.Response:
    account = gateway.http.post("/accounts", json={}).json()
    asked = {
        "out_no": out_no,
        "amount_minor": 1490,
        "currency": "CNY",
        "subject": "月卡 <b>",
        "notice_url": gateway.url + "/nowhere",
        "return_url": "http://shop.localhost/orders/1",
        "expires_at": (datetime.now(UTC) + timedelta(seconds=lives_s)).isoformat(),
    } | changes
    body = json.dumps(asked).encode()
    timestamp = str(int(time.time()))
    signature = mac(account["api_secret"], request_message(timestamp, "POST", "/payments", body))
    headers = {"Sandbox-Merchant": account["merchant_id"], "Sandbox-Signature": f"t={timestamp},v1={signature}"}
    return gateway.http.post("/payments", content=body, headers=headers)


def test_buyer_pays_once_on_a_page_without_scripts(gateway: GatewaySimulator) -> None:
    pay_url = place(gateway, "W1").json()["pay_url"]
    page = gateway.http.get(pay_url, headers={"Accept-Language": "zh-CN,zh"})
    assert page.status_code == 200
    assert "支付 ¥14.90" in page.text
    assert "月卡 &lt;b&gt;" in page.text
    assert "<script" not in page.text
    assert "style=" not in page.text
    for _ in range(2):
        paid = gateway.http.post(pay_url)
        assert (paid.status_code, paid.headers["location"]) == (303, "http://shop.localhost/orders/1")
    assert len(gateway.book("W1")["captures"]) == 1
    assert "Paid" in gateway.http.get(pay_url, params={"lang": "en"}).text


def test_cancelling_goes_back_and_leaves_the_payment_open(gateway: GatewaySimulator) -> None:
    pay_url = place(gateway, "W2").json()["pay_url"]
    assert gateway.http.post(pay_url + "/cancel").status_code == 303
    assert gateway.book("W2")["payments"][0]["state"] == "created"


def test_expired_payment_cannot_be_paid(gateway: GatewaySimulator) -> None:
    pay_url = place(gateway, "W3", lives_s=0.3).json()["pay_url"]
    time.sleep(0.4)
    page = gateway.http.post(pay_url, headers={"Accept-Language": "en"})
    assert page.status_code == 410
    assert "This payment is closed" in page.text
    assert gateway.pay("W3").status_code == 409
    assert gateway.book("W3")["captures"] == []


def test_unknown_pay_page_says_so(gateway: GatewaySimulator) -> None:
    assert gateway.http.get("/pay/unknown").status_code == 404
    assert gateway.http.post("/pay/unknown").status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": 0},
        {"amount_minor": -1},
        {"amount_minor": 14.9},
        {"amount_minor": "1490"},
        {"currency": "cny"},
        {"out_no": "a b"},
        {"subject": ""},
        {"notice_url": "ftp://x"},
        {"expires_at": "2026-01-01T00:00:00"},
    ],
    ids=str,
)
def test_malformed_payment_is_refused_in_a_sentence(gateway: GatewaySimulator, change: dict[str, Any]) -> None:
    answer = place(gateway, "W4", **change)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid")
    assert answer.json()["message"].endswith(".")


def test_notices_nobody_took_are_sent_again_after_a_restart(tmp_path: Path) -> None:
    with gateway_simulator(tmp_path) as simulator:
        place(simulator, "W5", notice_url="http://127.0.0.1:9/closed")
        simulator.pay("W5")
        simulator.process.kill()
    with gateway_simulator(tmp_path) as simulator:
        time.sleep(0.5)
        notices = simulator.book("W5")["notices"]
        assert {notice["state"] for notice in notices} == {"open"}
        assert len(notices) >= 2
