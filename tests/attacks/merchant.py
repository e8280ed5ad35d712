"""A merchant who has one of everything that an address or a form can name."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from PIL import Image

from app.access import api_clients, team
from app.access.api_clients import Terms
from app.access.models import MemberRole, Scope
from app.aftersales import reporting
from app.aftersales.models import Complaint, RemedyKind
from app.aftersales.remedying import remedy
from app.aftersales.reporting import Report
from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from app.catalog import channels, pictures, product_types
from app.catalog import service as catalog
from app.catalog.models import DeliveryKind
from app.catalog.product_types import TypeTerms
from app.customers import levels
from app.customers import service as customers
from app.customers import sessions as buyers
from app.fulfillment.reissuing import UnitOf
from app.integrations import robots, webhooks
from app.integrations.models import RobotCompany
from app.integrations.robots import RobotTerms
from app.integrations.webhooks import WebhookTerms
from app.issuing import paying, reading
from app.issuing import queries as issues
from app.issuing.paying import Paid
from app.kernel import clock
from app.kernel.actor import Actor, ActorKind
from app.kernel.contact import Contact, parse_contact
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from app.kernel.vault import keyring
from app.ordering import desk
from app.pricing import service as pricing
from app.pricing.rules import Effect
from app.pricing.service import RuleTerms
from app.replenishment import desks
from app.replenishment import queries as replenishments
from app.replenishment import service as replenishing
from app.replenishment.service import WantedGoods
from app.settlement import importing as statements
from app.settlement import matching
from app.settlement.importing import Given
from app.storefront.shelf import forget_shelf
from app.suppliers import importing as offer_imports
from app.suppliers import offering, testing
from app.suppliers import service as suppliers
from app.suppliers.connectors.declarative.presets import preset
from app.suppliers.offering import TypedOffer, Wanted
from app.suppliers.service import ConnectionTerms, SupplierTerms
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_session, tenant_tx
from tests.app.access.people import Person, mails, person
from tests.app.fulfillment.links import bought_link, link
from tests.app.ordering.subscriptions import subscription
from tests.world import STAFF, World

COUNTERS = frozenset({"rate_counter", "user_session", "supplier_desk", "shop_search"})
"""Tables that count tries and searches, and note when a session or a supplier's link was seen, and so change by trying."""


@dataclass
class Merchant:
    """`ids` has a value for each parameter of the merchant's and the shop's addresses; `unpaid` those of an order that waits for money,
    `subscribed` those of one that bought a subscription.
    """

    tenant: Tenant
    owner: Person
    listing_id: UUID
    ids: dict[str, object] = field(default_factory=dict)
    unpaid: dict[str, object] = field(default_factory=dict)
    subscribed: dict[str, object] = field(default_factory=dict)


async def merchant(world: World, tenant: Tenant, *, canary: str = "Skylark") -> Merchant:
    """Fill a tenant: a product with picture and category, keys, a delivered and an unpaid order, a view, an invitation, a buyer's session."""
    async with tenant_session(tenant) as session:
        category = await catalog.category_named(session, "Video")
    product = await world.product(tenant=tenant, name=f"{canary} Video", category_id=category.id)
    sku = product.skus[0]
    batch_no = await world.stock(sku.id, [f"{canary.upper()}-KEY-{n:04d}" for n in range(8)], tenant=tenant)
    made = Merchant(tenant, await person(tenant), sku.listing.id)
    bought = await world.bought(sku.listing.id, tenant=tenant, contact="13800132046")
    await world.until("select count(*) from gateway_notice", tenant=tenant)
    waiting = await world.order(sku.listing.id, tenant=tenant, contact="13800132047")
    made.ids |= {"tenant_slug": tenant.slug, "product_id": product.id, "sku_id": sku.id, "batch_no": batch_no}
    made.ids |= {"category_id": category.id, "rest": "nothing"}
    made.ids |= await _typed(made)
    made.ids |= await _pictured(made, product.id)
    made.ids |= await _sold(world, made, bought.id)
    made.ids |= await _complained(world, made)
    made.ids |= await _linked(world, made)
    made.ids |= await _staffed(world, made)
    made.ids |= await _supplied(made)
    made.ids |= await _asked(made, sku.id)
    made.ids |= await _issued(made, sku.listing.id)
    made.ids |= await _priced(made, product.id)
    season = await subscription(world, sku.id, tenant=tenant)
    subscribed = await world.bought(season.skus[0].listing.id, tenant=tenant, contact="13800132046")
    made.ids["card_key_id"] = await world.value("select id from card_key where state = 'free' limit 1", tenant=tenant)
    made.ids["subscription_id"] = await world.value("select id from subscription", tenant=tenant)
    made.subscribed = {**made.ids, **await _addressed(made, subscribed.id)}
    made.unpaid = {**made.ids, **await _addressed(made, waiting.id)}
    return made


