"""The merchant's pages of batches: agreed, checked, confirmed, followed, tried again; for whom, and for whom not."""

from __future__ import annotations

import re

import pytest

from app.access.models import MemberRole
from app.issuing import service
from app.issuing.models import MOST_ROWS
from app.kernel.ids import new_id
from tests.app.issuing.issued import act, issued, numbers, read, work
from tests.app.staff import staff
from tests.world import World

pytestmark = [pytest.mark.anyio]
HOME = "/issues"


def form(listing_id: object, **changes: str) -> dict[str, str]:
    filled = {
        "listing": str(listing_id), "client": "Lantern Works", "reference": "HT-2026-118", "unit_price": "15.00", "locale": "en",
        "request_id": str(new_id()), "recipients": "phone\n13800132046\n13800132046\nnobody-at-all\nlin@mail.com\n",
    }  # fmt: skip
    return filled | changes


async def test_a_batch_is_read_shown_confirmed_and_followed(world: World) -> None:
    owner = await staff(world)
    assert "Nothing that can be sent yet" in (await owner.get(HOME)).text
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, 1)
    assert "No batch yet" in (await owner.get(HOME)).text
    assert f'value="{sku.listing.id}" selected' in (await owner.get(f"{HOME}/new?listing={sku.listing.id}")).text
    sent = form(sku.listing.id)
    answers = [await owner.post(HOME, sent) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    address = answers[0].headers["location"].removeprefix(owner.base)
    assert answers[1].headers["location"].endswith(address), "sent twice, read once"
    shown = (await owner.get(address)).text
    for words in ("Send to 2 recipients", "¥30.00", "Stands further up in the file", "The stock does not reach", "138****2046"):
        assert words in shown, words
    assert "nobody-at-all" not in shown
    assert "lin@mail.com" not in shown
    assert await world.value("select count(*) from shop_order") == 0
    bad = await owner.get(f"{address}/bad-lines")
    assert bad.headers["content-type"].startswith("text/csv")
    assert [line.split(",")[0] for line in bad.text.splitlines()[1:]] == ["3", "4"]
    for _ in range(2):
        assert (await owner.post(f"{address}/confirmation")).status_code == 303
    await work(world)
    text = (await owner.get(address)).text
    assert "1 unit is lacking" in text
    assert "Do not send the one that waits" in text
    part = await owner.get(f"{address}/progress?seen=running.0", part=True)
    assert "<html" not in part.text
    assert "hx-refresh" not in part.headers
    assert (await owner.get(f"{address}/progress?seen=ready.0", part=True)).headers["hx-refresh"] == "true"
    assert "<html" in (await owner.get(f"{address}/progress")).text
    for act_of in ("pause", "resumption", "cancellation", "cancellation", "retries"):
        assert (await owner.post(f"{address}/{act_of}")).status_code == 303, act_of
    await work(world)
    ended = (await owner.get(address)).text
    assert "Every row has come to its end" in ended
    order_no = re.search(r'/orders/(N[0-9]{6}-[0-9A-Z]{7})"', ended)
    assert order_no
    order = (await owner.get(f"/orders/{order_no[1]}")).text
    assert "Lantern Works" in order
    assert "Sold on account" in order
    listed = (await owner.get(HOME)).text
    assert "¥15.00" in listed
    assert "<html" not in (await owner.get(f"{HOME}?client=Lantern+Works", part=True)).text
    assert "Nothing matches" in (await owner.get(f"{HOME}?state=abandoned")).text
    for odd in ("state=odd", "before=odd"):
        assert (await owner.get(f"{HOME}?{odd}")).status_code == 404
    assert (await owner.get(f"{HOME}?client=%00")).status_code == 400
    assert (await owner.get(f"{address}?rows=odd&lines=odd&after=-1")).status_code == 200


async def test_every_fault_of_the_form_is_said_at_once(world: World) -> None:
    sku = (await world.product()).skus[0]
    foreign = (await world.product(tenant=await world.new_tenant("Other"))).skus[0]
    owner = await staff(world)
    wrong = await owner.post(
        HOME, {"listing": "x", "client": "", "reference": "", "unit_price": "0", "locale": "xx", "request_id": str(new_id())}
    )
    assert wrong.status_code == 422
    for sentence in ("Choose one of the options.", "At least 1.", "There is no recipient in it."):
        assert sentence in wrong.text, sentence
    for changes, sentence in (
        ({"listing": str(foreign.listing.id)}, "Choose one of the options."),
        ({"listing": str(new_id())}, "Choose one of the options."),
        ({"recipients": "  \n"}, "There is no recipient in it."),
        ({"recipients": "phone\n"}, "There is no recipient in it."),
    ):
        answer = await owner.post(HOME, form(sku.listing.id, **changes))
        assert answer.status_code == 422
        assert sentence in answer.text, changes
    many = "\n".join("x1" for _ in range(MOST_ROWS + 1)).encode()
    for body, sentence in (
        (many, "More than 100,000 lines"),
        (b"%PDF-1.7", "neither text, CSV nor xlsx"),
        (b"PK\x03\x04", "cannot be opened"),
    ):
        answer = await owner.post(HOME, form(sku.listing.id, recipients=""), files={"file": ("people.csv", body)})
        assert answer.status_code == 422
        assert sentence in answer.text, sentence
    both = await owner.post(HOME, form(sku.listing.id), files={"file": ("people.csv", b"13800132046")})
    assert "not both" in both.text
    assert await world.value("select count(*) from issue_batch") == 0


async def test_what_failed_is_told_with_its_reason_and_its_button(world: World) -> None:
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, 2)
    batch_no = await issued(world, sku.listing.id, numbers(2))
    await work(world)
    row = (await world.rows("select order_id from issue_row order by row_no limit 1"))[0]
    await world.rows(
        "update issue_row set state = 'failed', reason = 'bad_account', says = 'no such number' where order_id = $1",
        row["order_id"],
    )
    owner = await staff(world)
    text = (await owner.get(f"{HOME}/{batch_no}")).text
    assert "The supplier does not accept the account. no such number" in text
    assert "Try the failed one again" in text
    world.may_break.add("ISSUE")


async def test_who_may_and_whose_batch_it_is(world: World) -> None:
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, 2)
    batch_no = await read(world, sku.listing.id, numbers(2))
    other = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await other.get(f"{HOME}/{batch_no}")).status_code == 404
    assert (await other.post(f"{HOME}/{batch_no}/confirmation")).status_code == 404
    for role in (MemberRole.SUPPORT, MemberRole.READ_ONLY):
        assert (await (await staff(world, role)).get(HOME)).status_code == 403
    finance = await staff(world, MemberRole.FINANCE_MAKER)
    assert "Send to 2" not in (await finance.get(f"{HOME}/{batch_no}")).text
    assert (await finance.post(f"{HOME}/{batch_no}/confirmation")).status_code == 403
    assert (await finance.post(HOME, form(sku.listing.id))).status_code == 403
    operator = await staff(world, MemberRole.OPERATOR)
    for _ in range(2):
        assert (await operator.post(f"{HOME}/{batch_no}/abandonment")).status_code == 303
    assert "what the file said is deleted" in (await operator.get(f"{HOME}/{batch_no}")).text
    assert (await operator.post(f"{HOME}/{batch_no}/confirmation")).status_code == 409
    with pytest.raises(service.NotAsShown):
        await act(world, batch_no, service.try_again)
    assert await world.value("select count(*) from issue_row") == 0
