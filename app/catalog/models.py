"""Tables of what is sold."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, Numeric, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.catalog.values import ValueRange
from app.kernel.models import Row, TenantBase, one_of, sealed


class DeliveryKind(StrEnum):
    """How a SKU reaches its buyer."""

    CARD_KEY = "card_key"
    DIRECT_TOP_UP = "direct_top_up"
    VOUCHER = "voucher"
    SERIAL = "serial"
    LINK = "link"
    BUNDLE = "bundle"
    SUBSCRIPTION = "subscription"
    MANUAL = "manual"


class TypeState(StrEnum):
    """A retired type makes no new products; those it has are sold on."""

    ACTIVE = "active"
    RETIRED = "retired"


class ProductState(StrEnum):
    DRAFT = "draft"
    ON_SALE = "on_sale"
    OFF_SALE = "off_sale"


class ContactRule(StrEnum):
    """What a guest is asked for at checkout."""

    PHONE = "phone"
    EMAIL = "email"
    EITHER = "either"


class Storefront(Row, TenantBase):
    """One public shop of the tenant. `brand_color` is `#rrggbb` and passed the contrast check."""

    __tablename__ = "storefront"
    __table_args__ = (one_of("contact_rule", ContactRule),)
    name: Mapped[str]
    tagline: Mapped[str] = mapped_column(server_default="")
    brand_color: Mapped[str] = mapped_column(server_default="#9a3b1b")
    logo_id: Mapped[UUID | None] = mapped_column(ForeignKey("picture.id"))
    contact_rule: Mapped[str] = mapped_column(server_default=ContactRule.EITHER)
    mails_keys: Mapped[bool] = mapped_column(server_default="false")
    """Whether the delivery mail carries the key itself: the merchant's own choice, off by default."""
    support_contact: Mapped[str] = mapped_column(server_default="")
    notice_html: Mapped[str] = mapped_column(server_default="")
    setup_dismissed: Mapped[bool] = mapped_column(server_default="false")


class Picture(Row, TenantBase):
    """An uploaded picture, already decoded and encoded again by us: bounded size, no metadata."""

    __tablename__ = "picture"
    media_type: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)


class Category(Row, TenantBase):
    __tablename__ = "category"
    name: Mapped[str] = mapped_column(unique=True)
    position: Mapped[int] = mapped_column(Integer, server_default="0")


class ProductType(Row, TenantBase):
    """A type of goods the merchant defined: how it is delivered, what its buyers state, and what is said of each product of it.

    Fields are those of `app.catalog.accounts`. Orders keep what they were sold with, whatever the type says later.
    """

    __tablename__ = "product_type"
    __table_args__ = (one_of("delivery_kind", DeliveryKind), one_of("state", TypeState))
    name: Mapped[str] = mapped_column(unique=True)
    icon: Mapped[str] = mapped_column(server_default="ticket")
    delivery_kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=TypeState.ACTIVE)
    buyer_fields: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    refuses_virtual_numbers: Mapped[bool] = mapped_column(server_default="false")
    product_fields: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    """What the merchant states of each product, and its page shows."""


class Product(Row, TenantBase):
    """What the buyer thinks he buys. `description_html` and `usage_html` are sanitised when they are written."""

    __tablename__ = "product"
    __table_args__ = (
        one_of("state", ProductState),
        one_of("delivery_kind", DeliveryKind),
        CheckConstraint("buyer_limit > 0", name="buyer_limit_positive"),
        Index("ix_product_state", "state", "position"),
    )
    name: Mapped[str]
    summary: Mapped[str] = mapped_column(server_default="")
    delivery_kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=ProductState.DRAFT)
    category_id: Mapped[UUID | None] = mapped_column(ForeignKey("category.id"))
    description_html: Mapped[str] = mapped_column(server_default="")
    usage_html: Mapped[str] = mapped_column(server_default="")
    cover_icon: Mapped[str] = mapped_column(server_default="ticket")
    cover_hue: Mapped[int] = mapped_column(SmallInteger, server_default="4")
    picture_id: Mapped[UUID | None] = mapped_column(ForeignKey("picture.id"))
    buyer_limit: Mapped[int | None] = mapped_column(Integer)
    """Most units of this product one buyer may ever hold, over all his orders."""
    type_id: Mapped[UUID | None] = mapped_column(ForeignKey("product_type.id"), index=True)
    """The merchant's own type it is of; its fields then come from there, and not from this row."""
    attributes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    """What is said of it by its type's fields: names, labels and values."""
    account_fields: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    """What the buyers of a product without a type of its own state: `app.catalog.accounts`."""
    refuses_virtual_numbers: Mapped[bool] = mapped_column(server_default="false")
    """Whether mobile numbers of carriers without a network of their own are refused."""
    binds_account: Mapped[bool] = mapped_column(server_default="false")
    """Whether only a number or address that its buyer has proved is credited."""
    by_hand: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    """What is promised of a product that people deliver: `app.catalog.by_hand`."""
    minting: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    """Where, when and how often what we mint for it may be used: `app.catalog.minting`."""
    content_address: Mapped[str] = mapped_column(server_default="")
    """Where a link leads, `{token}` standing for each unit's own; empty where its files are what is opened."""
    position: Mapped[int] = mapped_column(Integer, server_default="0")
    category: Mapped[Category | None] = relationship(lazy="raise")
    type: Mapped[ProductType | None] = relationship(lazy="raise")
    skus: Mapped[list[Sku]] = relationship(lazy="raise", order_by="Sku.position", back_populates="product")

    @property
    def on_shelf(self) -> list[Sku]:
        """Its SKUs that buyers can see, in their order."""
        return [sku for sku in self.skus if sku.listing.is_published]

    @property
    def buyer_fields(self) -> list[dict[str, Any]]:
        """What its buyers state, wherever that is said."""
        return self.type.buyer_fields if self.type else self.account_fields


