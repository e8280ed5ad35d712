"""How many units of something one buyer may order within some hours, while a rule says so: looked at when his order is placed."""

from __future__ import annotations

from collections.abc import Sequence

from app.kernel.errors import N_, DomainError
from app.ordering.rules import Capped
from tenants.session import Tx


class OverCap(DomainError):
    message = N_(
        "For now one buyer may order %(most)s of %(name)s within %(hours)s hours. You may still order %(left)s. Nothing was ordered."
    )


class CapReached(OverCap):
    message = N_(
        "For now one buyer may order %(most)s of %(name)s within %(hours)s hours, and you have ordered them. Nothing was ordered; come back later."
    )


async def admit(tx: Tx, contact_fingerprint: bytes, capped: Sequence[Capped], *, key: str) -> None:
    """Let a buyer's order be placed, unless it takes him over a cap; the order that stands under this key does not count against itself.

    Locks: the buyer, as placing does, so that his orders are counted one after another. Raises: OverCap.
    """
    await tx.execute(_ONE_AFTER_ANOTHER, contact_fingerprint)
    for one in sorted(capped, key=lambda one: one.cap.rule_id):
        cap = one.cap
        had = await tx.fetchval(_HAD, contact_fingerprint, key, cap.within_hours, cap.since, one.product_id, cap.sku_id)
        if had + one.asked > cap.most_units:
            left = max(0, cap.most_units - had)
            refusal = OverCap if left else CapReached
            raise refusal(most=cap.most_units, name=one.name, hours=cap.within_hours, left=left)


_ONE_AFTER_ANOTHER = "select pg_advisory_xact_lock(hashtextextended(current_schema() || encode($1, 'hex'), 0))"
_HAD = """
select coalesce(sum(l.quantity), 0)::int
from shop_order o join order_line l on l.order_id = o.id
where o.contact_fingerprint = $1 and o.idempotency_key <> $2 and o.placed_at > now() - make_interval(hours => $3)
  and ($4::timestamptz is null or o.placed_at >= $4) and o.state not in ('cancelled', 'expired', 'refunded')
  and l.parent_line_id is null and l.product_id = $5 and ($6::uuid is null or l.sku_id = $6)
"""
