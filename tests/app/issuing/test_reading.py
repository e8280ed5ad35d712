"""The file of recipients: what is good, twice in it or bad, each with everything that is wrong, and nothing told but masks."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import pytest

from app.catalog.accounts import AccountField, FieldKind
from app.inventory.files import UnreadableFile
from app.issuing import queries, reading, words
from app.issuing.models import MOST_ROWS
from app.issuing.reading import Terms
from app.issuing.rules import DUPLICATE, ReadRow, read_rows, without_heading
from app.kernel.contact import NOT_A_CONTACT
from app.kernel.i18n import speaking
from app.kernel.ids import new_id
from tenants.session import tenant_tx
from tests.app.issuing.issued import read
from tests.world import STAFF, World

FIELDS = (
    AccountField("phone", "Number", FieldKind.PHONE),
    AccountField("zone", "Zone", FieldKind.CHOICE, choices={"": ("East", "West")}),
)


def rows(text: str, fields: Sequence[AccountField] = ()) -> list[ReadRow]:
    return list(read_rows(without_heading(list(enumerate(csv.reader(io.StringIO(text)), start=1))), fields))


def test_a_heading_is_passed_over_and_a_contact_twice_counts_once() -> None:
    found = rows("手机号\n13800132046\n138 0013 2046\nLin@Mail.com\nnobody\n")
    assert [(one.row_no, [fault[1] for fault in one.faults], one.is_duplicate) for one in found] == [
        (2, [], False), (3, [DUPLICATE], True), (4, [], False), (5, [NOT_A_CONTACT], False),
    ]  # fmt: skip
    assert found[1].masked == "138****2046"


def test_every_column_is_judged_and_an_empty_account_is_the_contact() -> None:
    found = rows("13800132046,,East\nnobody,12,North\n13800132046,13900000001,East\na@mail.com,,West\n", FIELDS)
    assert found[0].account == {"phone": "13800132046", "zone": "East"}
    assert [label for label, _, _ in found[1].faults] == ["", "Number", "Zone"]
    assert not found[2].faults, "the same person, another account"
    assert [label for label, _, _ in found[3].faults] == ["Number"], "an address is no number"


@pytest.mark.anyio
@pytest.mark.database
async def test_what_was_read_is_kept_sealed_and_shown_masked(world: World) -> None:
    sku = (await world.product()).skus[0]
    batch_no = await read(world, sku.listing.id, ["13800132046", "13800132046", "nobody-at-all", ""])
    (batch,) = await world.rows("select * from issue_batch")
    assert (batch["row_count"], batch["duplicate_count"], batch["bad_count"]) == (1, 1, 1)
    (row,) = await world.rows("select * from issue_row")
    assert row["contact_masked"] == "138****2046"
    assert b"13800132046" not in row["recipient"]
    async with tenant_tx(world.tenant) as tx:
        batch = await queries.one_or_404(tx, batch_no)
        lines = await queries.bad_lines(tx, batch["id"], duplicates=None, limit=10)
    with speaking("en"):
        assert [(line["line_no"], words.problems(line)) for line in lines] == [
            (2, "Stands further up in the file"), (3, "Type a mobile number or an e-mail address."),
        ]  # fmt: skip
    assert all("nobody-at-all" not in line["masked"] for line in lines)


@pytest.mark.anyio
@pytest.mark.database
async def test_nothing_in_it_too_much_or_no_table_leaves_nothing(world: World) -> None:
    sku = (await world.product()).skus[0]
    most = "\n".join(f"{at}" for at in range(MOST_ROWS + 1)).encode()
    for body, refusal in (
        (b"\n \n", reading.NoRecipients),
        (most, reading.TooManyRecipients),
        (b"%PDF-1.7 no table", UnreadableFile),
        (b"PK\x03\x04broken", UnreadableFile),
    ):
        async with tenant_tx(world.tenant) as tx:
            goods = await queries.goods_or_none(tx, sku.listing.id)
            assert goods is not None
            with pytest.raises(refusal):
                await reading.start(tx, Terms(new_id(), "Lantern Works", "1", 100, "en"), goods, (body, "x.csv"), actor=STAFF)
    assert await world.value("select count(*) from issue_batch") == 0