class ContentFile(Row, TenantBase):
    """A file that a link product hands out. Its kind was read from its bytes; its name is the one it is handed out under."""

    __tablename__ = "content_file"
    __table_args__ = (CheckConstraint("size_bytes > 0", name="size_positive"),)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("product.id"), index=True)
    name: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int]
    sha256: Mapped[str]


class ContentPiece(TenantBase):
    """A piece of a file, sealed for its own id."""

    __tablename__ = "content_piece"
    file_id: Mapped[UUID] = mapped_column(ForeignKey("content_file.id", ondelete="cascade"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    row_id: Mapped[UUID]
    body: Mapped[bytes] = mapped_column(LargeBinary, info=sealed("row_id"))


class Sku(Row, TenantBase):
    """The sellable unit. `face_value_minor` is what the entitlement is worth, not what it costs."""

    __tablename__ = "sku"
    __table_args__ = (
        UniqueConstraint("product_id", "name"),
        CheckConstraint("face_value_minor >= 0", name="face_value_not_negative"),
        CheckConstraint("warn_below >= 0", name="warn_below_not_negative"),
        CheckConstraint("floor_bp between 0 and 9999", name="floor_is_a_share"),
        CheckConstraint("warn_days between 0 and 365", name="warn_days_bounded"),
    )
    product_id: Mapped[UUID] = mapped_column(ForeignKey("product.id"), index=True)
    name: Mapped[str]
    face_value_minor: Mapped[int | None]
    region: Mapped[str] = mapped_column(server_default="")
    warn_below: Mapped[int] = mapped_column(Integer, server_default="0")
    """A warning goes out when fewer are left to sell; zero warns when the last is gone."""
    warn_days: Mapped[int] = mapped_column(Integer, server_default="0")
    """A warning goes out, too, when what is left lasts fewer days at the speed of late; zero leaves it at the count."""
    is_hot: Mapped[bool] = mapped_column(server_default="false")
    """Sold through the micro-batcher: for a flash sale, when many buyers want this one SKU at once."""
    floor_bp: Mapped[int | None] = mapped_column(Integer)
    """The least margin of its price, in basis points: below it nobody buys it, and no offer that leaves less is bought. None is no floor."""
    position: Mapped[int] = mapped_column(Integer, server_default="0")
    product: Mapped[Product] = relationship(lazy="raise", back_populates="skus")
    listing: Mapped[Listing] = relationship(lazy="raise", back_populates="sku", uselist=False)


class Listing(Row, TenantBase):
    """A SKU on sale in one storefront at a price, in minor units. `was_minor` is the struck-through price."""

    __tablename__ = "listing"
    __table_args__ = (
        UniqueConstraint("storefront_id", "sku_id"),
        CheckConstraint("price_minor > 0", name="price_positive"),
        CheckConstraint("was_minor > price_minor", name="was_above_price"),
        Index("ix_listing_sku", "sku_id"),
    )
    storefront_id: Mapped[UUID] = mapped_column(ForeignKey("storefront.id"))
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("sku.id"))
    price_minor: Mapped[int]
    was_minor: Mapped[int | None]
    currency: Mapped[str] = mapped_column(server_default="CNY")
    is_published: Mapped[bool] = mapped_column(server_default="true")
    """On the shelf; the product must be on sale too. The order function reads it again in its own transaction."""
    terms_version: Mapped[int] = mapped_column(Integer, server_default="1")
    """Grows with each change of the rules its price depends on; the order function compares it with what was quoted."""
    least_minor: Mapped[int | None]
    """The least unit price its SKU's cost and floor allow, kept by `app.pricing.floors`; the order function sells nothing below it."""
    least_rate: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    """Of a SKU sold by face value: the least price of 1 of value, which then stands for `least_minor`."""
    sku: Mapped[Sku] = relationship(lazy="raise", back_populates="listing")


class SalesChannel(TenantBase):
    """Where the merchant's goods are sold: his shop, or a place of his own that leads to it. Orders keep its code."""

    __tablename__ = "sales_channel"
    __table_args__ = (CheckConstraint("code ~ '^[a-z0-9][a-z0-9-]{1,31}$'", name="code_is_plain"),)
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    is_on: Mapped[bool] = mapped_column(server_default="true")
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class ChannelListing(TenantBase):
    """What differs of a SKU in one sales channel: its price, or that it is not sold there. Without a row it is sold as in the shop."""

    __tablename__ = "channel_listing"
    __table_args__ = (
        CheckConstraint("price_minor > 0", name="price_positive"),
        CheckConstraint("price_minor is not null or not is_sold", name="says_something"),
        Index("ix_channel_listing_sku", "sku_id"),
    )
    channel_code: Mapped[str] = mapped_column(ForeignKey("sales_channel.code"), primary_key=True)
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("sku.id"), primary_key=True)
    price_minor: Mapped[int | None]
    is_sold: Mapped[bool] = mapped_column(server_default="true")


