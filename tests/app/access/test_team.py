"""The team: inviting, joining, roles, removing; and the gates every merchant page stands behind."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from uuid import UUID

import pytest

from app.access import team
from app.access.models import MemberRole
from app.access.permissions import ALLOWED, Permission, allows
from app.access.team import LastOwner
from app.kernel import audit
from app.kernel.actor import Actor, ActorKind
from app.kernel.ids import new_id
from tenants.directory import PLATFORM, TenantState
from tenants.operating import set_state
from tenants.session import Tx, tenant_tx
from tests.app.access.people import PASSWORD, STAFF, Person, browser, link_in, log_in, mails, member, new_email, person, send
from tests.world import World

pytestmark = [pytest.mark.anyio]
OWNER = Actor(ActorKind.STAFF, UUID(int=1), "Zhou")


def page(world: World, path: str = "") -> str:
    return f"/m/{world.tenant.slug}/team{path}"


async def role_of(world: World, who: Person) -> str | None:
    async with tenant_tx(PLATFORM) as tx:
        found: str | None = await tx.fetchval(
            "select role from membership where tenant_id = $1 and user_id = $2 and ended_at is null", world.tenant.id, who.id
        )
    return found


async def invited(world: World, client: object, role: MemberRole = MemberRole.SUPPORT, email: str = "") -> tuple[str, str]:
    """Somebody's invitation: his address and the link's path."""
    address = email or new_email()
    answer = await send(client, page(world, "/invitations"), page=page(world), email=address, role=role)  # type: ignore[arg-type]
    assert answer.status_code == 303
    return address, next(link_in(mail) for mail in await mails(world, address) if "/invitations/" in mail)


# Inviting and joining


async def test_a_stranger_joins_with_an_account_of_his_own(world: World) -> None:
    _, owner = await member(world)
    email, path = await invited(world, owner)
    assert email in (await owner.get(page(world))).text
    client = browser(world)
    text = (await client.get(path)).text
    assert world.tenant.name in text
    assert "Support" in text
    refused = await send(client, path, name="", password="tiny#one")
    assert (refused.status_code, refused.text.count('-error"><svg')) == (422, 2)
    answer = await send(client, path, name="Lin", password=PASSWORD, role="owner", tenant_id=str(new_id()))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/m/{world.tenant.slug}")
    async with tenant_tx(PLATFORM) as tx:
        row = await tx.fetchrow(
            "select m.role, u.email_verified_at from membership m join app_user u on u.id = m.user_id where u.email = $1", email
        )
    assert row is not None
    assert row["role"] == "support"
    assert row["email_verified_at"] is not None
    assert (await client.get(path)).status_code == 410
    actions = [
        row["action"] for row in await world.rows("select action from audit_entry where action like 'team.%' order by seq")
    ]
    assert actions == ["team.invited", "team.joined"]


async def test_somebody_with_an_account_joins_with_it(world: World) -> None:
    _, owner = await member(world)
    who = await person()
    _, path = await invited(world, owner, MemberRole.OPERATOR, who.email)
    stranger = browser(world)
    assert f"/log-in?next={path}" in (await stranger.get(path)).text
    assert (await send(stranger, path, name="x", password=PASSWORD)).status_code == 403
    client = await log_in(world, who)
    assert (await send(client, path)).status_code == 303
    assert await role_of(world, who) == "operator"


async def test_an_invitation_is_for_its_own_address(world: World) -> None:
    _, owner = await member(world)
    _, path = await invited(world, owner)
    other = await person()
    client = await log_in(world, other)
    assert "for another address" in (await client.get(path)).text
    assert (await send(client, path)).status_code == 403
    assert await role_of(world, other) is None
    assert (await browser(world).get(path)).status_code == 200, "a refused use does not burn it"


async def test_a_withdrawn_or_replaced_invitation_is_over(world: World) -> None:
    _, owner = await member(world)
    email, first = await invited(world, owner)
    await send(owner, page(world, "/invitations"), page=page(world), email=email, role="operator")
    assert (await browser(world).get(first)).status_code == 410
    invitation = re.search(r"/invitations/([0-9a-f-]{36})/withdrawal", (await owner.get(page(world))).text)
    assert invitation
    for _ in range(2):
        assert (await send(owner, page(world, f"/invitations/{invitation[1]}/withdrawal"), page=page(world))).status_code == 303
    assert "withdrawal" not in (await owner.get(page(world))).text


async def test_an_invitation_is_used_once_by_twenty_at_once(world: World) -> None:
    _, owner = await member(world)
    email, path = await invited(world, owner)
    invitation = path.rpartition("/")[2]

    async def one(n: int) -> str:
        try:
            await team.join_anew(world.tenant, invitation, name=f"n{n}", password=PASSWORD, locale="en")
        except Exception as refusal:
            return type(refusal).__name__
        return "joined"

    outcomes = [outcome for start in (0, 4) for outcome in await asyncio.gather(*(one(n) for n in range(start, start + 4)))]
    assert sorted(outcomes) == ["LinkOver"] * 7 + ["joined"]
    async with tenant_tx(PLATFORM) as tx:
        assert await tx.fetchval("select count(*) from app_user where email = $1", email) == 1


@pytest.mark.parametrize(("email", "role", "faults"), [("nobody", "king", 2), ("", "", 2), ("a@b.example", "OWNER", 1)])
async def test_a_wrong_invitation_says_what_is_wrong(world: World, email: str, role: str, faults: int) -> None:
    _, owner = await member(world)
    answer = await send(owner, page(world, "/invitations"), page=page(world), email=email, role=role)
    assert answer.status_code == 422
    assert answer.text.count('-error"><svg') == faults


async def test_a_member_is_not_invited_again(world: World) -> None:
    who, owner = await member(world)
    answer = await send(owner, page(world, "/invitations"), page=page(world), email=who.email, role="support")
    assert answer.status_code == 422
    assert "in the team already" in answer.text


# Roles and removing


@pytest.mark.case("H06")
async def test_a_changed_role_counts_at_once_and_ends_the_log_ins(world: World) -> None:
    _, owner = await member(world)
    who, client = await member(world, MemberRole.OWNER)
    old = client.cookies[STAFF]
    answer = await send(owner, page(world, f"/members/{who.id}/role"), page=page(world), role="support")
    assert answer.status_code == 303
    assert (await client.get(page(world))).status_code == 303
    assert (await browser(world).get("/me", headers={"cookie": f"{STAFF}={old}"})).status_code == 303
    assert (await (await log_in(world, who)).get(page(world))).status_code == 403
    entry = (await world.rows("select * from audit_entry where action = 'team.role_changed'"))[0]
    assert json.loads(entry["facts"]) == {"tenant": world.tenant.slug, "from": "owner", "to": "support"}


async def test_whoever_steps_down_himself_goes_on_with_a_new_session(world: World) -> None:
    await member(world)
    who, client = await member(world)
    old = client.cookies[STAFF]
    answer = await send(client, page(world, f"/members/{who.id}/role"), page=page(world), role="operator")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert client.cookies[STAFF] != old
    assert (await client.get(page(world))).status_code == 403
    assert (await client.get("/me")).status_code == 200


@pytest.mark.case("H06")
async def test_a_removed_member_is_out_at_once(world: World) -> None:
    _, owner = await member(world)
    who, client = await member(world, MemberRole.OWNER)
    assert (await client.get(page(world))).status_code == 200
    question = page(world, f"/members/{who.id}/removal")
    assert "<html" in (await owner.get(question)).text
    part = (await owner.get(question, headers={"hx-request": "true", "hx-request-type": "partial"})).text
    assert "<html" not in part
    assert who.email in part
    assert (await owner.get(page(world, f"/members/{new_id()}/removal"))).status_code == 404
    assert (await send(owner, question, page=page(world))).status_code == 303
    assert (await client.get(page(world))).status_code == 303
    assert (await (await log_in(world, who)).get(page(world))).status_code == 404
    again = await send(owner, page(world, f"/members/{who.id}/removal"), page=page(world))
    assert again.status_code == 404


async def test_a_shop_keeps_an_owner(world: World) -> None:
    who, client = await member(world)
    for path, fields in ((f"/members/{who.id}/role", {"role": "support"}), (f"/members/{who.id}/removal", {})):
        answer = await send(client, page(world, path), page=page(world), **fields)
        assert answer.status_code == 409
        assert "at least one owner" in answer.text
    assert await role_of(world, who) == "owner"


async def _count_then_remove(tx: Tx, tenant_id: UUID, who: Person) -> None:
    """The obvious, wrong way: count, and then act, with nothing locked."""
    owners = await tx.fetchval(
        "select count(*) from membership where tenant_id = $1 and role = 'owner' and ended_at is null", tenant_id
    )
    await asyncio.sleep(0.05)
    if owners > 1:
        await tx.execute("update membership set ended_at = now() where tenant_id = $1 and user_id = $2", tenant_id, who.id)


@pytest.mark.parametrize("way", ["ours", "count then remove"])
async def test_owners_who_remove_each_other_at_once_leave_one(world: World, way: str) -> None:
    """The second way is the red control: the same race leaves nobody there."""
    owners = [await person(world.tenant) for _ in range(3)]

    async def out(who: Person) -> None:
        if way == "ours":
            try:
                await team.remove(world.tenant, who.id, actor=OWNER)
            except LastOwner:
                return
        else:
            async with tenant_tx(PLATFORM) as tx:
                await _count_then_remove(tx, world.tenant.id, who)

    await asyncio.gather(*(out(who) for who in owners))
    left = [role for who in owners if (role := await role_of(world, who))]
    assert len(left) == (1 if way == "ours" else 0)


async def test_if_the_audit_entry_cannot_be_written_nothing_happens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await member(world)
    who, _ = await member(world, MemberRole.SUPPORT)
    real, broken_home = audit.record, world.tenant

    async def broken(tx: Tx, *args: object, **more: object) -> None:
        if tx.tenant == broken_home:
            raise RuntimeError("disk full")
        await real(tx, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(audit, "record", broken)
    for home in (world.tenant, PLATFORM):
        broken_home = home
        with pytest.raises(RuntimeError, match="disk full"):
            await team.change_role(world.tenant, who.id, MemberRole.OWNER, actor=OWNER, keep_session=None)
    assert await role_of(world, who) == "support"
    assert not await world.value("select exists (select 1 from audit_entry where action = 'team.role_changed')")


# The gates


@pytest.mark.case("G01")
@pytest.mark.parametrize("role", list(MemberRole))
async def test_a_role_opens_what_the_table_says_and_the_menu_shows_no_more(world: World, role: MemberRole) -> None:
    who, client = await member(world, role)
    home = f"/m/{world.tenant.slug}"
    answer = await client.get(page(world))
    assert answer.status_code == (200 if allows(role, Permission.TEAM_VIEW) else 403)
    nav = re.search(r'<aside class="sidebar".*?</aside>', answer.text, re.S)
    assert nav
    shown = {
        "/team": Permission.TEAM_VIEW, "/audit": Permission.AUDIT_VIEW, "/orders": Permission.ORDERS_VIEW, "/products": Permission.CATALOG_VIEW,
        "/card-pools": Permission.INVENTORY_VIEW, "/suppliers": Permission.SUPPLY_VIEW, "/settings": Permission.SETTINGS_VIEW,
    }  # fmt: skip
    for path, permission in shown.items():
        assert (f'href="{home}{path}"' in nav[0]) is (permission in ALLOWED[role]), path
    finds_payments_by_a_tab = Permission.SETTINGS_VIEW in ALLOWED[role]
    wanted = Permission.PAYMENTS_VIEW in ALLOWED[role] and not finds_payments_by_a_tab
    assert (f'href="{home}/settings/payments"' in nav[0]) is wanted
    assert nav[0].count("<li>") <= 8
    palette = re.search(r'<dialog class="palette".*?</dialog>', answer.text, re.S)
    assert palette
    assert ("New product" in palette[0]) is allows(role, Permission.CATALOG_EDIT)
    assert ("新建商品" in palette[0]) is allows(role, Permission.CATALOG_EDIT)
    other, _ = await member(world, MemberRole.READ_ONLY)
    for path, fields in (
        ("/invitations", {"email": new_email(), "role": "owner"}),
        (f"/members/{other.id}/role", {"role": "owner"}),
        (f"/members/{other.id}/removal", {}),
    ):
        sent = await send(client, page(world, path), page="/me", **fields)
        assert sent.status_code == (303 if allows(role, Permission.TEAM_EDIT) else 403), path
        if not allows(role, Permission.TEAM_EDIT):
            assert await role_of(world, other) == "read_only"
    assert await role_of(world, who) == role


def test_nobody_both_makes_and_checks_payouts() -> None:
    assert not any({Permission.PAYOUTS_MAKE, Permission.PAYOUTS_CHECK} <= rights for rights in ALLOWED.values())
    assert set(ALLOWED) == set(MemberRole)


async def test_another_tenants_pages_are_not_there(world: World) -> None:
    other = await world.new_tenant("Other", with_gateway=False)
    _, client = await member(world)
    theirs, _ = await member(world, tenant=other)
    never = f"/m/never-{secrets.token_hex(4)}/team"
    foreign = await client.get(f"/m/{other.slug}/team")
    nobody = await client.get(never)
    assert (foreign.status_code, nobody.status_code) == (404, 404)
    scrub = re.compile(r'<span class="mono">\w+</span>|\?lang=\w+|href="/m/[^"]*"')
    assert scrub.sub("", foreign.text).replace(f"/m/{other.slug}", "") == scrub.sub("", nobody.text).replace(
        never.rpartition("/")[0], ""
    )
    for path in (f"/members/{theirs.id}/role", f"/members/{theirs.id}/removal", f"/members/{new_id()}/removal"):
        assert (await send(client, page(world, path), page="/me", role="support")).status_code == 404
    async with tenant_tx(PLATFORM) as tx:
        assert await tx.fetchval("select role from membership where user_id = $1", theirs.id) == "owner"
        made = await tx.fetchval("select id from one_time_link where tenant_id = $1", other.id)
    assert made is None
    assert (await send(client, page(world, f"/invitations/{new_id()}/withdrawal"), page="/me")).status_code == 404


async def test_a_suspended_tenants_staff_still_work_and_a_closed_ones_do_not(world: World) -> None:
    _, client = await member(world)
    async with tenant_tx(PLATFORM) as tx:
        await set_state(tx, world.tenant, TenantState.SUSPENDED, reason="test")
    assert (await client.get(page(world))).status_code == 200
    async with tenant_tx(PLATFORM) as tx:
        await set_state(tx, world.tenant, TenantState.CLOSED, reason="test")
    assert (await client.get(page(world))).status_code == 403


async def test_an_operator_who_looks_reads_only_and_is_in_both_audit_chains(world: World) -> None:
    await member(world)
    who = await person(is_operator=True)
    client = await log_in(world, who)
    assert (await client.get(page(world))).status_code == 404
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("update app_user set totp_confirmed_at = now() where id = $1", who.id)
        await tx.execute(
            "update user_session set viewing_tenant_id = $2, viewing_reason = 'ticket 7', viewing_until = now() + interval '1 hour' "
            "where user_id = $1",
            who.id,
            world.tenant.id,
        )
    answer = await client.get(page(world))
    assert answer.status_code == 200
    assert "Each page you open is recorded." in answer.text
    assert 'action="/view/end"' in answer.text
    assert "/team/invitations" not in answer.text
    sent = await send(client, page(world, "/invitations"), page=page(world), email=new_email(), role="owner")
    assert sent.status_code == 403
    assert "nothing can be changed" in sent.text
    query = "select actor_kind, reason, facts from audit_entry where action = 'tenant.viewed' and actor_id = $1 order by seq"
    for home in (world.tenant, PLATFORM):
        async with tenant_tx(home) as tx:
            rows = await tx.fetch(query, who.id)
            assert await audit.first_broken(tx) is None
        assert rows
        assert {(row["actor_kind"], row["reason"]) for row in rows} == {("operator", "ticket 7")}
        assert json.loads(rows[0]["facts"])["operator"] == who.email


async def test_the_shell_shows_ones_shops_and_the_test_mode(world: World) -> None:
    other = await world.new_tenant("Other Shop", with_gateway=False)
    who, client = await member(world)
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute(
            "insert into membership (id, tenant_id, user_id, role) values ($1, $2, $3, 'support')", new_id(), other.id, who.id
        )
    text = (await client.get(page(world))).text
    assert f'href="/m/{other.slug}"' in text
    assert "Test mode" in text
    assert 'aria-current="page"' in text
    personal = (await client.get("/me")).text
    assert f'href="/m/{other.slug}"' in personal
    assert f'href="/m/{world.tenant.slug}"' in personal


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_every_page_speaks_both_languages(world: World, language: str) -> None:
    _, client = await member(world)
    client.headers["accept-language"] = language
    for path in ("/sign-up", "/sign-up/sent", "/log-in", "/password/forgot", "/me", "/me/security", page(world)):
        answer = await client.get(path)
        assert answer.status_code == 200, path
        assert f'<html lang="{language}">' in answer.text
        body = re.sub(r"<script.*?</script>|<head>.*?</head>|<svg.*?</svg>|<dialog.*?</dialog>", "", answer.text, flags=re.S)
        assert bool(re.search(r"[\u4e00-\u9fff]{6,}", re.sub(r"<[^>]+>", " ", body))) is (language == "zh-CN"), path
        fragment = await client.get(path, headers={"hx-request": "true", "hx-request-type": "partial"})
        assert fragment.status_code == 200
