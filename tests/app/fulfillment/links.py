"""Links on sale, with what they open."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.catalog import contents
from app.catalog import service as catalog
from app.catalog.minting import MintingRules
from app.catalog.models import DeliveryKind, Product
from app.inventory import service as inventory
from app.kernel.vault import keyring
from app.ordering.placing import Placed
from app.storefront.contents import path_of
from app.storefront.shelf import forget_shelf
from tenants.directory import Tenant
from tenants.session import tenant_session, tenant_tx
from tests.world import STAFF, World

ADDRESS = "https://school.example/course?key={token}"


async def link(
    world: World,
    *,
    address: str = "",
    files: Sequence[bytes] = (),
    rules: MintingRules | None = None,
    tenant: Tenant | None = None,
) -> Product:
    """A link on sale that opens an address, or files of these bytes."""
    chosen = tenant or world.tenant
    product = await world.product(delivery_kind=DeliveryKind.LINK, name="Night School", on_sale=False, tenant=chosen)
    async with tenant_session(chosen) as session:
        await contents.set_content(session, product.id, address=address, rules=rules or MintingRules(most_uses=3), actor=STAFF)
        for number, body in enumerate(files, start=1):
            await contents.add_file(session, product.id, named=f"lesson {number}.bin", body=body, actor=STAFF)
        await catalog.publish(session, product.id, actor=STAFF)
    async with tenant_tx(chosen) as tx:
        await inventory.allow(tx, sku_id=product.skus[0].id, units=1000)
    forget_shelf(chosen)
    return product


async def bought_link(world: World, placed: Placed, *, tenant: Tenant | None = None) -> tuple[UUID, str]:
    """The first unit of a delivered order: its id, and the path of its page in the shop."""
    async with tenant_tx(tenant or world.tenant) as tx:
        minted_id = await tx.fetchval(
            "select m.id from minted_good m join order_line l on l.id = m.order_line_id where l.order_id = $1 order by m.unit_no",
            placed.id,
        )
        return minted_id, path_of(await keyring(tx), minted_id)
