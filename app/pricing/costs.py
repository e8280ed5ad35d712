"""What a unit of a SKU costs us, as far as it is known before it is delivered."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from app.kernel.money import CNY
from tenants.session import Tx


async def costs_of(tx: Tx, sku_ids: Sequence[UUID]) -> dict[UUID, Decimal]:
    """Unit costs in major units of the shop's currency, at rates that are good and to be safe; a SKU whose cost nobody knows is left out.

    One sold by face value costs what its least value does.

    The dearest batch that has free keys, because any of them may be handed out next; without keys the cheapest offer on its route that is on
    sale; nothing for what we mint ourselves.
    """
    return {row["sku_id"]: row["unit_cost"] for row in await tx.fetch(_COSTS, list(sku_ids), CNY) if row["unit_cost"] is not None}


_COSTS = """
select k.id as sku_id, case when p.delivery_kind in ('voucher', 'serial') then 0 else coalesce(own.unit_cost, offered.unit_cost) end as unit_cost
from sku k
join product p on p.id = k.product_id
left join sku_range v on v.sku_id = k.id
left join lateral (
  select max(b.unit_cost) as unit_cost from import_batch b
  where b.sku_id = k.id and exists (select 1 from card_key c where c.batch_id = b.id and c.state = 'free')
) own on true
left join lateral (
  select min(coalesce(x.safe, 1) * case
    when v.sku_id is null and o.least_minor is null then o.unit_cost
    when v.sku_id is null then o.unit_cost * k.face_value_minor / 100
    when o.least_minor is null then o.unit_cost * v.least_minor / o.face_value_minor
    else o.unit_cost * v.least_minor / 100
  end) as unit_cost
  from route_offer r join supplier_offer o on o.id = r.offer_id join supplier_connection n on n.id = o.connection_id
  left join lateral (
    select case when valid_until > now() then rate * (10000 + safety_bp) / 10000 end as safe from exchange_rate
    where currency = o.currency and valid_from <= now() order by valid_from desc, id desc limit 1
  ) x on true
  where r.sku_id = k.id and o.is_on_sale and n.is_on and (o.currency = $2 or x.safe is not null)
) offered on true
where k.id = any($1)
"""