async def _typed(made: Merchant) -> dict[str, object]:
    """A type of the merchant's own that nothing is of."""
    async with tenant_session(made.tenant) as session:
        typed = await product_types.create_type(session, TypeTerms("Tickets", DeliveryKind.MANUAL), actor=STAFF)
        return {"type_id": typed.id}


async def _priced(made: Merchant, product_id: UUID) -> dict[str, object]:
    async with tenant_session(made.tenant) as session:
        rule = await pricing.add_rule(session, product_id, RuleTerms(Effect.SHARE, -500, least_quantity=90), actor=STAFF)
        level_id = await levels.add_level(session, "Gold", actor=STAFF)
        channel = await channels.add_channel(session, code=f"c-{made.tenant.slug}"[:16], name="Mini program", actor=STAFF)
    forget_shelf(made.tenant)
    return {"rule_id": rule.id, "level_id": level_id, "code": channel.code}


async def _pictured(made: Merchant, product_id: UUID) -> dict[str, object]:
    picture = io.BytesIO()
    Image.new("RGB", (4, 4), "#9a3b1b").save(picture, "PNG")
    async with tenant_session(made.tenant) as session:
        changed = await catalog.set_picture(session, product_id, pictures.encoded(picture.getvalue()), actor=STAFF)
        return {"picture_id": changed.picture_id}


async def _sold(world: World, made: Merchant, order_id: UUID) -> dict[str, object]:
    unit = (
        await world.rows("select order_line_id, unit_no from delivery_unit where order_id = $1", order_id, tenant=made.tenant)
    )[0]
    connection = await world.value("select id from gateway_connection", tenant=made.tenant)
    return {
        "line_id": unit["order_line_id"],
        "unit_no": unit["unit_no"],
        "connection_id": connection,
        "case_id": await _looked_at(made, order_id),
        **await _addressed(made, order_id),
    }


async def _linked(world: World, made: Merchant) -> dict[str, object]:
    """A link with a file, and the secret address of one that was bought."""
    product = await link(world, files=(b"%PDF-1.7 ticket",), tenant=made.tenant)
    placed = await world.bought(product.skus[0].listing.id, tenant=made.tenant, contact="13800132046")
    minted_id, path = await bought_link(world, placed, tenant=made.tenant)
    file_id = await world.value("select id from content_file", tenant=made.tenant)
    return {"minted_id": minted_id, "proof": path.rpartition("/")[2], "file_id": file_id, **await _machine(made)}


async def _machine(made: Merchant) -> dict[str, object]:
    """An API client, and the id of a use it never made."""
    async with tenant_tx(made.tenant) as tx:
        issued = await api_clients.create(tx, Terms("Till", tuple(Scope)), actor=STAFF)
    return {"client_id": issued.client_id, "use_id": new_id()}


async def _looked_at(made: Merchant, order_id: UUID) -> UUID:
    """A case about an order that nobody has closed."""
    async with tenant_tx(made.tenant) as tx:
        await cases.open_case(tx, Trouble(CaseKind.MISMATCH, "order", order_id, order_id, {"problem": "looked at"}))
        case_id: UUID = await tx.fetchval("select id from staff_case where order_id = $1", order_id)
    return case_id


async def _complained(world: World, made: Merchant) -> dict[str, object]:
    """A case that waits, with a picture, and a claim from another that was replaced."""
    bought = await world.bought(made.listing_id, 2, tenant=made.tenant, contact="13800132048")
    line_id = await world.value("select id from order_line where order_id = $1", bought.id, tenant=made.tenant)
    async with tenant_tx(made.tenant) as tx:
        told = [
            Report(UnitOf(bought.id, line_id, unit_no), Complaint.INVALID, "It says unknown", ("image/webp", b"x"))
            for unit_no in (1, 2)
        ]
        waiting, replaced = [await reporting.report(tx, one, actor=STAFF, is_own=True) for one in told]
        await remedy(tx, replaced, RemedyKind.REPLACE, reason="invalid", actor=STAFF)
        case_no = await tx.fetchval("select case_no from after_sale_case where id = $1", waiting)
        claim_id = await tx.fetchval("select id from supplier_claim")
    await world.work(Lane.ORDERS, tenant=made.tenant)
    return {"case_no": case_no, "report_id": waiting, "claim_id": claim_id}


