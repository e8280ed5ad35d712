"""The cases: what waits for a person, why, and saying what was done about it."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.cases import queries, service
from app.cases.models import CaseKind, CaseState
from app.kernel import i18n
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadRequest
from app.kernel.forms import Form, RawForm, parse
from app.kernel.history import facts_of
from app.kernel.templating import register_states
from app.kernel.web import AnyRequest, page, see_other
from app.payments import deciding
from tenants.directory import Tenant
from tenants.session import Tx, raw

register_states("case", {CaseState.OPEN: (N_("To decide"), "bad"), CaseState.CLOSED: (N_("Closed"), "")})
WORDS: Final = {
    CaseKind.WORK_FAILED: (
        N_("Work on an order failed for good"),
        N_("It was tried again and again. Open the order, see what is missing, and ask for it again there."),
    ),
    CaseKind.REFUND_DECLINED: (
        N_("The gateway declined a refund"),
        N_(
            "Settle its reason with the gateway, then send the refund again: it goes under the same number and is never paid twice."
        ),
    ),
    CaseKind.MISMATCH: (
        N_("A gateway's word does not match a payment"),
        N_("Nothing was booked. Compare the payment with the gateway's own pages before you close this."),
    ),
    CaseKind.WRONG_AMOUNT: (
        N_("A gateway took another amount than the order's"),
        N_(
            "The money waits apart from the shop's own and the order stays unpaid. Give it back, or settle it and write down how."
        ),
    ),
    CaseKind.SUPPLIER_UNKNOWN: (
        N_("Nobody can say whether a supplier delivered"),
        N_(
            "It is asked about again and again and never bought twice. Ask the supplier with the number below; its answer settles this by itself."
        ),
    ),
    CaseKind.SUPPLIER_LATE: (
        N_("A supplier delivered after it had refused"),
        N_("The buyer was served otherwise. What came late is kept as own stock; claim what cannot be used."),
    ),
    CaseKind.BAD_GOODS: (
        N_("A supplier sent goods that cannot be delivered"),
        N_("A card that was sold before, or none at all. The buyer got nothing of it; claim it from the supplier."),
    ),
    CaseKind.SPARE_GOODS: (
        N_("A supplier sent more than was bought"),
        N_("The cards that came too many are own stock now. Settle with the supplier whether they are paid or void."),
    ),
    CaseKind.USED_AFTERWARDS: (
        N_("Something that was replaced or given back was used"),
        N_(
            "Its supplier says so. Look at what was reported about it, and settle it with the buyer; claim nothing for it any more."
        ),
    ),
    CaseKind.NOT_HANDED_OVER: (
        N_("Nobody has handed over what was paid"),
        N_(
            "Its time is over. Hand it over from the queue, or give the money back there; this closes by itself then, and opens again until it is done."
        ),
    ),
    CaseKind.MESSAGE_FAILED: (
        N_("A message could not be delivered"),
        N_(
            "It was tried again and again. Have it tried once more, or tell its reader otherwise; once it is sent, this closes by itself."
        ),
    ),
    CaseKind.WRONG_ACCOUNT: (
        N_("A buyer says the account was the wrong one"),
        N_(
            "He typed it and confirmed it before paying, and it was credited. Nothing goes back by itself: answer him, and decide."
        ),
    ),
    CaseKind.CYCLE_MISSED: (
        N_("A cycle of a subscription could not be delivered"),
        N_("Its share goes back by itself. See to it that the next cycle finds stock or a supplier."),
    ),
    CaseKind.BROKEN_BUNDLE: (
        N_("A bundle could only be delivered in part"),
        N_(
            "It was to be delivered whole or not at all. What was not delivered is given back by itself; agree with the buyer about what was."
        ),
    ),
}
"""A kind's name, and what to do about it."""
_ASIDE: Final = N_(
    "Cards of a face value are never own stock: these are kept as void keys in the batch below, and nobody buys them. Show them there, and claim "
    "them from the supplier or hand them over."
)
"""What to do about cards that came too late or too many and are of a face value."""
Choice = TypeVar("Choice", CaseKind, CaseState)


