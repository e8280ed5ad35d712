"""Settling with suppliers in the back office: statements taken in, differences brought to an end, bills of contracted periods."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog.pages.shared import either, maybe_id
from app.inventory.files import UnreadableFile
from app.kernel import clock, csvfile, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Form, InvalidForm, OptionalLine, RawForm, invalid, parse
from app.kernel.i18n import gettext
from app.kernel.money import plain_minor
from app.kernel.templating import register_states
from app.kernel.web import AnyRequest, page, see_other
from app.ledger import queries as ledger
from app.settlement import closing, deciding, fetching, importing, queries
from app.settlement.deciding import Decision
from app.settlement.importing import Given
from app.settlement.models import DIFFERENCE_EDGES, BillState, DifferenceKind, DifferenceState, StatementState
from app.suppliers import queries as suppliers
from tenants.directory import Tenant
from tenants.session import raw

register_states(
    "statement", {StatementState.MATCHING: (N_("Being compared"), "info"), StatementState.MATCHED: (N_("Compared"), "ok")}
)
register_states(
    "difference",
    {
        DifferenceState.OPEN: (N_("To decide"), "bad"),
        DifferenceState.DISPUTED: (N_("Disputed"), "warn"),
        DifferenceState.MATCHED: (N_("Matched"), "ok"),
        DifferenceState.ADJUSTED: (N_("Adjusted"), "ok"),
    },
)
register_states(
    "difference_kind",
    {
        DifferenceKind.OURS_ONLY: (N_("Only we know it"), "warn"),
        DifferenceKind.THEIRS_ONLY: (N_("Only the supplier knows it"), "bad"),
        DifferenceKind.OTHER_AMOUNT: (N_("Another amount"), "warn"),
        DifferenceKind.OTHER_STATE: (N_("Another state"), "bad"),
    },
)
register_states("bill", {BillState.CLOSED: (N_("To pay"), "warn"), BillState.PAID: (N_("Paid"), "ok")})
_FORM: Final = "settlement/import.html"
_DIFFERENCE: Final = "settlement/difference.html"
_BILL: Final = "settlement/bill.html"
_MOST_EXPORTED: Final = 200_000
_MOST_DAYS: Final = 366
_MOST_UPLOAD: Final = importing.LARGEST_BYTES + 64 * 1024


class StatementForm(Form):
    """A statement apart from its file: the days it covers, and what its columns are called where they are not called as usual."""

    first_day: date
    last_day: date
    out_no: OptionalLine = ""
    supplier_ref: OptionalLine = ""
    amount: OptionalLine = ""
    state: OptionalLine = ""
    success_words: OptionalLine = ""
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "CNY"


class DecisionForm(Form):
    """How a difference ends, and why."""

    state: DifferenceState
    note: Annotated[str, StringConstraints(min_length=4, max_length=300)]


class PaymentForm(Form):
    """With what a bill was paid."""

    note: Annotated[str, StringConstraints(min_length=2, max_length=200)]


class SettlementPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get("/settlement")
    async def index(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """Statements, bills, and what is owed to suppliers by adjustments."""
        tx = await raw(session)
        context = {
            **_shared(request, tenant),
            "statements": await queries.statements(tx),
            "bills": await queries.bills(tx),
            "counts": await queries.counts(tx),
            "connections": await tx.fetch("select id, name from supplier_connection order by name limit 200"),
        }
        return page(request, "settlement/index.html", **context)

    @get("/connections/{supply_id:uuid}/statements", guards=[may(Permission.SETTLE)])
    async def new(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, supply_id: FromPath[UUID]
    ) -> Response[str]:
        """The form of a statement of one connection. Raises: NotFound."""
        return page(request, _FORM, **await _form_context(request, session, tenant, supply_id))

    @post("/connections/{supply_id:uuid}/statements", guards=[may(Permission.SETTLE)], request_max_body_size=_MOST_UPLOAD)
    async def create(
        self,
        request: AnyRequest,
        session: AsyncSession,
        *,
        tenant: Tenant,
        actor: Actor,
        sent: RawForm,
        supply_id: FromPath[UUID],
    ) -> Response[Any]:
        """Take a statement in; the same file again opens the statement it was. Every fault of the form at once."""
        context = await _form_context(request, session, tenant, supply_id)
        given = await _given(sent, context)
        try:
            statement_id, is_new = await importing.import_file(await raw(session), supply_id, given, actor=actor)
        except importing.ColumnsUnclear as unclear:
            raise invalid(sent, unclear.faults, retry=_FORM, **{**context, "head": unclear.head}) from None
        except (importing.NoHeading, importing.BadLine, importing.TooLong, UnreadableFile) as refusal:
            says = {name: gettext(value) if isinstance(value, str) else value for name, value in refusal.facts.items()}
            raise InvalidForm({"file": gettext(refusal.message) % says}, sent.values(), _FORM, context) from None
        words = N_("Taken in. It is being compared.") if is_new else N_("This file was imported already: nothing was changed.")
        return see_other(request, f"{context['home']}/statements/{statement_id}", flash=words)

    @post("/connections/{supply_id:uuid}/statements/fetch", guards=[may(Permission.SETTLE)])
    async def fetch(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, supply_id: FromPath[UUID]
    ) -> Response[Any]:
        """Have the supplier's interface asked for yesterday's statement, and for each day's from now on. Raises: NotFound, NoStatements."""
        connection = await suppliers.connection_or_404(session, supply_id)
        await fetching.start(await raw(session), supply_id, connection.connector)
        return see_other(request, f"{_home(tenant)}/settlement", flash=N_("Asked. Each day's statement is fetched from now on."))

    @get("/statements/{statement_id:uuid}")
    async def statement(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, statement_id: FromPath[UUID]
    ) -> Response[str]:
        """One statement: its totals, what differs, its lines. Raises: NotFound."""
        tx = await raw(session)
        row = await queries.statement_or_404(tx, statement_id)
        lines = await queries.lines_of(tx, statement_id, after=_number(request, "after"))
        context = {
            **_shared(request, tenant),
            "statement": row,
            "counts": await queries.counts(tx, statement_id),
            "lines": lines[: queries.PAGE],
            "next": lines[queries.PAGE - 1]["line_no"] if len(lines) > queries.PAGE else 0,
        }
        return either(request, "settlement/statement.html", "settlement/_statement.html", **context)

    @get("/differences")
    async def differences(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """The queue of differences in one state, the oldest first. Raises: NotFound for a filter that is none."""
        tx, query = await raw(session), request.query_params
        state = _chosen(query.get("state", DifferenceState.OPEN))
        statement_id = maybe_id(query.get("statement"))
        rows = await queries.differences(tx, state=state, statement_id=statement_id, after=maybe_id(query.get("after")))
        more = f"&statement={statement_id}" if statement_id else ""
        context = {
            **_shared(request, tenant),
            "state": state,
            "states": list(DifferenceState),
            "counts": await queries.counts(tx, statement_id),
            "rows": rows[: queries.PAGE],
            "more": more,
            "next": rows[queries.PAGE - 1]["id"] if len(rows) > queries.PAGE else "",
        }
        return either(request, "settlement/differences.html", "settlement/_differences.html", **context)

    @get("/differences/{difference_id:uuid}")
    async def difference(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, difference_id: FromPath[UUID]
    ) -> Response[str]:
        """Both sides of one difference, and how it may end. Raises: NotFound."""
        return page(request, _DIFFERENCE, **await _difference_context(request, session, tenant, difference_id))

    @post("/differences/{difference_id:uuid}/decision", guards=[may(Permission.SETTLE)])
    async def decide(
        self,
        request: AnyRequest,
        session: AsyncSession,
        *,
        tenant: Tenant,
        actor: Actor,
        sent: RawForm,
        difference_id: FromPath[UUID],
    ) -> Response[Any]:
        """End it as matched or adjusted, or dispute it. Pressed twice, the first counts. Raises: NotFound, Decided, NothingToBook."""
        context = await _difference_context(request, session, tenant, difference_id)
        form = parse(DecisionForm, sent, retry=_DIFFERENCE, **context)
        await deciding.decide(await raw(session), difference_id, Decision(form.state, form.note), actor=actor)
        return see_other(request, f"{context['home']}/differences/{difference_id}", flash=N_("Decided."))

    @get("/bills/{bill_id:uuid}")
    async def bill(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, bill_id: FromPath[UUID]) -> Response[str]:
        """A closed bill with its lines. Raises: NotFound."""
        return page(request, _BILL, **await _bill_context(request, session, tenant, bill_id))

    @get("/bills/{bill_id:uuid}/lines.csv")
    async def bill_lines(self, session: AsyncSession, *, bill_id: FromPath[UUID]) -> Response[bytes]:
        """Every line of a bill, whose sum is the bill's total. Raises: NotFound."""
        tx = await raw(session)
        bill = await queries.bill_or_404(tx, bill_id)
        rows = await queries.bill_lines(tx, bill_id, limit=_MOST_EXPORTED)
        head = [
            gettext(word) for word in (N_("Our number"), N_("Their number"), N_("Goods"), N_("Time"), N_("Amount"), N_("Note"))
        ]
        body = csvfile.write(
            head,
            (
                (
                    row["out_no"] or row["difference_no"],
                    row["supplier_ref"],
                    row["supplier_sku"],
                    row["decided_at"] or row["adjusted_at"],
                    plain_minor(row["amount_minor"]),
                    row["note"],
                )
                for row in rows
            ),
        )
        name = f"bill-{bill['last_day']}-{bill['currency']}.csv"
        return Response(body, media_type=csvfile.MEDIA_TYPE, headers={"Content-Disposition": f'attachment; filename="{name}"'})

    @post("/bills/{bill_id:uuid}/payment", guards=[may(Permission.SETTLE)])
    async def pay(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, bill_id: FromPath[UUID]
    ) -> Response[Any]:
        """Say with what it was paid. Raises: NotFound, PaidAlready."""
        context = await _bill_context(request, session, tenant, bill_id)
        form = parse(PaymentForm, sent, retry=_BILL, **context)
        await closing.mark_paid(await raw(session), bill_id, note=form.note, actor=actor)
        return see_other(request, f"{context['home']}/bills/{bill_id}", flash=N_("Marked as paid."))


async def _given(sent: RawForm, context: dict[str, Any]) -> Given:
    """The form with its file. Raises: InvalidForm with every fault."""
    upload = sent.files.get("file")
    body = await upload.read() if upload is not None else b""
    errors = {} if body else {"file": gettext(N_("Choose the statement's file."))}
    try:
        form = parse(StatementForm, sent, retry=_FORM, **context)
        if not 0 <= (form.last_day - form.first_day).days < _MOST_DAYS:
            errors["last_day"] = gettext(N_("The last day is not before the first, and at most a year after it."))
    except InvalidForm as fault:
        raise InvalidForm({**errors, **fault.errors}, sent.values(), _FORM, context) from None
    if errors or upload is None:
        raise InvalidForm(errors, sent.values(), _FORM, context)
    words = tuple(word.strip() for word in form.success_words.replace("，", ",").split(",") if word.strip())
    columns = {name: getattr(form, name) for name in ("out_no", "supplier_ref", "amount", "state")}
    return Given(body, upload.filename, form.first_day, form.last_day, columns, words, form.currency)


def _shared(request: AnyRequest, tenant: Tenant) -> dict[str, Any]:
    return {"home": _home(tenant), "base": f"/m/{tenant.slug}", "may_settle": may_do(request, Permission.SETTLE)}


def _home(tenant: Tenant) -> str:
    return f"/m/{tenant.slug}/suppliers"


async def _form_context(request: AnyRequest, session: AsyncSession, tenant: Tenant, supply_id: UUID) -> dict[str, Any]:
    connection = await suppliers.connection_or_404(session, supply_id)
    return {
        **_shared(request, tenant),
        "connection": connection,
        "known": await importing.columns_of(await raw(session), supply_id),
        "today": clock.business_day(),
        "can_fetch": fetching.offers_statements(connection.connector),
        "head": [],
    }


async def _difference_context(request: AnyRequest, session: AsyncSession, tenant: Tenant, difference_id: UUID) -> dict[str, Any]:
    tx = await raw(session)
    row = await deciding.difference_or_404(tx, difference_id)
    return {
        **_shared(request, tenant),
        "difference": row,
        "choices": [state for state in DifferenceState if state in DIFFERENCE_EDGES[DifferenceState(row["state"])]],
        "happened": await history.of_subjects(tx, [difference_id], limit=20),
        "transfers": await ledger.transfers_of(tx, [difference_id]),
    }


async def _bill_context(request: AnyRequest, session: AsyncSession, tenant: Tenant, bill_id: UUID) -> dict[str, Any]:
    tx = await raw(session)
    bill = await queries.bill_or_404(tx, bill_id)
    lines = await queries.bill_lines(tx, bill_id, after=_number(request, "after"))
    return {
        **_shared(request, tenant),
        "bill": bill,
        "lines": lines[: queries.PAGE],
        "next": lines[queries.PAGE - 1]["line_no"] if len(lines) > queries.PAGE else 0,
    }


def _chosen(text: str) -> DifferenceState:
    if text not in set(DifferenceState):
        raise NotFound
    return DifferenceState(text)


def _number(request: AnyRequest, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise NotFound
    return int(text)
