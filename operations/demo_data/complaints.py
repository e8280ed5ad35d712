"""What went wrong after delivery: rules, help for one product, and a few buyers' reports in each state, by the verbs that pages call."""

from __future__ import annotations

from app.aftersales import guiding, reporting, service
from app.aftersales.models import Complaint, RemedyKind
from app.aftersales.remedying import remedy
from app.aftersales.reporting import Report
from app.aftersales.rules import Policy
from app.fulfillment.reissuing import UnitOf
from app.kernel.actor import Actor, ActorKind
from app.kernel.tasks import Lane
from operations.demo_data.people import Opened
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx
from workers.drain import drain_home

_REPLIES = ("抱歉给您添麻烦了，我们正在核实。", "请提供兑换页面的完整截图。", "该卡密已在您的账号兑换成功，请查看兑换记录。")
_STEPS = (
    "在应用内打开“兑换中心”，不要在网页上兑换。",
    "用旁边的按钮复制卡密，粘贴后不要有空格。",
    "确认登录的是要开通会员的账号。",
)
_REPORTED = 9


async def complain(opened: Opened) -> None:
    """Let some buyers report what they got, and the team answer some of them."""
    tenant, team = opened.tenant, Actor(ActorKind.STAFF, None, "林知")
    policy = Policy(auto_most_minor=3_000, replies=_REPLIES)
    async with tenant_tx(tenant) as tx:
        await service.set_policy(tx, policy, actor=team)
        units = await tx.fetch(_UNITS, _REPORTED)
        if units:
            await guiding.set_guide(tx, units[0]["product_id"], steps=_STEPS, settles_itself=True, actor=team)
        for number, row in enumerate(units):
            unit = UnitOf(row["order_id"], row["order_line_id"], row["unit_no"])
            await guiding.answer(tx, unit, has_helped=number % 3 == 0)
    for number, row in enumerate(units):
        async with tenant_tx(tenant) as tx:
            unit = UnitOf(row["order_id"], row["order_line_id"], row["unit_no"])
            buyer = Actor(ActorKind.BUYER, None, row["contact_masked"])
            told = Report(unit, Complaint.INVALID if number % 2 else Complaint.USED_ALREADY, "兑换时提示“卡密无效”。")
            case_id = await reporting.report(tx, told, actor=buyer)
            await _answer(tx, number, case_id, team)
    await _work(tenant)


async def _answer(tx: Tx, number: int, case_id: object, team: Actor) -> None:
    row = await tx.fetchrow("select id from after_sale_case where id = $1 and state = 'awaiting_staff'", case_id)
    if row is None:
        return
    if number == 1:
        await service.ask_buyer(tx, row["id"], text=_REPLIES[1], actor=team)
    elif number == 2:
        await service.reject(tx, row["id"], text=_REPLIES[2], actor=team)
    elif number == 3:
        await remedy(tx, row["id"], RemedyKind.REFUND, reason="供货商确认该卡已失效", actor=team)


async def _work(tenant: Tenant) -> None:
    for lane in (Lane.ORDERS, Lane.SUPPLY):
        while await drain_home(tenant, lane):
            pass


_UNITS = """
select distinct on (o.contact_fingerprint) u.order_id, u.order_line_id, u.unit_no, l.product_id, o.contact_masked, u.delivered_at
from delivery_unit u
join shop_order o on o.id = u.order_id and o.state = 'delivered'
join order_line l on l.id = u.order_line_id
where u.state = 'delivered' and u.card_key_id is not null and u.revealed_at is not null and u.delivered_at > now() - interval '10 days'
order by o.contact_fingerprint, u.delivered_at desc
limit $1
"""
