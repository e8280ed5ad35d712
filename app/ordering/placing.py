"""Placing an order: one call of one function takes every claim or none.

Orders of one line go through a micro-batch per process: up to 32 buyers in one call, first come first served; whoever comes alone is placed at once.
A hot SKU has batches of its own, so that others do not wait for its row. A failed batch falls back to single calls; a client that lost its answer
asks again with its idempotency key and finds its order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from uuid import UUID

import asyncpg

from app.catalog import accounts
from app.catalog.accounts import AccountField
from app.catalog.channels import STOREFRONT
from app.kernel import history
from app.kernel.actor import Actor, ActorKind
from app.kernel.batching import Batcher
from app.kernel.contact import Contact
from app.kernel.errors import N_, DomainError
from app.kernel.history import Happened
from app.kernel.i18n import format_money
from app.kernel.ids import new_id, new_number
from app.kernel.vault import Keyring, keyring
from app.ordering import capping, second_contacts
from app.ordering.models import UnitState
from app.ordering.rules import Offered, Quote, QuotedPart
from app.settings import settings
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_NUMBER_DRAWS = 3
_NUMBERS = "uq_shop_order_order_no"


class SoldOut(DomainError):
    message = N_("%(name)s is sold out. Nothing was ordered and nothing is to be paid.")


class OverBuyerLimit(DomainError):
    message = N_("%(name)s is limited to %(limit)s per buyer, counting earlier orders.")


class TooMuchUnpaid(DomainError):
    message = N_("One buyer may hold %(most)s units in unpaid orders. Pay for an earlier order or cancel it, then order again.")


class TooLargeShare(DomainError):
    message = N_(
        "One buyer may hold %(percent)s%% of the stock of %(name)s in unpaid orders. Order fewer, or pay for an earlier order first."
    )


class OfferChanged(DomainError):
    message = N_("The price or offer changed a moment ago. Look at it again before you pay; nothing was ordered.")


class NotSoldNow(DomainError):
    """Its price is below what it costs with the merchant's least margin."""

    message = N_("%(name)s cannot be bought this moment. Nothing was ordered and nothing is to be paid; look in again later.")


class KeyReused(DomainError):
    status = 422
    message = N_("This form was sent before with other content. Open the product again.")


class ShopClosed(DomainError):
    status = 503
    message = N_("This shop is closed for now. Nothing was ordered.")


@dataclass(frozen=True, slots=True)
class Request:
    """What a buyer asks for. `idempotency_key` is his form's own, so that asking again finds the same order.

    `second_contact` is an e-mail address for messages that his phone does not take. `address` is the network address he asks from; empty where
    nobody counts. `is_confirmed` says that he read the accounts to credit once more and confirmed them.
    """

    storefront_id: UUID
    quote: Quote
    contact: Contact
    locale: str
    idempotency_key: str
    address: str = ""
    is_confirmed: bool = False
    sales_channel: str = STOREFRONT
    second_contact: Contact | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that stands. `repeated` when this request had placed it before."""

    id: UUID
    order_no: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A request with its ids drawn and its contact sealed: what the statements need."""

    order_id: UUID
    order_no: str
    request: Request
    contact: bytes
    contact_fingerprint: bytes
    tail_fingerprint: bytes
    address_fingerprint: bytes | None
    request_hash: bytes


async def place(tenant: Tenant, request: Request) -> Placed:
    """Place an order, in a transaction of its own.

    Idempotent: the same key and content give the same order. Locks: the stock rows of its SKUs, last and in SKU order.
    Raises: SoldOut, OverBuyerLimit, OverCap, TooMuchUnpaid, TooLargeShare, OfferChanged, NotSoldNow, KeyReused, ShopClosed; then nothing was taken.
    """
    if not tenant.is_open:
        raise ShopClosed
    if request.quote.goes_in_batches and request.sales_channel == STOREFRONT:
        return await _batcher(tenant, request.quote.lines[0].offered).ask(request)
    return await place_single(tenant, request)


async def place_single(tenant: Tenant, request: Request) -> Placed:
    """One order in one call. A number that is taken is drawn again; a key that a batch takes meanwhile is asked about again."""
    for draw in range(_NUMBER_DRAWS):
        try:
            async with tenant_tx(tenant) as tx:
                sealed = _sealed(request, await keyring(tx))
                if capped := request.quote.caps():
                    await capping.admit(tx, sealed.contact_fingerprint, capped, key=request.idempotency_key)
                return await _call(tx, sealed)
        except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
            if draw == _NUMBER_DRAWS - 1:
                raise
        except asyncpg.PostgresError as error:
            if refusal := _refusal(request, error):
                raise refusal from None
            raise
    raise AssertionError("unreachable")


