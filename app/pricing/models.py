"""Tables of price rules."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Row, TenantBase, one_of
from app.pricing.rules import Audience, Effect


class PriceRule(Row, TenantBase):
    """What a product's or SKU's units cost where the rule applies. Never deleted: order lines name the rule and the version that priced them.

    `value` is read by `effect`: a unit price or a change in minor units, or a change in basis points. `version` grows with each change.
    """

    __tablename__ = "price_rule"
    __table_args__ = (
        one_of("effect", Effect),
        one_of("audience", Audience),
        CheckConstraint("least_quantity between 1 and 100", name="least_quantity_bounded"),
        CheckConstraint("(audience = 'level') = (level_id is not null)", name="level_of_its_audience"),
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
        CheckConstraint("stock_below > 0", name="stock_below_positive"),
        CheckConstraint("effect <> 'unit_price' or value > 0", name="unit_price_positive"),
        CheckConstraint("effect <> 'share' or value between -9900 and 100000", name="share_bounded"),
        CheckConstraint("most_units between 1 and 10000", name="most_units_bounded"),
        CheckConstraint("within_hours between 1 and 8760", name="within_hours_bounded"),
        CheckConstraint("(most_units is null) = (within_hours is null)", name="units_within_a_time"),
        CheckConstraint("effect <> 'none' or (value = 0 and most_units is not null)", name="does_something"),
        Index("ix_price_rule_product", "product_id"),
    )
    product_id: Mapped[UUID] = mapped_column(ForeignKey("product.id"))
    sku_id: Mapped[UUID | None] = mapped_column(ForeignKey("sku.id"))
    """The SKU it is for; None for every SKU of the product."""
    least_quantity: Mapped[int] = mapped_column(Integer, server_default="1")
    audience: Mapped[str] = mapped_column(server_default=Audience.EVERYONE)
    level_id: Mapped[UUID | None] = mapped_column(ForeignKey("buyer_level.id"))
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    """The first instant it no longer applies."""
    stock_below: Mapped[int | None] = mapped_column(Integer)
    """It applies while fewer than so many can be sold."""
    effect: Mapped[str]
    value: Mapped[int]
    priority: Mapped[int] = mapped_column(Integer, server_default="0")
    most_units: Mapped[int | None] = mapped_column(Integer)
    """So many units may one buyer order within `within_hours` while it applies."""
    within_hours: Mapped[int | None] = mapped_column(Integer)
    is_on: Mapped[bool] = mapped_column(server_default="true")
    version: Mapped[int] = mapped_column(Integer, server_default="1")
