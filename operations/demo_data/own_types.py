"""A type of goods the demo's merchant built himself, a product of it that his team delivers by hand, and two orders that wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.catalog import accounts, product_types, queries
from app.catalog import service as catalog
from app.catalog.accounts import AccountField, FieldKind
from app.catalog.by_hand import Promise
from app.catalog.models import DeliveryKind
from app.catalog.product_types import TypeTerms
from app.catalog.service import ProductTerms, SkuTerms
from app.inventory import service as inventory
from app.kernel.ids import new_id
from app.ordering import placing, rules
from app.ordering.placing import Request
from app.storefront.shelf import forget_shelf, shelf_of
from operations.demo_data import trade
from operations.demo_data.people import Opened
from tenants.session import raw, tenant_session

_PLATFORM = AccountField("平台", "平台", FieldKind.CHOICE, choices={"": ("手机", "电脑", "主机")})
_VALID = AccountField("有效期", "有效期", is_required=False)
GAME_COINS = TypeTerms(
    "游戏点券",
    DeliveryKind.MANUAL,
    "gamepad-2",
    buyer_fields=(
        AccountField("region", "大区", FieldKind.CHOICE, choices={"": ("华东", "华南", "海外")}),
        AccountField(
            "server",
            "服务器",
            FieldKind.CHOICE,
            depends_on="region",
            choices={"华东": ("太湖", "西子"), "华南": ("珠江", "丹霞"), "海外": ("星洲",)},
        ),
        AccountField("role", "角色编号", FieldKind.NUMBER, least=6, most=10, hint="打开游戏，点左上角头像，复制名字下方的编号。"),
    ),
    product_fields=(_PLATFORM, _VALID),
)


async def build(opened: Opened) -> list[UUID]:
    """The type, and a product of it on sale; its listings."""
    async with tenant_session(opened.tenant) as session:
        made = await product_types.create_type(session, GAME_COINS, actor=opened.owner)
        category = await catalog.category_named(session, "游戏点券")
        terms = ProductTerms(
            name="青玉点券",
            delivery_kind=DeliveryKind.MANUAL,
            skus=(SkuTerms("60 点", 600), SkuTerms("300 点", 2880, was_minor=3000)),
            summary="客服手工充到角色，选对大区和服务器",
            category_id=category.id,
            cover_icon="gamepad-2",
            cover_hue=5,
            type_id=made.id,
            attributes=accounts.told(GAME_COINS.product_fields, {"平台": "手机", "有效期": "到账后长期有效"}),
        )
        product = await catalog.create_product(session, terms, actor=opened.owner)
        await catalog.set_by_hand(session, product.id, Promise(12), actor=opened.owner)
        tx = await raw(session)
        for sku in await queries.skus_of(session, product.id):
            await inventory.allow(tx, sku_id=sku.id, units=200)
        await catalog.publish(session, product.id, actor=opened.owner)
        listings = [sku.listing.id for sku in await queries.skus_of(session, product.id)]
    forget_shelf(opened.tenant)
    return listings


async def sell(opened: Opened, listings: Sequence[UUID]) -> None:
    """One order of each, paid, which somebody is to hand over."""
    shelf = await shelf_of(opened.tenant)
    for number, listing_id in enumerate(listings):
        stated = {"region": "华东", "server": "西子", "role": f"8800{number}217"}
        offered = shelf.offers[listing_id]
        quote = rules.quote([(offered, 1)], {(listing_id, offered.sku_id): stated})
        contact = trade.buyer(number + 1)
        request = Request(shelf.face.storefront_id, quote, contact, "zh_CN", str(new_id()), is_confirmed=True)
        order = await placing.place(opened.tenant, request)
        await trade.pay(opened.tenant, order)
    await trade.work(opened.tenant)
