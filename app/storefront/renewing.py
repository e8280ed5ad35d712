"""What a buyer does with a subscription from its order's page: cancelling it, and renewing it by an order that goes on with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from asyncpg import Record
from litestar import Controller, Response, post
from litestar.di import Provide
from litestar.params import FromPath

from app.kernel import rates
from app.kernel.actor import Actor, ActorKind
from app.kernel.contact import Contact, Contacts
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.forms import Count, Form, RawForm, parse
from app.kernel.rates import Limit
from app.kernel.vault import keyring
from app.kernel.web import AnyRequest, see_other
from app.ordering import second_contacts, subscribing, subscriptions
from app.ordering.placing import OfferChanged
from app.ordering.rules import AccountKey, Offered, quote
from app.storefront.checkout import RequestKey, count_checkout, path_of, place_order
from app.storefront.moments import moment_of
from app.storefront.opening import OPEN_WHEN_CLOSED, shelf_in
from app.storefront.orders import order_or_404
from app.storefront.subscribed import renewable
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_CANCELLATIONS = Limit("subscription.cancellation", 6, 60)


class NotRenewable(DomainError):
    message = N_("This subscription cannot be renewed any more: it is over, or the shop does not sell it like this now.")


class RenewalForm(Form):
    """`stated_minor` is the price the button named; `request_id` was made by us for this form."""

    stated_minor: Count
    request_id: RequestKey


class RenewalPages(Controller):
    """What a buyer does with a subscription, from the page of an order that began or renewed it."""

    path = "/orders/{order_no:str}/{signature:str}/subscriptions/{subscription_id:uuid}"
    dependencies = {"order": Provide(order_or_404)}  # noqa: RUF012

    @post("/cancellation", opt=OPEN_WHEN_CLOSED)
    async def cancel(self, request: AnyRequest, tenant: Tenant, order: Record, subscription_id: FromPath[UUID]) -> Response[None]:
        """No more of it; what is paid for still comes. Raises: NotFound, NothingToCancel."""
        await rates.count(tenant, _CANCELLATIONS, order["order_no"])
        async with tenant_tx(tenant) as tx:
            await _own(tx, order, subscription_id)
            await subscribing.cancel(tx, subscription_id, actor=Actor(ActorKind.BUYER, None, order["contact_masked"]))
        return see_other(request, _path(request), flash=N_("Cancelled. Everything you paid for still comes on its day."))

    @post("/renewal")
    async def renew(
        self, request: AnyRequest, tenant: Tenant, order: Record, sent: RawForm, subscription_id: FromPath[UUID]
    ) -> Response[None]:
        """Order the next period, for the same contacts and account; its page asks for the payment.

        Raises: NotFound, NotRenewable, OfferChanged, and what placing an order raises.
        """
        form = parse(RenewalForm, sent)
        count_checkout(request, tenant)
        async with tenant_tx(tenant) as tx:
            row = await _own(tx, order, subscription_id)
            offered = renewable(shelf_in(request), row)
            if offered is None:
                raise NotRenewable
            contacts, accounts = await _as_before(tx, order["id"], subscription_id, offered)
        wanted = quote(
            [(offered.renewal(subscription_id), row["quantity"])], accounts, await moment_of(request, tenant, [offered])
        )
        if wanted.total_minor != form.stated_minor:
            raise OfferChanged
        placed = await place_order(request, tenant, wanted, contacts, key=form.request_id)
        return see_other(request, await path_of(tenant, placed))


async def _own(tx: Tx, order: Record, subscription_id: UUID) -> Record:
    """A subscription of this very order. Raises: NotFound."""
    for row in await subscriptions.of_order(tx, order["id"]):
        if row["id"] == subscription_id:
            return row
    raise NotFound


async def _as_before(
    tx: Tx, order_id: UUID, subscription_id: UUID, offered: Offered
) -> tuple[Contacts, Mapping[AccountKey, Mapping[str, str]]]:
    """The contacts of an order, and what its buyer stated for the cycles so far."""
    ring = await keyring(tx)
    row = await tx.fetchrow("select contact_kind, contact from shop_order where id = $1", order_id)
    assert row is not None
    contact = Contact(row["contact_kind"], ring.open("shop_order", "contact", order_id, row["contact"]).reveal())
    contacts = Contacts(contact, await second_contacts.of_order(tx, order_id))
    stated = await tx.fetchrow(_STATED, subscription_id)
    if stated is None:
        return contacts, {}
    account: Any = json.loads(ring.open("recharge_account", "account", stated["order_line_id"], stated["account"]).reveal())
    return contacts, {(offered.listing_id, one.sku_id): account for one in offered.asking()}


def _path(request: AnyRequest) -> str:
    return f"/orders/{request.path_params['order_no']}/{request.path_params['signature']}"


_STATED = """
select a.order_line_id, a.account from recharge_account a join subscription_cycle c on c.order_line_id = a.order_line_id
where c.subscription_id = $1
order by c.cycle_no desc
limit 1
"""