async def _addressed(made: Merchant, order_id: UUID) -> dict[str, object]:
    """An order's number and the signature of its secret address."""
    async with tenant_tx(made.tenant) as tx:
        order_no = await tx.fetchval("select order_no from shop_order where id = $1", order_id)
        return {"order_no": order_no, "signature": (await keyring(tx)).link_signature("order", order_id)}


async def _staffed(world: World, made: Merchant) -> dict[str, object]:
    """A colleague who may be changed and removed, a view of the owner's, an open invitation."""
    colleague = await person(made.tenant, MemberRole.SUPPORT)
    owner = Actor(ActorKind.STAFF, made.owner.id, "Chen")
    invited = f"invited-{made.tenant.slug}@nanzhi.example"
    await team.invite(made.tenant, email=invited, role=MemberRole.READ_ONLY, actor=owner, locale="en")
    async with tenant_tx(made.tenant) as tx:
        await desk.save_view(tx, name="Paid", query="state=paid", is_shared=True, actor=owner)
        view_id = await tx.fetchval("select id from order_view")
    async with tenant_tx(PLATFORM) as tx:
        invitation_id = await tx.fetchval("select id from one_time_link where email = $1", invited)
    mail = (await mails(world, invited))[0]
    token = re.search(r"/invitations/([\w-]+)", mail)
    assert token
    return {"user_id": colleague.id, "view_id": view_id, "invitation_id": invitation_id, "token": token[1]}


async def _supplied(made: Merchant) -> dict[str, object]:
    """A connection by recipe to a company that is not there, one of its goods, an import of it, and a test order that brought a card."""
    settings = {"recipe": preset("family_962699"), "credentials": "app_id = 7\napp_key = k", "base_url": "http://127.0.0.1:9"}
    async with tenant_session(made.tenant) as session:
        supplier = await suppliers.add_supplier(session, SupplierTerms("Northbank"), actor=STAFF)
        terms = ConnectionTerms("declarative", "Northbank", settings)
        connection = await suppliers.connect(session, supplier.id, terms, actor=STAFF)
        typed = TypedOffer("N-1", "Gift card", "card_key", Decimal(10), "CNY")
        offer_id = await offering.add_offer(session, connection.id, typed, actor=STAFF)
        rules = offer_imports.ImportRules(1_000, "Standard")
        import_id = await offer_imports.start(session, Wanted(connection.id), None, rules, actor=STAFF)
        test_id = await testing.start(session, connection.id, testing.TestTerms(offer_id), actor=STAFF)
    async with tenant_tx(made.tenant) as tx:
        card = (await keyring(tx)).seal(
            "test_order", "issued", test_id, '[{"number": "N", "password": "", "link": "", "expires_on": ""}]'
        )
        await tx.execute(
            "update test_order set state = 'succeeded', decided_at = now(), issued = $2 where id = $1", test_id, card
        )
        await tx.execute("delete from task where kind like 'suppliers.%'")
    found = {
        "supplier_id": supplier.id,
        "supply_id": connection.id,
        "offer_id": offer_id,
        "import_id": import_id,
        "test_id": test_id,
    }
    return {
        **found,
        "attempt_id": new_id(),
        "robot_id": await _told(made),
        **await _webhook(made),
        **await _settled(made, supplier.id, connection.id),
    }


async def _asked(made: Merchant, sku_id: UUID) -> dict[str, object]:
    """Goods asked of the supplier, who has confirmed them, and his private link."""
    supplier_id = made.ids["supplier_id"]
    assert isinstance(supplier_id, UUID)
    async with tenant_tx(made.tenant) as tx:
        goods = [WantedGoods(sku_id, 10, Decimal("14.7"))]
        no = await replenishing.ask(tx, replenishing.Request(new_id(), supplier_id, goods), actor=STAFF)
        assert no
        row = await replenishments.one_or_404(tx, no, lock=True)
        wanted_id = (await replenishments.lines_of(tx, row["id"]))[0]["id"]
        await replenishing.confirm(tx, row, {wanted_id: 10}, promised_on=clock.business_day(), actor=STAFF)
        desk = (await desks.address_of(tx, supplier_id)).rpartition("/")[2]
    return {"replenishment_no": no, "wanted_id": wanted_id, "desk": desk}