class SkuRange(TenantBase):
    """The face values of a SKU that is sold by any of them: `app.catalog.values`. Its listing's price is that of the least."""

    __tablename__ = "sku_range"
    __table_args__ = (
        CheckConstraint("least_minor > 0", name="least_positive"),
        CheckConstraint("most_minor >= least_minor", name="most_from_least"),
        CheckConstraint("step_minor > 0", name="step_positive"),
        CheckConstraint("rate > 0 and rate < 'Infinity'", name="rate_positive"),
    )
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("sku.id"), primary_key=True)
    least_minor: Mapped[int]
    most_minor: Mapped[int]
    step_minor: Mapped[int]
    rate: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    """The price of 1 of value."""
    currency: Mapped[str] = mapped_column(server_default="CNY")
    """Of the values, not of the price."""

    @property
    def values(self) -> ValueRange:
        return ValueRange(self.least_minor, self.most_minor, self.step_minor, self.rate, self.currency)


class BundlePolicy(StrEnum):
    """What happens when a part of a bundle cannot be delivered: its share alone goes back, or everything not yet delivered does."""

    PARTIAL = "partial"
    WHOLE = "whole"


class Bundle(TenantBase):
    """What a SKU of kind `bundle` promises of its parts: they stand in `bundle_part`."""

    __tablename__ = "bundle"
    __table_args__ = (one_of("policy", BundlePolicy),)
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("sku.id"), primary_key=True)
    policy: Mapped[str] = mapped_column(server_default=BundlePolicy.PARTIAL)


class BundlePart(TenantBase):
    """So many units of another SKU in one bundle. A part is never a bundle or a subscription itself."""

    __tablename__ = "bundle_part"
    __table_args__ = (
        CheckConstraint("quantity between 1 and 20", name="quantity_bounded"),
        CheckConstraint("bundle_sku_id <> sku_id", name="not_of_itself"),
        Index("ix_bundle_part_sku", "sku_id"),
    )
    bundle_sku_id: Mapped[UUID] = mapped_column(ForeignKey("bundle.sku_id"), primary_key=True)
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("sku.id"), primary_key=True)
    quantity: Mapped[int] = mapped_column(Integer)
    position: Mapped[int] = mapped_column(Integer, server_default="0")


class CycleUnit(StrEnum):
    """What the cycles of a subscription are counted in."""

    DAY = "day"
    MONTH = "month"


class SubscriptionPlan(TenantBase):
    """What a SKU of kind `subscription` delivers each cycle, how long a cycle is, and how many of them its price pays for."""

    __tablename__ = "subscription_plan"
    __table_args__ = (
        one_of("cycle_unit", CycleUnit),
        CheckConstraint("quantity between 1 and 20", name="quantity_bounded"),
        CheckConstraint("cycle_length between 1 and 366", name="length_bounded"),
        CheckConstraint("cycles between 1 and 36", name="cycles_bounded"),
        CheckConstraint("grace_days between 0 and 60", name="grace_bounded"),
        CheckConstraint("sku_id <> delivers_sku_id", name="not_of_itself"),
    )
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("sku.id"), primary_key=True)
    delivers_sku_id: Mapped[UUID] = mapped_column(ForeignKey("sku.id"))
    quantity: Mapped[int] = mapped_column(Integer)
    cycle_unit: Mapped[str]
    cycle_length: Mapped[int] = mapped_column(Integer)
    cycles: Mapped[int] = mapped_column(Integer)
    grace_days: Mapped[int] = mapped_column(Integer)
    """How long after what is paid for its buyer may still renew it."""


class PriceChange(Row, TenantBase):
    """One change of a listing's price: from, to, who."""

    __tablename__ = "price_change"
    listing_id: Mapped[UUID] = mapped_column(ForeignKey("listing.id"), index=True)
    from_minor: Mapped[int | None]
    to_minor: Mapped[int]
    actor_name: Mapped[str]