async def _call(tx: Tx, sealed: _Sealed) -> Placed:
    quote, request = sealed.request.quote, sealed.request
    lines, limits, stock = _lines(quote), quote.limits(), quote.stock()
    shares = [
        (line.id, n, line.sku_id, amount, UnitState.SCHEDULED if line.is_later else UnitState.RESERVED)
        for line in lines
        for n, amount in enumerate(line.amounts_minor, start=1)
    ]
    row = await tx.fetchrow(
        _PLACE,
        sealed.order_id, sealed.order_no, request.storefront_id, request.idempotency_key, sealed.request_hash,
        request.contact.kind, sealed.contact, request.contact.masked, sealed.contact_fingerprint, sealed.tail_fingerprint, request.locale,
        quote.total_minor, quote.currency, _hold(), new_id(),
        [o.id for o in lines], [o.listing_id for o in lines], [o.sku_id for o in lines], [o.product_id for o in lines],
        [o.product_name for o in lines], [o.sku_name for o in lines], [o.delivery_kind for o in lines],
        [o.quantity for o in lines], [o.unit_price_minor for o in lines],
        list(limits), [units for units, _ in limits.values()], [most for _, most in limits.values()],
        sealed.address_fingerprint, *_most_held(), *_terms(quote, lines, stock),
        [o.parent_id for o in lines], [o.total_minor for o in lines], [o.policy for o in lines],
        [share[0] for share in shares], [share[1] for share in shares], [share[2] for share in shares], [share[3] for share in shares],
        [share[4] for share in shares],
        list(stock), list(stock.values()),
        [line.value_minor for line in lines], [line.value_currency for line in lines],
        request.sales_channel,
    )  # fmt: skip
    assert row is not None
    answer = _answer(sealed.request, row)
    if isinstance(answer, DomainError):
        raise answer
    if not answer.repeated:
        await _keep_accounts(tx, sealed, lines)
        await _keep_plans(tx, quote, lines)
        await _keep_second_contacts(tx, [sealed.request], [answer])
    return answer


def _terms(quote: Quote, lines: Sequence[_Line], stock: Mapping[UUID, int]) -> tuple[object, ...]:
    """What its prices come from and hang on, for the statement to look at again: of each line, and of each stock row it takes from."""
    priced = [line.priced for line in quote.lines]
    bounds = [[line.priced for line in quote.lines if line.offered.sku_id == sku_id] for sku_id in stock]
    return (
        [line.list_price_minor for line in lines],
        [line.terms_version for line in lines],
        [line.rule_id for line in lines],
        [line.rule_version for line in lines],
        [max((one.least_left for one in of_sku if one.least_left is not None), default=None) for of_sku in bounds],
        [min((one.most_left for one in of_sku if one.most_left is not None), default=None) for of_sku in bounds],
        max((one.since for one in priced if one.since), default=None),
        min((one.until for one in priced if one.until), default=None),
        quote.who.customer_id,
        quote.who.level_id,
    )


@dataclass(frozen=True, slots=True)
class _Line:
    """A row of `order_line`. The parts of a bundle, and the cycles of a subscription, follow it as lines of their own, each with what every one of its units costs."""

    id: UUID
    listing_id: UUID
    sku_id: UUID
    product_id: UUID
    product_name: str
    sku_name: str
    delivery_kind: str
    quantity: int
    unit_price_minor: int
    total_minor: int
    fields: tuple[AccountField, ...]
    account: Mapping[str, str]
    list_price_minor: int
    terms_version: int | None = None
    rule_id: UUID | None = None
    rule_version: int | None = None
    policy: str | None = None
    parent_id: UUID | None = None
    amounts_minor: tuple[int, ...] = ()
    is_later: bool = False
    value_minor: int | None = None
    value_currency: str | None = None


def _lines(quote: Quote) -> list[_Line]:
    found = []
    for line in quote.lines:
        o, line_id, rule = line.offered, new_id(), line.priced
        value = (o.value_minor, o.values.currency) if o.values and o.value_minor else (None, None)
        names = (o.product_name, _sku_name(o), o.delivery_kind)
        money = (line.quantity, line.unit_price_minor, line.total_minor)
        stated = (o.buyer_fields, line.account, o.price_minor)
        terms = (o.terms_version, rule.rule_id, rule.rule_version)
        row = _Line(line_id, o.listing_id, o.sku_id, o.product_id, *names, *money, *stated, *terms, policy=o.policy)
        found.append(replace(row, value_minor=value[0], value_currency=value[1]))
        found += [_part(line_id, quoted) for quoted in line.parts()]
    return found


