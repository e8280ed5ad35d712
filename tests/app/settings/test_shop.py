"""The shop's face: saved, shown on the phone beside it, and refused with a colour that can be read."""

import io
import re

import pytest
from PIL import Image

from app.access.models import MemberRole
from app.catalog.colors import contrast
from tests.staff import desk, words_of
from tests.world import World

pytestmark = [pytest.mark.anyio]
FACE = {
    "name": "Nanzhi Mart",
    "tagline": "Keys within a second",
    "brand_color": "#9A3B1B",
    "contact_rule": "phone",
    "support_contact": "400-000",
}


def picture(kind: str = "PNG", size: tuple[int, int] = (900, 300)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "#9a3b1b").save(out, kind)
    return out.getvalue()


async def test_the_face_is_saved_and_shown_on_the_phone(world: World) -> None:
    await world.product()
    staff = await desk(world)
    page = await staff.look(
        await staff.post("/settings", {**FACE, "notice": "Open daily\nfrom 9 <script>x</script>", "mails_keys": "yes"})
    )
    row = (await world.rows("select * from storefront"))[0]
    assert (row["name"], row["brand_color"], row["contact_rule"], row["mails_keys"]) == ("Nanzhi Mart", "#9a3b1b", "phone", True)
    phone = page[page.index('class="phone shop"') :]
    assert "Nanzhi Mart" in phone
    assert "Skylark Video" in phone
    assert "brand.css?v=" in page
    assert "<script>x" not in row["notice_html"]


async def test_keys_in_mails_are_a_choice_that_can_be_made_and_unmade(world: World) -> None:
    staff = await desk(world)
    assert "a mail that was sent cannot be taken back" in words_of((await staff.get("/settings")).text)
    for sent, stored in (({"mails_keys": "on"}, True), ({}, False), ({"mails_keys": "yes"}, True)):
        await staff.post("/settings", {**FACE, **sent})
        assert await world.value("select mails_keys from storefront") is stored, sent


async def test_the_phones_colour_comes_in_a_sheet_of_its_own(world: World) -> None:
    staff = await desk(world)
    await staff.post("/settings", {**FACE, "brand_color": "#0a5c5a"})
    sheet = await staff.get("/settings/brand.css")
    assert sheet.headers["content-type"].startswith("text/css")
    assert "--primary:#0a5c5a" in sheet.text
    assert ".dark .shop{" in sheet.text


async def test_a_colour_that_cannot_be_read_is_refused_with_one_that_can(world: World) -> None:
    staff = await desk(world)
    before = await world.value("select brand_color from storefront")
    refused = await staff.post("/settings", {**FACE, "name": "Kept as typed", "brand_color": "#ffe066"})
    assert refused.status_code == 422
    assert 'value="Kept as typed"' in refused.text
    offered = re.search(r'name="take_offer" value="(#[0-9a-f]{6})"', refused.text)
    assert offered is not None
    assert contrast(offered[1], "#ffffff") >= 4.5
    assert offered[1] in words_of(refused.text)
    assert await world.value("select brand_color from storefront") == before
    taken = await staff.post("/settings", {**FACE, "brand_color": "#ffe066", "take_offer": offered[1]})
    assert taken.status_code == 303
    assert await world.value("select brand_color from storefront") == offered[1]


async def test_every_fault_is_said_at_once(world: World) -> None:
    answer = await (await desk(world)).post(
        "/settings",
        {
            "name": " ",
            "tagline": "x" * 201,
            "brand_color": "red",
            "contact_rule": "fax",
            "support_contact": "a\nb",
            "notice": "x" * 2001,
        },
    )
    assert answer.status_code == 422
    assert answer.text.count('aria-invalid="true"') == 6
    assert "6 things to correct" in words_of(answer.text)
    assert await world.value("select count(*) from audit_entry where action = 'storefront.changed'") == 0


async def test_saving_the_same_twice_is_one_entry(world: World) -> None:
    staff = await desk(world)
    for _ in range(2):
        assert (await staff.post("/settings", FACE)).status_code == 303
    rows = await world.rows("select facts, actor_name from audit_entry where action = 'storefront.changed'")
    assert len(rows) == 1
    assert "Nanzhi Mart" in str(rows[0]["facts"])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_logo_is_made_small_and_clean(world: World, kind: str) -> None:
    staff = await desk(world)
    answer = await staff.post("/settings/logo", files={"logo": ("logo", picture(kind), "application/x-whatever")})
    assert answer.status_code == 303, words_of(answer.text)
    row = (await world.rows("select p.* from picture p join storefront s on s.logo_id = p.id"))[0]
    assert (row["media_type"], row["width"], row["height"]) == ("image/webp", 512, 171)
    assert Image.open(io.BytesIO(row["body"])).format == "WEBP"
    assert f"/pictures/{row['id']}" in (await staff.get("/settings")).text
    for _ in range(2):
        await staff.post("/settings/logo/removal")
    assert await world.value("select logo_id from storefront") is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        b"GIF89a",
        picture()[:60],
        b"%PDF-1.7",
        b"\x00" * 1000,
    ],
    ids=range(6),
)
async def test_what_is_no_picture_is_refused_beside_its_field(world: World, body: bytes) -> None:
    answer = await (await desk(world)).post("/settings/logo", files={"logo": ("logo.png", body, "image/png")})
    assert answer.status_code == 422
    assert "no PNG, JPEG or WebP picture" in words_of(answer.text)
    assert await world.value("select count(*) from picture") == 0


async def test_a_picture_that_unfolds_beyond_all_bounds_is_refused(world: World) -> None:
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    answer = await (await desk(world)).post("/settings/logo", files={"logo": ("bomb.png", bomb.getvalue(), "image/png")})
    assert answer.status_code == 422
    assert await world.value("select count(*) from picture") == 0


async def test_a_file_beyond_the_limit_is_not_read(world: World) -> None:
    answer = await (await desk(world)).post("/settings/logo", files={"logo": ("big.png", b"x" * (9 * 1024 * 1024), "image/png")})
    assert answer.status_code == 413


async def test_roles_and_strangers(world: World) -> None:
    for role in MemberRole:
        staff = await desk(world, role)
        may = role in (MemberRole.OWNER, MemberRole.OPERATOR)
        assert (await staff.get("/settings")).status_code == (200 if may else 403)
        assert (await staff.post("/settings", FACE)).status_code == (303 if may else 403)
    stranger = await desk(world, tenant=await world.new_tenant())
    assert (await stranger.client.get(f"/m/{world.tenant.slug}/settings")).status_code == 404
    answer = await stranger.client.post(f"/m/{world.tenant.slug}/settings", data=FACE, headers={"x-csrf-token": stranger.token})
    assert answer.status_code == 404


async def test_a_form_without_its_token_changes_nothing(world: World) -> None:
    staff = await desk(world)
    answer = await staff.client.post(f"{staff.home}/settings", data=FACE)
    assert answer.status_code == 403
    assert await world.value("select name from storefront") == "Nanzhi"
