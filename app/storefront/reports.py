"""Reports as their buyer sees them on his order's page."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from asyncpg import Record

from app.aftersales import queries, service
from app.aftersales.models import DECIDABLE, OPEN, AfterSaleState, Complaint
from app.aftersales.service import Said
from app.aftersales.words import BUYER, COMPLAINTS
from tenants.session import Tx

_MOVING = frozenset(
    {AfterSaleState.REPORTED, AfterSaleState.CHECKING_WITH_SUPPLIER, AfterSaleState.REPLACING, AfterSaleState.REFUNDING}
)


@dataclass(frozen=True, slots=True)
class ReportOf:
    """One report as its buyer sees it."""

    row: Record
    said: list[Said]

    @property
    def unit(self) -> tuple[UUID, int]:
        return self.row["order_line_id"], self.row["unit_no"]

    @property
    def is_open(self) -> bool:
        return self.row["state"] in OPEN

    @property
    def is_moving(self) -> bool:
        """Whether it goes on without anybody's word."""
        return self.row["state"] in _MOVING

    @property
    def is_given_back(self) -> bool:
        return self.row["state"] in (AfterSaleState.REFUNDING, AfterSaleState.REFUNDED)

    @property
    def may_answer(self) -> bool:
        return self.row["state"] in DECIDABLE

    @property
    def may_object(self) -> bool:
        return self.row["state"] == AfterSaleState.REJECTED and self.row["objected_at"] is None

    @property
    def words(self) -> tuple[str, str]:
        """What is the matter, and what runs now; msgids."""
        return BUYER[AfterSaleState(self.row["state"])]

    @property
    def complaint(self) -> str:
        return COMPLAINTS[Complaint(self.row["complaint"])]


async def reports_of(tx: Tx, order_id: UUID) -> list[ReportOf]:
    """An order's reports, newest first, with what was said to and by its buyer."""
    return [ReportOf(row, await service.said_in(tx, row["id"], with_notes=False)) for row in await queries.of_order(tx, order_id)]