def _sku_name(offered: Offered) -> str:
    """What a line calls its SKU: with the face value that was chosen."""
    if offered.values is None or offered.value_minor is None:
        return offered.sku_name
    return f"{offered.sku_name} {format_money(offered.value_minor, offered.values.currency)}"


def _part(parent_id: UUID, quoted: QuotedPart) -> _Line:
    p, amounts = quoted.part, quoted.amounts_minor
    names = (p.product_name, p.sku_name, p.delivery_kind)
    money = (len(amounts), p.worth_minor, sum(amounts))
    stated = (p.buyer_fields, quoted.account, p.worth_minor)
    return _Line(
        new_id(), p.listing_id, p.sku_id, p.product_id, *names, *money, *stated, parent_id=parent_id, amounts_minor=amounts,
        is_later=p.is_later,
    )  # fmt: skip


async def _keep_plans(tx: Tx, quote: Quote, lines: Sequence[_Line]) -> None:
    """Write down under which terms each line of a subscription was ordered, and what it renews."""
    by_listing = {line.listing_id: line.id for line in lines if line.parent_id is None}
    rows = [
        (by_listing[o.listing_id], o.renews, o.plan.cycle_unit, o.plan.cycle_length, o.plan.grace_days)
        for o in (line.offered for line in quote.lines)
        if o.plan
    ]
    await tx.executemany(_KEEP_PLAN, rows)


async def _keep_accounts(tx: Tx, sealed: _Sealed, lines: Sequence[_Line]) -> None:
    """Write down, sealed, what each line's buyer stated, and that he confirmed it; beside it, masked, under the labels he read."""
    ring = await keyring(tx)
    rows = []
    for line in lines:
        if line.account:
            shown = accounts.masked(line.fields, line.account)
            kept = ring.seal("recharge_account", "account", line.id, json.dumps(dict(line.account)))
            rows.append((line.id, kept, " ".join(one["value"] for one in shown), json.dumps(shown)))
    await tx.executemany(_KEEP_ACCOUNT, rows)
    if rows and sealed.request.is_confirmed:
        buyer = Actor(ActorKind.BUYER, None, sealed.request.contact.masked)
        facts = {"masked": [row[2] for row in rows]}
        await history.record(tx, Happened("order", sealed.order_id, "order.account_confirmed", facts=facts), actor=buyer)


async def _keep_second_contacts(tx: Tx, requests: Sequence[Request], answers: Sequence[Placed | DomainError]) -> None:
    """Write down the second contacts of the orders that were placed just now."""
    pairs = zip(requests, answers, strict=True)
    placed = [(request, answer) for request, answer in pairs if isinstance(answer, Placed) and not answer.repeated]
    await second_contacts.keep(tx, {answer.id: asked.second_contact for asked, answer in placed if asked.second_contact})


def _answer(request: Request, row: asyncpg.Record) -> Placed | DomainError:
    offered = request.quote.lines[0].offered
    match row["outcome"]:
        case "placed" | "repeated":
            return Placed(row["order_id"], row["order_no"], repeated=row["outcome"] == "repeated")
        case "key_reused":
            return KeyReused()
        case "sold_out":
            return SoldOut(name=f"{offered.product_name} {offered.sku_name}")
        case "below_floor":
            line = next(
                (one for one in request.quote.lines if one.offered.listing_id == row.get("subject")), request.quote.lines[0]
            )
            return NotSoldNow(name=f"{line.offered.product_name} {line.offered.sku_name}")
        case "over_limit":
            return OverBuyerLimit(name=offered.product_name, limit=offered.buyer_limit)
        case "over_unpaid":
            return TooMuchUnpaid(most=settings().unpaid_units_per_buyer)
        case "over_share":
            return TooLargeShare(name=f"{offered.product_name} {offered.sku_name}", percent=settings().unpaid_share_percent)
        case _:
            return OfferChanged()


def _refusal(request: Request, error: asyncpg.PostgresError) -> DomainError | None:
    lines = request.quote.lines
    if error.sqlstate == "QY001":
        return SoldOut(name=_name(request, error))
    if error.sqlstate == "QY002":
        offered = next(line.offered for line in lines if str(line.offered.product_id) == error.detail)
        return OverBuyerLimit(name=offered.product_name, limit=offered.buyer_limit)
    if error.sqlstate == "QY003":
        return TooMuchUnpaid(most=settings().unpaid_units_per_buyer)
    if error.sqlstate == "QY004":
        return TooLargeShare(name=_name(request, error), percent=settings().unpaid_share_percent)
    if error.sqlstate == "QY005":
        return OfferChanged()
    return None


