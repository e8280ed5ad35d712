"""Opening trial shops, and deleting those that are over."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from app.access import trying
from app.access.accounts import NoShopReady
from app.catalog import service as catalog
from app.catalog.models import DeliveryKind
from app.catalog.service import ProductTerms, SkuTerms
from app.insight import alarms
from app.inventory import importing
from app.kernel import audit, clock, i18n, rates
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.rates import Limit
from app.kernel.tasks import Lane, add_task
from app.payments import service as payments
from app.settings import settings
from app.trials.goods import GOODS, LOW_BELOW, OWNER_NAME, SHOP_NAME, Good
from tenants import provisioning, trials
from tenants.directory import PLATFORM, Tenant
from tenants.session import Tx, tenant_session, tenant_tx

_PER_ADDRESS = Limit("trial", 5, 3600)
_UNIT_COST = Decimal("9.9")


class TooManyTrials(DomainError):
    status = 503
    message = N_("As many trial shops as there may be stand open. Try again in an hour, or open a shop of your own.")


@dataclass(frozen=True, slots=True)
class Opened:
    """A trial that stands, and the account that owns it."""

    tenant: Tenant
    user_id: UUID


async def open_trial(*, address: str, locale: str) -> Opened:
    """A furnished shop for whoever asks, with an owner nobody else can be. Each call opens another.

    Raises: NotFound where none is offered; TooMany, TooManyTrials, NoShopReady.
    """
    chosen = settings()
    if not chosen.offers_trials:
        raise NotFound
    await rates.count(PLATFORM, _PER_ADDRESS, address)
    password_hash = await trying.unknown_password()
    try:
        async with tenant_tx(PLATFORM) as tx:
            if await trials.standing(tx) >= chosen.trials_at_once:
                raise TooManyTrials
            opened = await _take(tx, locale, password_hash)
            await add_task(tx, "tenants.refill", lane=Lane.BULK, subject_id=None)
    except provisioning.NoSpareTenant:
        async with tenant_tx(PLATFORM) as tx:
            await add_task(tx, "tenants.refill", lane=Lane.BULK, subject_id=None)
        raise NoShopReady(seconds=5) from None
    await _furnish(opened)
    return opened


async def _take(tx: Tx, locale: str, password_hash: str) -> Opened:
    slug = f"trial-{secrets.token_hex(6)}"
    ends_at = clock.now() + timedelta(hours=settings().trial_hours)
    tenant = await provisioning.take_spare(tx, slug=slug, name=i18n.gettext(SHOP_NAME), trial_ends_at=ends_at)
    user_id = await trying.admit(tx, tenant, name=i18n.gettext(OWNER_NAME), locale=locale, password_hash=password_hash)
    actor = Actor(ActorKind.STAFF, user_id, i18n.gettext(OWNER_NAME))
    await audit.record(tx, actor, "trial.opened", subject=("tenant", tenant.id), facts={"slug": slug})
    return Opened(tenant, user_id)


async def _furnish(opened: Opened) -> None:
    """The shop's face, a gateway that moves no money, goods on sale, and keys that are made up."""
    tenant, actor = opened.tenant, Actor(ActorKind.STAFF, opened.user_id, i18n.gettext(OWNER_NAME))
    async with tenant_session(tenant) as session:
        await catalog.open_storefront(session, name=tenant.name)
    await payments.connect_sandbox(tenant)
    for good in GOODS:
        async with tenant_session(tenant) as session:
            product = await catalog.create_product(session, _terms(good), actor=actor)
            await catalog.publish(session, product.id, actor=actor)
            sku_ids = [sku.id for sku in product.skus]
        for sku_id, (_, _, keys) in zip(sku_ids, good.skus, strict=True):
            await _import(tenant, sku_id, keys, actor)


def _terms(good: Good) -> ProductTerms:
    say = i18n.gettext
    skus = [SkuTerms(say(name), price, warn_below=LOW_BELOW) for name, price, _ in good.skus]
    usage = f"<p>{say(good.usage)}</p>"
    return ProductTerms(
        say(good.name), DeliveryKind.CARD_KEY, skus, say(good.summary), usage_html=usage, cover_icon=good.icon, cover_hue=good.hue
    )


async def _import(tenant: Tenant, sku_id: UUID, keys: int, actor: Actor) -> None:
    body = "\n".join(f"TRIAL-{secrets.token_hex(4)}-{secrets.token_hex(4)}".upper() for _ in range(keys)).encode()
    await importing.import_at_once(tenant, sku_id=sku_id, body=body, file_name="trial.txt", unit_cost=_UNIT_COST, actor=actor)


async def end_trials(owner_url: str) -> int:
    """Delete the trials whose time is over, with whoever tried them; how many. Idempotent: one that was half deleted is deleted by the next call."""
    async with tenant_tx(PLATFORM) as tx:
        over = await trials.over(tx)
    for tenant in over:
        async with tenant_tx(PLATFORM) as tx:
            await trying.dismiss(tx, tenant.id)
            await alarms.forget(tx, tenant.id)
        await trials.delete(owner_url, tenant)
    return len(over)
