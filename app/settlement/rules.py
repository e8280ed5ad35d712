"""Reading a supplier's statement, purely: which column means what, and one row into one line."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from app.kernel.errors import N_

OUT_NO, SUPPLIER_REF, AMOUNT, STATE = "out_no", "supplier_ref", "amount", "state"
COLUMNS = (OUT_NO, SUPPLIER_REF, AMOUNT, STATE)
USUAL: Mapping[str, tuple[str, ...]] = {
    OUT_NO: (
        "商户订单号",
        "外部订单号",
        "我方订单号",
        "客户订单号",
        "out_no",
        "order_no",
        "outtradeno",
        "merchant_order_no",
        "distributorref",
        "your reference",
    ),
    SUPPLIER_REF: (
        "平台订单号",
        "供货商单号",
        "订单号",
        "系统订单号",
        "流水号",
        "supplier_ref",
        "order_id",
        "transferref",
        "transaction id",
        "reference",
    ),
    AMOUNT: ("结算金额", "扣款金额", "实付金额", "成本", "金额", "amount", "cost", "price", "total"),
    STATE: ("订单状态", "状态", "结果", "status", "state", "result"),
}
"""What columns are usually called, the surest first."""
SUCCESS_WORDS = (
    "成功",
    "交易成功",
    "充值成功",
    "已完成",
    "success",
    "succeeded",
    "complete",
    "completed",
    "ok",
    "delivered",
    "1",
)
_LARGEST = Decimal(10) ** 11


@dataclass(frozen=True, slots=True)
class Reading:
    """Where each meaning stands in a row, and which words of the state are a success; with no state column every line is one."""

    places: Mapping[str, int]
    success_words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Line:
    """One purchase as the supplier names it."""

    out_no: str
    supplier_ref: str
    is_success: bool
    amount: Decimal

    @property
    def fingerprint(self) -> bytes:
        """The same for the same line, whatever file it comes in."""
        plain = f"{self.amount.normalize():f}"
        return hashlib.sha256("\x1f".join((self.out_no, self.supplier_ref, str(self.is_success), plain)).encode()).digest()


def find_columns(head: Sequence[str], named: Mapping[str, str]) -> dict[str, int]:
    """Where each meaning stands: where the merchant says, else by its usual names. A name that is not in the heading is left out."""
    plain = [cell.strip().lower() for cell in head]
    found: dict[str, int] = {}
    for meaning in COLUMNS:
        wanted = [named[meaning].strip().lower()] if named.get(meaning, "").strip() else list(USUAL[meaning])
        place = next((plain.index(name) for name in wanted if name in plain and plain.index(name) not in found.values()), None)
        if place is not None:
            found[meaning] = place
    return found


def lacking(found: Mapping[str, int], named: Mapping[str, str]) -> dict[str, str]:
    """What the merchant must still say, by field, as msgids; nothing when the statement can be read."""
    faults = {
        meaning: N_("This column is not in the file's first row.")
        for meaning in COLUMNS
        if named.get(meaning, "").strip() and meaning not in found
    }
    if AMOUNT not in found:
        faults.setdefault(AMOUNT, N_("Name the column of the amount."))
    if OUT_NO not in found and SUPPLIER_REF not in found:
        faults.setdefault(OUT_NO, N_("Name the column of our number, or of the supplier's."))
    return faults


def read_row(cells: Sequence[str], reading: Reading) -> Line | str:
    """One line, or what is wrong with it as a msgid."""

    def cell(meaning: str) -> str:
        place = reading.places.get(meaning)
        return cells[place].strip().strip("'`\t") if place is not None and place < len(cells) else ""

    amount = _amount(cell(AMOUNT))
    if amount is None:
        return N_("The amount is not a number.")
    out_no, supplier_ref = cell(OUT_NO), cell(SUPPLIER_REF)
    if not out_no and not supplier_ref:
        return N_("No number names the purchase.")
    if len(out_no) > 100 or len(supplier_ref) > 100:
        return N_("A number is longer than any order's.")
    is_success = STATE not in reading.places or cell(STATE).lower() in reading.success_words
    return Line(out_no, supplier_ref, is_success, amount)


def _amount(text: str) -> Decimal | None:
    plain = text.replace(",", "").replace("¥", "").replace("￥", "").strip()
    try:
        amount = Decimal(plain)
    except InvalidOperation:
        return None
    if not amount.is_finite() or abs(amount) > _LARGEST:
        return None
    return amount.quantize(Decimal("0.000001"))


def minor(amount: Decimal) -> int:
    """A cost in minor units, rounded once, half up."""
    return int((amount * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def periods_due(after: date, days: int, today: date, *, most: int) -> list[tuple[date, date]]:
    """The contracted periods that have ended, from the day after `after` on: first and last day of each, the oldest first."""
    assert days > 0
    due: list[tuple[date, date]] = []
    first = after + timedelta(days=1)
    while len(due) < most and first + timedelta(days=days - 1) < today:
        last = first + timedelta(days=days - 1)
        due.append((first, last))
        first = last + timedelta(days=1)
    return due
