"""One account at Reloadly: signed-in calls, refusals, notices. The two interfaces differ only in what they sell.

Source: vendor's documents and blog for hosts, versioned Accept headers, order fields, statuses and customIdentifier; the token endpoint, the error
codes and the shape of a webhook's body were not read: they are defaults to be corrected.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Self

from app.kernel import http, strict_json
from app.kernel.errors import N_
from app.kernel.http import Call, Client
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors import listing
from app.suppliers.connectors.assumed import (
    ADDRESS,
    OPTIONAL,
    REFUSALS,
    REFUSALS_SETTING,
    assumptions,
    refusals_of,
    refused,
    settings_of,
    words,
)
from app.suppliers.connectors.bearer import Grant, forget, token_for
from app.suppliers.connectors.port import (
    Balance,
    Forged,
    Notice,
    OtherNotice,
    PurchaseNotice,
    RawNotice,
    Reason,
    Rejected,
    Setting,
    StatementPage,
    Traits,
    Unknown,
)
from app.suppliers.connectors.reloadly import signing
from app.suppliers.connectors.wire import Reply, cost, encode, exchange, said, segment, word

USED_IDENTIFIER = r"identifier|duplicate|already"
"""A refusal because the identifier is used says that something was bought under it; it may never stand among the definite nos."""

COMMON_ASSUMED = {
    "error.code": "errorCode",
    "not_found.codes": "",
    "balance.path": "/accounts/balance",
    "balance.amount": "balance",
    "balance.currency": "currencyCode",
    "notice.out_no": "data.customIdentifier",
    "notice.ref": "data.transactionId",
    "notice.tolerance_s": "3600",
    "list.first_page": "1",
    "list.items": "content",
    "list.at": "transactionCreatedTime",
    "status.delivered": "SUCCESSFUL",
    "status.pending": "PROCESSING, PENDING",
    "status.rejected": "REFUNDED, FAILED",
}


def account_settings(base_url: str) -> tuple[Setting, ...]:
    return (
        Setting(
            "base_url",
            N_("Address of the interface"),
            default=base_url,
            pattern=ADDRESS,
            help=N_("The test mode has an address of its own."),
        ),
        Setting(
            "token_url",
            N_("Address that gives tokens"),
            default="https://auth.reloadly.com/oauth/token",
            pattern=ADDRESS,
            help=N_("Not verified."),
        ),
        Setting(
            "audience",
            N_("Audience of the token"),
            pattern=OPTIONAL,
            help=N_("Empty: the address of the interface. Not verified."),
        ),
        Setting("client_id", N_("Client id"), pattern=r"\S+"),
        Setting("client_secret", N_("Client secret"), is_secret=True, pattern=r"\S+"),
        Setting(
            "webhook_secrets",
            N_("Webhook secrets"),
            is_secret=True,
            pattern=OPTIONAL,
            help=N_("One for each event, separated by spaces."),
        ),
        REFUSALS_SETTING,
    )


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks, where, and what the answers' names are taken to be."""

    base_url: str
    accept: str
    grant: Grant
    webhook_secrets: tuple[str, ...] = field(repr=False)
    refusals: Mapping[str, Reason]
    assumed: Mapping[str, str]
    client: Client = field(repr=False)

    @classmethod
    def of(
        cls, traits: Traits, config: Mapping[str, str], client: Client | None, *, accept: str, defaults: Mapping[str, str]
    ) -> Self:
        """Raises: IncompleteConnection."""
        values = settings_of(traits, config)
        base_url = values["base_url"].rstrip("/")
        return cls(
            base_url=base_url,
            accept=accept,
            grant=Grant(values["token_url"], values["client_id"], values["client_secret"], values["audience"] or base_url),
            webhook_secrets=tuple(values["webhook_secrets"].split()),
            refusals=refusals_of(values[REFUSALS], never=USED_IDENTIFIER),
            assumed=assumptions(values["assumed"], defaults),
            client=client or http.shared(),
        )

    async def ask(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Reply | Unknown:
        """One call with a token. A token that is no longer taken is dropped; the call is not repeated."""
        token = await token_for(self.grant, self.client)
        if isinstance(token, Unknown):
            return token
        headers = {"Authorization": f"Bearer {token}", "Accept": self.accept, "Content-Type": "application/json"}
        body = b"" if document is None else encode(document)
        reply = await exchange(self.client, Call(method, self.base_url + path, headers, body))
        if isinstance(reply, Reply) and reply.status == 401:
            forget(self.grant)
            return Unknown("the supplier refused the token", evidence=reply.evidence())
        return reply

    def refused(self, reply: Reply) -> Rejected | Unknown:
        return refused(reply, self.assumed["error.code"], self.refusals)

    def reason_of(self, document: Any) -> Reason:
        """Why a purchase ended without effect, as far as its code is on the list."""
        try:
            return self.refusals.get(said(document, "code"), Reason.REFUSED)
        except NotStrictJson:
            return Reason.REFUSED

    def status(self, document: Any, path: str) -> str:
        """`delivered`, `pending`, `rejected`, or the empty text for a status nobody listed. Raises: NotStrictJson."""
        given = word(document, path).upper()
        for family in ("delivered", "pending", "rejected"):
            if given in words(self.assumed[f"status.{family}"]):
                return family
        return ""

    def path(self, name: str, *, ref: str | None, out_no: str = "") -> str:
        """An assumed address with both numbers filled in; empty where there is none or the number it needs is not known."""
        path = self.assumed[name]
        if "{ref}" in path and not ref:
            return ""
        return path.replace("{ref}", segment(ref or "")).replace("{out_no}", segment(out_no))

    async def statement(self, day: date, cursor: str | None) -> StatementPage | Unknown:
        """The account's transactions of one of our business days; the cursor counts pages."""
        reply = await self.ask("GET", listing.address(self.assumed, day, cursor))
        return listing.read(reply, self.assumed, ("customIdentifier", "transactionId"), self._is_done, day=day, cursor=cursor)

    def _is_done(self, order: Any) -> bool:
        return self.status(order, "status") == "delivered"

    async def balance(self) -> Balance | Unknown:
        reply = await self.ask("GET", self.assumed["balance.path"])
        if isinstance(reply, Unknown):
            return reply
        try:
            amount = cost(reply.document, self.assumed["balance.amount"])
            if not reply.is_success or amount is None:
                return Unknown("the balance was not told", evidence=reply.evidence())
            return Balance(amount, word(reply.document, self.assumed["balance.currency"]))
        except NotStrictJson as fault:
            return Unknown(f"the balance cannot be read: {fault}", evidence=reply.evidence())

    def verify_notice(self, raw: RawNotice, now: datetime) -> Notice:
        timestamp = raw.headers.get(signing.TIMESTAMP_HEADER, "")
        signature = raw.headers.get(signing.SIGNATURE_HEADER, "")
        if not self.webhook_secrets:
            return Forged("this connection has no webhook secret")
        if not timestamp or not signing.is_signed(self.webhook_secrets, timestamp, raw.body, signature):
            return Forged("the notice's signature is wrong")
        sent_at_s = _seconds(timestamp)
        if sent_at_s is None or abs(now.timestamp() - sent_at_s) > int(self.assumed["notice.tolerance_s"]):
            return Forged("the notice is dated too far from now")
        try:
            document = strict_json.parse_object(raw.body, exact=True)
            out_no, ref = (said(document, self.assumed[name]) for name in ("notice.out_no", "notice.ref"))
        except NotStrictJson as fault:
            return Forged(str(fault))
        event_key = hashlib.sha256(raw.body).hexdigest()
        return PurchaseNotice(event_key, out_no, ref or None) if out_no or ref else OtherNotice(event_key)


def _seconds(timestamp: str) -> float | None:
    """Seconds since 1970 of a timestamp in seconds, in milliseconds, or in ISO form with its zone: which of them it is was not read."""
    if re.fullmatch(r"\d{9,11}", timestamp):
        return int(timestamp)
    if re.fullmatch(r"\d{12,14}", timestamp):
        return int(timestamp) / 1000
    try:
        instant = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return instant.timestamp() if instant.tzinfo else None