def _name(request: Request, error: asyncpg.PostgresError) -> str:
    """What a refusal is about, as its buyer knows it: the SKU, or the bundle it is a part of."""
    return next(
        f"{line.offered.product_name} {line.offered.sku_name}"
        for line in request.quote.lines
        if error.detail in (str(line.offered.sku_id), *(str(part.sku_id) for part in line.offered.parts))
    )


def _sealed(request: Request, ring: Keyring) -> _Sealed:
    order_id, contact = new_id(), request.contact
    return _Sealed(
        order_id=order_id,
        order_no=new_number("N"),
        request=request,
        contact=ring.seal("shop_order", "contact", order_id, contact.value),
        contact_fingerprint=ring.fingerprint("contact", contact.value),
        tail_fingerprint=ring.fingerprint("contact_tail", contact.tail),
        address_fingerprint=ring.fingerprint("address", request.address) if request.address else None,
        request_hash=request.quote.fingerprint(" ".join(one.value for one in (contact, request.second_contact) if one)),
    )


def _row(sealed: _Sealed) -> tuple[object, ...]:
    """One buyer's part of every array that `place_orders` takes, the storefront first."""
    request, line = sealed.request, sealed.request.quote.lines[0]
    offered = line.offered
    return (
        request.storefront_id, sealed.order_id, sealed.order_no, request.idempotency_key, sealed.request_hash,
        request.contact.kind, sealed.contact, request.contact.masked, sealed.contact_fingerprint, sealed.tail_fingerprint, request.locale,
        new_id(), offered.listing_id, offered.sku_id, offered.product_id, offered.product_name, offered.sku_name, offered.delivery_kind,
        line.quantity, line.unit_price_minor, offered.currency, offered.buyer_limit, sealed.address_fingerprint,
        offered.price_minor, offered.terms_version, line.priced.rule_id, line.priced.rule_version,
    )  # fmt: skip


def _hold() -> timedelta:
    return timedelta(minutes=settings().reservation_minutes)


def _most_held() -> tuple[int, int, int]:
    """What one buyer may hold unpaid: units in all, and of one SKU's stock a share in percent or so many units, whichever is more."""
    chosen = settings()
    return chosen.unpaid_units_per_buyer, chosen.unpaid_share_percent, chosen.unpaid_units_always


async def _place_together(tenant: Tenant, requests: Sequence[Request]) -> list[Placed | DomainError]:
    """A batch in one call. Where one of its numbers is taken, all are drawn again: after a hundred thousand orders of a day that is every 200th batch."""
    for draw in range(_NUMBER_DRAWS):
        try:
            return await _call_together(tenant, requests)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != _NUMBERS or draw == _NUMBER_DRAWS - 1:
                raise
    raise AssertionError("unreachable")


async def _call_together(tenant: Tenant, requests: Sequence[Request]) -> list[Placed | DomainError]:
    async with tenant_tx(tenant) as tx:
        ring = await keyring(tx)
        columns = zip(*(_row(_sealed(request, ring)) for request in requests), strict=True)
        storefronts, *others = (list(column) for column in columns)
        rows = await tx.fetch(_PLACE_TOGETHER, storefronts, _hold(), new_id(), *others, *_most_held())
        answers = [_answer(request, row) for request, row in zip(requests, rows, strict=True)]
        await _keep_second_contacts(tx, requests, answers)
    return answers


_batchers: dict[tuple[UUID, UUID | None], Batcher[Request, Placed]] = {}


def _batcher(tenant: Tenant, offered: Offered) -> Batcher[Request, Placed]:
    """The line of buyers of one hot SKU, or of all others of a tenant. Each buyer rides once in a batch, so a form sent twice finds its order."""
    key = (tenant.id, offered.sku_id if offered.is_hot else None)
    if key not in _batchers:
        if len(_batchers) > 1000:
            _batchers.clear()
        _batchers[key] = Batcher(
            together=partial(_place_together, tenant),
            alone=partial(place_single, tenant),
            key=lambda request: request.contact.value,
        )
    return _batchers[key]


_PLACE = f"select * from place_order({', '.join(f'${n}' for n in range(1, 55))})"
_PLACE_TOGETHER = f"select * from place_orders({', '.join(f'${n}' for n in range(1, 33))})"
_KEEP_PLAN = "insert into subscription_purchase (order_line_id, subscription_id, cycle_unit, cycle_length, grace_days) values ($1, $2, $3, $4, $5)"
_KEEP_ACCOUNT = "insert into recharge_account (order_line_id, account, masked, shown) values ($1, $2, $3, $4::jsonb)"
