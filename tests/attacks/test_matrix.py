"""Every route, every role, every kind of stranger: each gets the answer the table owes him, and nobody who is refused changes anything."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx2
import pytest

from app.access.models import MemberRole
from tests.attacks.merchant import Merchant, fingerprint, merchant
from tests.attacks.routes import Route, routes
from tests.attacks.table import ROWS, WANT_MORE, owed, owed_to_role
from tests.attacks.visitors import Caller, caller, member
from tests.attacks.whom import Answer, Visitor
from tests.world import World

pytestmark = [pytest.mark.anyio]
SENTENCES = {
    Answer.ROLE: (403, "Your role does not include this."),
    Answer.READ_ONLY: (403, "nothing can be changed"),
    Answer.CLOSED: (403, "This business is closed."),
    Answer.NOT_THERE: (404, "There is nothing here."),
}
LEAD_TO_THE_LOG_IN = frozenset({"GET /", "POST /log-out"})
"""Open to anybody, and their answer to a stranger is the way to the log-in."""


def told(answer: httpx2.Response) -> Answer:
    """Which of the gates' answers this is; `IN` when it is none of them."""
    text = answer.text.partition("<main")[2] or answer.text
    for word, (status, sentence) in SENTENCES.items():
        if answer.status_code == status and sentence in text:
            return word
    to = answer.headers.get("location", "")
    if (answer.status_code == 303 and to.partition("?")[0] == "/log-in") or answer.status_code == 401:
        return Answer.LOG_IN
    if (answer.status_code == 303 and to.startswith("/sign-up/sent")) or "Confirm your e-mail address first" in text:
        return Answer.VERIFY
    return Answer.IN


def ids_of(shop: Merchant, route: Route) -> dict[str, object]:
    """A merchant's own ids, so that a refusal is never merely an unknown address; acts on others' orders go to the one that waits."""
    ids = shop.unpaid if route.path.endswith(("/cancellation", "/payment")) else shop.ids
    ids = shop.subscribed if "/subscriptions/" in route.path else ids
    more: dict[str, object] = {
        "file": "css/app.css",
        "session_id": uuid4(),
        "tenant_id": shop.tenant.id,
        "home_id": shop.tenant.id,
        "task_id": uuid4(),
    }
    return {**more, **ids}


async def visit(who: Caller, shop: Merchant, wanted: list[tuple[Route, Answer]]) -> list[str]:
    """What differs from what is owed, route by route; a bug is one too."""
    wrong = []
    for route, answer in wanted:
        got = await who.ask(route, ids_of(shop, route))
        if told(got) is not answer and not _is_pages_own(route, got, answer):
            wrong.append(f"{route}: {told(got)}, not {answer} ({got.status_code})")
        if got.status_code >= 500 and got.status_code != 503:
            wrong.append(f"{route}: {got.status_code}")
    return wrong


def _is_pages_own(route: Route, got: httpx2.Response, answer: Answer) -> bool:
    """A page one is let into may itself lead to the log-in, or have nothing under an id; a gateway's false notice is answered 401."""
    if answer is not Answer.IN:
        return False
    is_reading_a_merchants = route.path.startswith("/m/") and route.is_safe and str(route) not in WANT_MORE
    return (
        str(route) in LEAD_TO_THE_LOG_IN
        or route.path.startswith("/hooks/")
        or (got.status_code == 404 and not is_reading_a_merchants)
    )


async def refused_then_in(who: Caller, shop: Merchant, owes: Any, of: list[Route]) -> list[str]:
    """First what is refused, after which nothing may have changed; then, reading first, what is open."""
    before = await fingerprint(shop.tenant)
    shut = [(route, owes(route)) for route in of if owes(route) is not Answer.IN]
    wrong = await visit(who, shop, shut)
    after = await fingerprint(shop.tenant)
    kept = [table for table in before if who.looks_at is None or not table.endswith(".audit_entry")]  # a look is written down
    wrong += [f"{table} was changed by a refused request" for table in kept if before[table] != after[table]]
    opened = sorted((route for route in of if owes(route) is Answer.IN), key=lambda route: not route.is_safe)
    return wrong + await visit(who, shop, [(route, Answer.IN) for route in opened])


@pytest.mark.case("G01", "H19")
async def test_every_route_has_its_row(application: object) -> None:
    assert {str(route) for route in routes(application)} == set(ROWS)


@pytest.mark.case("G01", "H19")
@pytest.mark.parametrize(
    "role", [pytest.param(role, marks=pytest.mark.database) if role is MemberRole.OWNER else role for role in MemberRole]
)
async def test_each_route_answers_each_role_as_the_table_says(world: World, role: MemberRole) -> None:
    shop = await merchant(world, world.tenant)
    of = [route for route in routes(world.app) if route.path.startswith("/m/")]
    assert await refused_then_in(await member(world, world.tenant, role), shop, lambda r: owed_to_role(str(r), role), of) == []


@pytest.mark.case("G01", "H19")
@pytest.mark.parametrize(
    "visitor",
    [pytest.param(who, marks=pytest.mark.database) if who in (Visitor.STRANGER, Visitor.OPERATOR) else who for who in Visitor],
)
async def test_each_route_answers_each_stranger_as_the_table_says(world: World, visitor: Visitor) -> None:
    shop = await merchant(world, world.tenant)
    who = await caller(world, world.tenant, visitor)
    assert await refused_then_in(who, shop, lambda route: owed(str(route), visitor), routes(world.app)) == []
