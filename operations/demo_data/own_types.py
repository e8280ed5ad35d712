"""A type of goods the demo's merchant built himself, and a product of it that waits for its supplier."""

from __future__ import annotations

from app.catalog import product_types
from app.catalog import service as catalog
from app.catalog.accounts import AccountField, FieldKind
from app.catalog.models import DeliveryKind
from app.catalog.product_types import TypeTerms
from app.catalog.service import ProductTerms, SkuTerms
from operations.demo_data.people import Opened
from tenants.session import tenant_session

_PLATFORM = AccountField("平台", "平台", FieldKind.CHOICE, choices={"": ("手机", "电脑", "主机")})
_VALID = AccountField("有效期", "有效期", is_required=False)
GAME_COINS = TypeTerms(
    "游戏点券",
    DeliveryKind.DIRECT_TOP_UP,
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


async def build(opened: Opened) -> None:
    """The type, and a draft of it."""
    async with tenant_session(opened.tenant) as session:
        made = await product_types.create_type(session, GAME_COINS, actor=opened.owner)
        category = await catalog.category_named(session, "游戏点券")
        terms = ProductTerms(
            name="青玉点券",
            delivery_kind=DeliveryKind.DIRECT_TOP_UP,
            skus=(SkuTerms("60 点", 600), SkuTerms("300 点", 2880, was_minor=3000)),
            summary="直充到角色，选对大区和服务器",
            category_id=category.id,
            cover_icon="gamepad-2",
            cover_hue=5,
            type_id=made.id,
            attributes=[
                {"name": "平台", "label": "平台", "value": "手机"},
                {"name": "有效期", "label": "有效期", "value": "到账后长期有效"},
            ],
        )
        await catalog.create_product(session, terms, actor=opened.owner)