async def _issued(made: Merchant, listing_id: UUID) -> dict[str, object]:
    """A batch for a company that waits to be confirmed, and a payment of that company."""
    async with tenant_tx(made.tenant) as tx:
        goods = await issues.goods_or_none(tx, listing_id)
        assert goods is not None
        terms = reading.Terms(new_id(), "Lantern Works", "HT-2026-118", 1500, "en")
        issue_no = await reading.start(tx, terms, goods, (b"13800132046\nnobody", "people.csv"), actor=STAFF)
        paid = Paid(new_id(), terms.client, 1500, goods["currency"], clock.business_day(), "BK-1")
        await paying.book(tx, paid, actor=STAFF)
    return {"issue_no": issue_no, "company_payment_id": paid.id}


async def _settled(made: Merchant, supplier_id: UUID, connection_id: UUID) -> dict[str, object]:
    """A statement that names a purchase nobody knows, and a closed bill with nothing on it."""
    today, bill_id = clock.business_day(), new_id()
    given = Given("商户订单号,金额\nX-1,5\n".encode(), "statement.csv", today, today, {})
    async with tenant_tx(made.tenant) as tx:
        statement_id, _ = await statements.import_file(tx, connection_id, given, actor=STAFF)
        await matching.match(tx, statement_id)
        await tx.execute(
            "insert into settlement_statement (id, supplier_id, first_day, last_day, currency, purchases, total_minor)"
            " values ($1, $2, $3, $3, 'CNY', 0, 0)",
            bill_id,
            supplier_id,
            today,
        )
        difference_id = await tx.fetchval("select id from discrepancy")
        await tx.execute("delete from task where kind like 'settlement.%'")
    return {"statement_id": statement_id, "difference_id": difference_id, "bill_id": bill_id}


async def _told(made: Merchant) -> UUID:
    """The robot of a group chat of a company that is not there."""
    address = "http://127.0.0.1:9/robot/send?access_token=t"
    terms = RobotTerms(RobotCompany.DINGTALK, "Ops", address, "SEC", "en", ("supplier_failing",))
    async with tenant_session(made.tenant) as session:
        return await robots.keep(session, terms, actor=STAFF)


async def _webhook(made: Merchant) -> dict[str, object]:
    """A webhook of a program that is not there, and an event that waits for it."""
    async with tenant_tx(made.tenant) as tx:
        terms = WebhookTerms("Till", "http://127.0.0.1:9/hooks", ("redemption.created",))
        endpoint_id, _ = await webhooks.add(tx, terms, actor=STAFF)
        await webhooks.test(tx, endpoint_id)
        await tx.execute("update webhook_endpoint set is_on = false")
        return {"endpoint_id": endpoint_id, "delivery_id": await tx.fetchval("select id from webhook_delivery")}


async def buyers_session(world: World, tenant: Tenant, phone: str = "13800132046") -> str:
    """The cookie of a buyer who has proved the contact of an order by the code he was sent."""
    contact = parse_contact(phone)
    assert isinstance(contact, Contact)
    await customers.ask_code(tenant, contact, address="127.0.0.1")
    await world.work(tenant=tenant)
    code = re.search(r"\b(\d{6})\b", world.outbox.wait_for(contact.value)[0]["text"])
    assert code
    customer_id = await customers.prove(tenant, contact, code[1], address="127.0.0.1")
    async with tenant_tx(tenant) as tx:
        return await buyers.open_session(tx, customer_id, lives=buyers.SHORT)


async def fingerprint(*tenants: Tenant) -> dict[str, str]:
    """What every table of these tenants and of the platform holds, but for the counters: to be compared before and after."""
    return {f"{home.schema}.{name}": digest for home in (*tenants, PLATFORM) for name, digest in (await _digests(home)).items()}


async def _digests(home: Tenant) -> dict[str, str]:
    async with tenant_tx(home) as tx:
        names = await tx.fetch(
            "select tablename from pg_tables where schemaname = current_schema() and tablename <> all($1)", list(COUNTERS)
        )
        return {row["tablename"]: await _digest(tx, row["tablename"]) for row in names}


async def _digest(tx: Any, table: str) -> str:
    rows = await tx.fetch(f'select t::text as line from "{table}" t')
    return hashlib.sha256("\n".join(sorted(row["line"] for row in rows)).encode()).hexdigest()
