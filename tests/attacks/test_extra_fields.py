"""Fields no form of ours has: every column of every table, sent along with each form. What is saved is what would be saved without them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from app.access.models import MemberRole
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx
from tests.attacks.merchant import Merchant, merchant
from tests.attacks.routes import Route
from tests.attacks.visitors import Caller, member
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.case("H18")]
HOSTILE = {
    "state": "paid", "role": "owner", "is_operator": "true", "is_email_verified": "true", "currency": "XXX", "kind": "manual",
    "email": "taken@evil.example", "slug": "taken-over", "schema_name": "public", "role_name": "quanyi_platform", "unit_no": "99",
    "password_hash": "x", "totp_secret": "x", "paid_at": "2026-01-01T00:00:00Z", "expires_at": "2099-01-01T00:00:00Z",
}  # fmt: skip
"""What a column is sent as; ids are another's, every other one `1`."""
PRODUCT = {
    "name": "Marlin Music", "kind": "card_key", "summary": "", "cover_icon": "music", "cover_hue": "2", "buyer_limit": "", "category": "",
    "sku-0-name": "Year", "sku-0-price": "99.00",
}  # fmt: skip
M = "/m/{tenant_slug}"
FORMS: dict[str, tuple[str, dict[str, str]]] = {
    f"{M}/products": ("product sku listing price_change stock", PRODUCT),
    f"{M}/products/{{product_id}}": ("product sku listing price_change stock", PRODUCT | {"sku-0-id": "{sku_id}"}),
    f"{M}/categories": ("category", {"name": "Music"}),
    f"{M}/categories/{{category_id}}": ("category", {"name-{category_id}": "Film"}),
    f"{M}/orders/{{order_no}}/notes": ("shop_order", {"note": "asked by phone"}),
    f"{M}/order-views": ("order_view", {"name": "Mine", "query": "state=paid", "is_shared": "no"}),
    f"{M}/order-views/{{view_id}}": ("order_view", {"name": "Renamed", "is_shared": "no"}),
    f"{M}/settings": (
        "storefront", {"name": "Marlin", "brand_color": "#9a3b1b", "contact_rule": "either", "tagline": "t", "support_contact": "s", "notice": "n", "mails_keys": "no"},
    ),
    f"{M}/card-pools/{{sku_id}}/imports": ("import_batch", {"keys": "NEW-KEY-0001", "unit_cost": "1.00", "expires_on": ""}),
    f"{M}/card-keys/{{card_key_id}}/void": ("stock import_batch", {"reason": "damaged"}),
    f"{M}/orders/{{order_no}}/refunds": ("shop_order refund delivery_unit", {"stated_minor": "1990", "reason": "asked for it"}),
    f"{M}/team/invitations": ("one_time_link", {"email": "new@nanzhi.example", "role": "read_only"}),
    f"{M}/team/members/{{user_id}}/role": ("membership", {"role": "operator"}),
    "/s/checkout": ("shop_order order_line delivery_unit stock", {"quantity": "1", "contact": "13800132048", "listing": "{listing}"}),
}  # fmt: skip
"""By address: the tables a form writes, and what it holds."""
VOLATILE = ("uuid", "timestamp with time zone", "bytea")
DRAWN = frozenset(
    {
        "idempotency_key",
        "pos",
        "order_no",
        "batch_no",
        "refund_no",
        "request_key",
        "slug",
        "dedupe",
        "hash",
        "prev_hash",
        "invited_by",
        "created_by",
        "mark",
    }
)
"""Columns that differ between any two rows."""


async def columns(tenant: Tenant) -> dict[str, list[tuple[str, str]]]:
    """Every column of a tenant's tables and of the platform's, with its type, by table."""
    found: dict[str, list[tuple[str, str]]] = {}
    for home in (tenant, PLATFORM):
        async with tenant_tx(home) as tx:
            rows = await tx.fetch(
                "select table_name, column_name, data_type from information_schema.columns where table_schema = current_schema() order by 1, 2"
            )
        for row in rows:
            found.setdefault(row["table_name"], []).append((row["column_name"], row["data_type"]))
    return found