class NoteForm(Form):
    """What was done, or why something is to be done."""

    note: Annotated[str, StringConstraints(min_length=4, max_length=300)]


class CasePages(Controller):
    path = "/m/{tenant_slug:str}/cases"
    guards = (may(Permission.ORDERS_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """The list: open ones the longest waiting first. Raises: BadRequest for a filter that is not one of its own."""
        state = _chosen(request, "state", CaseState) or CaseState.OPEN
        kind, number = _chosen(request, "kind", CaseKind), _page_number(request)
        tx, home = await raw(session), _home(tenant)
        rows = await queries.cases(tx, state=state, kind=kind, page=number)
        context: dict[str, Any] = {
            "home": home,
            "orders_path": f"/m/{tenant.slug}/orders",
            "cases": [_shown(row) for row in rows],
            "state": state,
            "views": await _views(tx, home, state, kind),
            "total": await queries.count(tx, state=state, kind=kind),
            "first": (number - 1) * queries.PAGE + 1,
            "older": _address(home, state, kind, number + 1) if len(rows) == queries.PAGE else "",
            "newer": _address(home, state, kind, number - 1) if number > 1 else "",
        }
        return page(request, "cases/index.html", **context)

    @get("/{case_id:uuid}")
    async def show(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, case_id: FromPath[UUID]) -> Response[str]:
        """One case: what is known, what may be done."""
        return page(request, "cases/show.html", **await _whole(request, await raw(session), tenant, case_id))

    @post("/{case_id:uuid}/closure", guards=[may(Permission.ORDERS_NOTE)])
    async def close(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, case_id: FromPath[UUID]
    ) -> Response[None]:
        """Close it with a note. Pressed twice, the first note stands."""
        tx = await raw(session)
        form = parse(NoteForm, sent, retry="cases/show.html", **await _whole(request, tx, tenant, case_id))
        await service.close_case(tx, case_id, note=form.note, actor=actor)
        return see_other(request, _home(tenant), flash=N_("Case closed."))

    @post("/{case_id:uuid}/message", guards=[may(Permission.ORDERS_NOTE)])
    async def try_message_again(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, case_id: FromPath[UUID]
    ) -> Response[None]:
        """Have a message that was given up tried again. Pressed twice, it is one message. Raises: NotFound."""
        waited = await service.try_message_again(await raw(session), case_id, actor=actor)
        told = (
            N_("The message is being tried again; this case closes once it is sent.")
            if waited
            else N_("This was done already; nothing was added.")
        )
        return see_other(request, f"{_home(tenant)}/{case_id}", flash=told, tone="ok" if waited else "info")

    @post("/{case_id:uuid}/refund", guards=[may(Permission.ORDERS_REFUND)])
    async def refund(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, case_id: FromPath[UUID]
    ) -> Response[None]:
        """Give the money of a wrong amount back, or send a declined refund again; the case is closed with it."""
        tx = await raw(session)
        whole = await _whole(request, tx, tenant, case_id)
        form = parse(NoteForm, sent, retry="cases/show.html", **whole)
        if whole["case"]["kind"] == CaseKind.REFUND_DECLINED:
            is_new = await deciding.send_again(tx, whole["case"]["subject_id"], reason=form.note, actor=actor)
        else:
            is_new = await deciding.give_back_suspended(tx, case_id, reason=form.note, actor=actor)
        told = N_("The refund is on its way.") if is_new else N_("This was done already; nothing was added.")
        return see_other(request, _home(tenant), flash=told, tone="ok" if is_new else "info")


def _home(tenant: Tenant) -> str:
    return f"/m/{tenant.slug}/cases"


def _chosen(request: AnyRequest, name: str, words: type[Choice]) -> Choice | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    try:
        return words(text)
    except ValueError:
        raise BadRequest from None


def _page_number(request: AnyRequest) -> int:
    text = request.query_params.get("page", "1")
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 1000):
        raise BadRequest
    return int(text)


def _address(home: str, state: CaseState, kind: CaseKind | None, number: int = 1) -> str:
    chosen = {
        "state": state if state is not CaseState.OPEN else "",
        "kind": kind or "",
        "page": str(number) if number > 1 else "",
    }
    query = urlencode({name: value for name, value in chosen.items() if value})
    return f"{home}?{query}" if query else home


async def _views(tx: Tx, home: str, state: CaseState, kind: CaseKind | None) -> list[dict[str, Any]]:
    """The list's tabs: all open ones, each kind that has some, and the closed ones."""
    waiting = await queries.open_by_kind(tx)
    is_open = state is CaseState.OPEN
    found: list[dict[str, Any]] = [
        {
            "label": i18n.gettext(N_("To decide")),
            "href": home,
            "current": is_open and kind is None,
            "count": sum(waiting.values()),
        }
    ]
    found += [
        {"label": i18n.gettext(WORDS[one][0]), "href": _address(home, CaseState.OPEN, one), "current": is_open and kind is one, "count": n}
        for one, n in waiting.items()
    ]  # fmt: skip
    return [*found, {"label": i18n.gettext(N_("Closed")), "href": _address(home, CaseState.CLOSED, None), "current": not is_open}]


def _shown(row: asyncpg.Record) -> dict[str, Any]:
    word, advice = WORDS[CaseKind(row["kind"])]
    facts = facts_of(row)
    keys = _kept_aside(facts)
    more = {"advice": _ASIDE if keys else advice, "kept_aside": keys, "batch_no": facts.get("batch_no", "")}
    return {**dict(row), "word": word, **more, "details": _details(facts)}


def _kept_aside(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The keys kept aside that a case is about: each one's id, and what it is worth with its last characters."""
    worth = i18n.format_money(int(facts["value_minor"]), str(facts["value_currency"])) if facts.get("value_minor") else ""
    return [(str(key_id), f"{worth} {masked}".strip()) for key_id, masked in facts.get("aside", ())]


def _details(facts: dict[str, Any]) -> list[str]:
    """The facts in words: our numbers, amounts, what the other side said."""
    found = [str(facts[name]) for name in ("payment_no", "refund_no", "out_no", "to", "task") if facts.get(name)]
    if facts.get("amount_minor"):
        found.append(i18n.format_money(int(facts["amount_minor"]), str(facts.get("currency", "CNY"))))
    if facts.get("said_minor"):
        said = i18n.format_money(int(facts["said_minor"]), str(facts.get("said_currency", "CNY")))
        found.append(i18n.gettext(N_("the gateway says %(amount)s")) % {"amount": said})
    return found + [str(facts[name]) for name in ("reason", "problem") if facts.get(name)]


async def _whole(request: AnyRequest, tx: Tx, tenant: Tenant, case_id: UUID) -> dict[str, Any]:
    case = _shown(await queries.case_or_404(tx, case_id))
    has_money = case["kind"] in (CaseKind.REFUND_DECLINED, CaseKind.WRONG_AMOUNT)
    return {
        "case": case,
        "home": _home(tenant),
        "here": f"{_home(tenant)}/{case_id}",
        "base": f"/m/{tenant.slug}",
        "orders_path": f"/m/{tenant.slug}/orders",
        "may_reveal": may_do(request, Permission.ORDERS_REVEAL),
        "may_close": may_do(request, Permission.ORDERS_NOTE),
        "may_try_message": case["kind"] == CaseKind.MESSAGE_FAILED and may_do(request, Permission.ORDERS_NOTE),
        "may_refund": has_money and may_do(request, Permission.ORDERS_REFUND),
    }
