"""The demo's group chats: a robot of each company, at the simulated companies beside the outbox, told of everything there is to tell."""

from __future__ import annotations

import json

from app.integrations import robots
from app.integrations.alerts import EVENTS
from app.integrations.models import RobotCompany
from app.integrations.robots import RobotTerms
from app.kernel import http
from app.settings import settings
from operations.demo_data.people import Opened
from tenants.session import tenant_session

_GROUPS = {
    RobotCompany.DINGTALK: "运营群（钉钉）",
    RobotCompany.WECOM: "客服群（企业微信）",
    RobotCompany.FEISHU: "技术群（飞书）",
}


async def connect_groups(opened: Opened) -> None:
    """Open a group at each company and connect its robot. Without the simulated companies there are none."""
    url = settings().outbox_url
    if url is None:
        return
    for company, group in _GROUPS.items():
        asked = json.dumps({"company": company, "group": group}, ensure_ascii=False).encode()
        answer = await http.shared().send(http.Call("POST", f"{url}/robots", {"Content-Type": "application/json"}, asked))
        found = json.loads(answer.body)
        terms = RobotTerms(company, group, found["address"], found["secret"], "zh_CN", tuple(EVENTS))
        async with tenant_session(opened.tenant) as session:
            await robots.keep(session, terms, actor=opened.owner)