async def extra(tenant: Tenant, form: dict[str, str]) -> dict[str, str]:
    """Every column's name that is no field of the form, with something one would like to see in it."""
    names = {name: kind for table in (await columns(tenant)).values() for name, kind in table if name not in form}
    assert len(names) > 100
    return {name: HOSTILE.get(name, str(uuid4()) if kind == "uuid" else "1") for name, kind in list(names.items())[:350]}


async def saved(shop: Merchant, tables: str) -> dict[str, list[str]]:
    """What stands in the tables, but for ids, instants and what is drawn or sealed."""
    known, found = await columns(shop.tenant), {}
    for table in tables.split():
        kept = [name for name, kind in known[table] if kind not in VOLATILE and name not in DRAWN]
        home = PLATFORM if table in ("one_time_link", "membership") else shop.tenant
        only = " where tenant_id = $1" if home is PLATFORM else ""
        async with tenant_tx(home) as tx:
            rows = await tx.fetch(f"select {', '.join(kept)} from {table}{only}", *([shop.tenant.id] if only else []))
        found[table] = sorted(_plain(dict(row), shop) for row in rows)
    return found


def _plain(row: dict[str, Any], shop: Merchant) -> str:
    text = str(row)
    for value in [*shop.ids.values(), shop.tenant.slug, shop.tenant.schema]:
        text = text.replace(str(value), "@") if len(str(value)) > 3 else text
    return text


async def send(who: Caller, shop: Merchant, path: str, form: dict[str, str]) -> int:
    ids = {**shop.ids, "listing": shop.listing_id}
    filled = {name.format(**ids): text.format(**ids) if text.startswith("{") else text for name, text in form.items()}
    key = {"request_id": "0123456789abcdef0123"} if path.startswith("/s/") else {}
    return (await who.ask(Route("POST", path), ids, {**filled, **key})).status_code


async def test_columns_sent_along_change_nothing_of_what_a_form_saves(world: World) -> None:
    """Two merchants alike; one is sent each form, the other each form and every column. The same is saved for both."""
    plain, hostile = [await merchant(world, await world.new_tenant("Twin")) for _ in range(2)]
    for path, (tables, form) in FORMS.items():
        more = await extra(hostile.tenant, form)
        if "sku-0-name" in form:
            more |= {f"sku-0-{name}": "1" for name in ("state", "cost", "listing_id", "product_id", "available", "is_published")}
        for shop, sent in ((plain, form), (hostile, {**more, **form})):
            who = Caller(world, shop.tenant) if path.startswith("/s/") else Caller(world, shop.tenant, shop.owner.id)
            assert await send(who, shop, path, sent) == 303, path
        assert await saved(hostile, tables) == await saved(plain, tables), path


@pytest.mark.parametrize(
    ("path", "form"),
    [("/me", {"name": "Chen Yu", "locale": "en"}), ("/sign-up", {}), ("/me/security/sessions/end-others", {})],
)
async def test_nobody_makes_himself_more_than_he_is(world: World, path: str, form: dict[str, str]) -> None:
    who = await member(world, world.tenant, MemberRole.READ_ONLY)
    if path == "/sign-up":
        form = {
            "shop_name": "Twin",
            "slug": f"twin-{uuid4().hex[:8]}",
            "email": f"{uuid4().hex[:8]}@nanzhi.example",
            "password": "four green lamps hum",
        }
    answer = await who.ask(
        Route("POST", path), {}, {**await extra(world.tenant, form), **form, "is_operator": "true", "role": "owner"}
    )
    assert answer.status_code == 303
    async with tenant_tx(PLATFORM) as tx:
        assert not await tx.fetchval("select is_operator from app_user where id = $1", who.user_id)
        assert await tx.fetchval("select role from membership where user_id = $1", who.user_id) == MemberRole.READ_ONLY
        if path == "/sign-up":
            made = await tx.fetchrow(
                "select is_operator, email_verified_at, totp_confirmed_at from app_user where email = $1", form["email"]
            )
            assert tuple(made or ()) == (False, None, None)
