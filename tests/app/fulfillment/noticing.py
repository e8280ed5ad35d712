"""A company that tells of purchases by itself, connected to a world's merchant, and messages written in its own words and signature."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from app.kernel.ids import new_id
from app.suppliers import service as suppliers
from app.suppliers.connectors.port import CatalogItem
from app.suppliers.models import ConnectionMode
from app.suppliers.service import ConnectionTerms, SupplierTerms
from app.suppliers.syncing import _keep
from tenants.directory import Tenant
from tenants.session import tenant_session, tenant_tx
from tests.app.fulfillment.supply import GOODS, Source
from tests.app.suppliers.connectors.mainland.companies import completed
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

PROTOCOL = "family_962699"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PROCESSING, SUCCEEDED, FAILED = "1", "2", "3"
"""What its messages call the states of a purchase."""
_SIGNED = {
    "encoding": "form",
    "signing": {
        "over": "pairs",
        "pairs": {"of": ["body"], "after": "{settings.app_key}"},
        "hash": "md5",
        "put": {"where": "field", "name": "sign"},
    },
    "acknowledge": {"text": "success"},
}
GOODS_NOTICE = {
    **_SIGNED,
    "supplier_sku": "/productId",
    "unit_cost": "/price",
    "stock": "/stock",
    "on_sale": "/state",
    "on_sale_values": ["1"],
    "told_at": "/time",
}
USE_NOTICE = {
    **_SIGNED,
    "out_no": "/customerOrderNo",
    "supplier_ref": "/orderNo",
    "event": ["/useId", "/event"],
    "state": "/event",
    "used_values": ["used"],
    "taken_back_values": ["void"],
    "used_at": "/time",
    "place": "/shop",
}
"""How its messages of goods and of uses read, for its recipe."""


@dataclass(frozen=True, slots=True)
class Teller(Source):
    """A connection to such a company: its messages are signed with `key`."""

    tenant: Tenant
    key: str

    def message(self, out_no: str, state: str, *, ref: str = "", key: str = "") -> bytes:
        """What the company would send of a purchase; `ref` is its own number. Another `key` forges it."""
        fields = {"customerOrderNo": out_no, "orderNo": ref or f"R{out_no}", "status": state}
        return signed(fields, key or self.key)

    async def hear(
        self, world: World, body: bytes, *, about: str = "", connection_id: UUID | None = None, tenant: Tenant | None = None
    ) -> int:
        """Send bytes to this connection's address for notices, or to another's; the status of our answer. `about`: of what kind, as the path names it."""
        path = f"/hooks/{(tenant or self.tenant).slug}/supply/{connection_id or self.connection_id}{about and '/' + about}"
        async with world.client("app") as browser:
            answer = await browser.post(path, content=body, headers=FORM)
        return answer.status_code


def signed(fields: dict[str, str], key: str) -> bytes:
    """A form, signed as that company does."""
    pairs = "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if value != "")
    return urlencode({**fields, "sign": hashlib.md5((pairs + key).encode(), usedforsecurity=False).hexdigest()}).encode()


async def teller(
    world: World, company: SupplierSimulator, *, tenant: Tenant | None = None, cost: str = "10", **recipe: Any
) -> Teller:
    """Connect a merchant to the company, switched on, with its one item known. `recipe`: what its recipe says beside the preset's."""
    chosen, label = tenant or world.tenant, f"Platform {new_id().hex[-6:]}"
    company.goods({"sku": GOODS, "kind": "card", "cost": cost})
    credentials = company.client(balance="100000", currency="CNY")
    written = "\n".join(f"{name} = {value}" for name, value in credentials.items())
    settings = {"recipe": json.dumps(completed(PROTOCOL) | recipe), "credentials": written, "base_url": company.url}
    async with tenant_session(chosen) as session:
        supplier = await suppliers.add_supplier(session, SupplierTerms(label), actor=STAFF)
        terms = ConnectionTerms("declarative", label, settings, ConnectionMode.LIVE, Decimal(500), 20)
        connection = await suppliers.connect(session, supplier.id, terms, actor=STAFF)
    async with tenant_tx(chosen) as tx:
        await tx.execute("update supplier_connection set is_on = true, tested_at = now() where id = $1", connection.id)
        await _keep(tx, connection.id, [CatalogItem(GOODS, "Month", "card_key", Decimal(cost), "CNY")])
        offer_id = await tx.fetchval("select id from supplier_offer where connection_id = $1", connection.id)
    return Teller(company, connection.id, offer_id, chosen, credentials["app_key"])
