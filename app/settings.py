"""Every setting, from the environment, read once. A wrong environment is refused with all its faults at once."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an installation may choose. Each field is `QUANYI_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="QUANYI_", frozen=True, extra="ignore")

    environment: Literal["demo", "test", "production"] = Field("production", description="What this installation is for.")
    base_host: str = Field(
        "quanyi.localhost:8000", description="Host the merchants' and operators' pages hang under, as app.<base_host>."
    )
    shops_host: str = Field(
        "shop.localhost:8000", description="Host the shops hang under, as <slug>.<shops_host>. Never under base_host."
    )
    public_scheme: Literal["http", "https"] = Field("https", description="Scheme of the links we print.")
    database_url: str = Field(description="PostgreSQL, as the application role, which owns nothing.")
    owner_database_url: str | None = Field(None, description="PostgreSQL, as the owner role: migrations and new tenants.")
    statement_cache: bool = Field(True, description="Off behind a pooler in transaction mode.")
    database_connections: int = Field(8, ge=1, le=50, description="Connections per process and kind of access.")
    key_encryption_key: str = Field(description="name:base64 of 32 bytes; several by comma, the first seals, all open.")
    session_secret: str = Field(min_length=32, description="Binds forms to sessions and signs order links.")
    smtp_url: str = Field("smtp://127.0.0.1:25", description="Where mail is handed over: smtp://[user:password@]host:port")
    mail_from: str = Field("Quanyi <no-reply@localhost>", description="Sender of our mail.")
    sms_url: str | None = Field(
        None,
        description="Where text messages are handed over; without it no code goes to phones. An answer of 422 says that a number never takes any.",
    )
    sms_secret: str = Field("", description="Signs the text messages handed over.")
    sandbox_gateway_url: str | None = Field(
        None, description="The sandbox payment gateway; without it no new shop is connected to it."
    )
    allow_loopback_calls: bool = Field(False, description="Lets outbound calls reach 127.0.0.1. Refused in production.")
    queue_url: str | None = Field(None, description="Where the queue rings: PostgreSQL by default, or redis://…")
    outbox_url: str | None = Field(None, description="The demo's outbox page, linked from pages that wait for a mail.")
    spare_tenants: int = Field(3, ge=1, le=100, description="Ready-made tenants kept for the next sign-ups.")
    reservation_minutes: int = Field(15, ge=1, le=1440, description="How long an unpaid order holds its stock.")
    unpaid_units_per_buyer: int = Field(200, ge=1, description="Units one buyer's unpaid orders may hold together.")
    unpaid_units_per_address: int = Field(
        600, ge=2, description="Units the unpaid orders of one network address may hold together."
    )
    unpaid_share_percent: int = Field(50, ge=1, le=100, description="Share of a SKU's stock one buyer's unpaid orders may hold.")
    unpaid_units_always: int = Field(20, ge=0, description="Units of a SKU one buyer may hold unpaid however small its stock is.")
    checkouts_per_minute: int = Field(60, ge=1, description="Orders one network address may place in a minute.")
    trial_hours: int = Field(
        24,
        ge=0,
        le=720,
        description="How long a trial shop stands that anybody may open; 0 offers none. Needs a sandbox gateway.",
    )
    trials_at_once: int = Field(100, ge=0, description="Trial shops that may stand at once.")
    sign_ups_per_hour: int = Field(60, ge=1, description="Shops one network address may open in an hour.")
    trusted_proxies: int = Field(0, ge=0, le=3, description="Proxies in front of us whose X-Forwarded-For hop we believe.")
    dns_server: str | None = Field(
        None, description="Name server asked about merchants' domains, as address or address:port; this machine's own by default."
    )
    audit_heads: Path | None = Field(
        None, description="Folder outside the database where the heads of the audit chains are written, signed, every hour."
    )
    audit_key: str = Field("", description="Signs those heads; 32 characters or more, never kept in the database.")
    faults: str | None = Field(None, description="Folder of faults that tests ask for. Refused in production.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe line that is written.")

    @field_validator("key_encryption_key")
    @classmethod
    def _keys_are_whole(cls, value: str) -> str:
        for part in value.split(","):
            name, _, encoded = part.partition(":")
            try:
                size = len(base64.b64decode(encoded, validate=True))
            except binascii.Error:
                size = 0
            if not name or size != 32:
                raise ValueError("write name:base64 of 32 bytes")
        return value

    @model_validator(mode="after")
    def _production_is_strict(self) -> Settings:
        if self.shops_host.partition(":")[0].endswith("." + self.base_host.partition(":")[0]):
            raise ValueError("shops_host must not lie under base_host: shops carry merchants' own content")
        if self.environment == "production" and self.allow_loopback_calls:
            raise ValueError("allow_loopback_calls is for demo and tests")
        if self.audit_heads is not None and len(self.audit_key) < 32:
            raise ValueError("audit_heads needs an audit_key of 32 characters or more")
        if self.environment == "production" and self.faults:
            raise ValueError("faults is for tests")
        if self.environment == "production" and self.public_scheme != "https":
            raise ValueError("public_scheme must be https in production")
        return self

    @property
    def offers_trials(self) -> bool:
        """Whether anybody may open a trial shop: it needs a gateway that moves no money."""
        return self.trial_hours > 0 and self.sandbox_gateway_url is not None

    @property
    def app_host(self) -> str:
        """Host of the merchants' and operators' pages."""
        return f"app.{self.base_host}"

    @property
    def app_url(self) -> str:
        """Origin of the merchants' and operators' pages."""
        return f"{self.public_scheme}://{self.app_host}"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The one frozen settings object of this process."""
    return Settings()
