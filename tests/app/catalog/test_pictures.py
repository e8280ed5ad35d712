"""Pictures of products: what is taken in, what is refused, how they are served."""

import io
import struct
import zlib

import pytest
from PIL import Image

from app.access.models import MemberRole
from app.catalog.pictures import NotAPicture, PictureTooLarge, encoded
from app.storefront.shelf import shelf_of
from tests.app.staff import staff
from tests.world import World

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'


def picture(kind: str = "PNG", size: tuple[int, int] = (1200, 600), **more: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "#9a3b1b").save(out, kind, **more)
    return out.getvalue()


def huge_png(side: int) -> bytes:
    """A PNG whose header says it is `side` pixels square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_become_webp_of_bounded_size(kind: str) -> None:
    made = encoded(picture(kind))
    assert (made.media_type, made.width, made.height) == ("image/webp", 960, 480)
    assert Image.open(io.BytesIO(made.body)).format == "WEBP"


def test_what_was_hidden_in_a_picture_is_gone() -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET PLACE"
    exif[0x0112] = 6  # turned by a quarter
    made = encoded(picture("JPEG", (400, 200), exif=exif) + b"<script>alert(1)</script>")
    assert b"SECRET" not in made.body
    assert b"script" not in made.body
    assert (made.width, made.height) == (200, 400)


@pytest.mark.case("H14")
@pytest.mark.parametrize(
    "body", [SVG, b"GIF89a" + b"\0" * 100, picture("GIF"), picture("BMP"), b"\x89PNG\r\n\x1a\n", picture()[:200], b"%PDF", b"x"]
)
def test_lies_are_refused(body: bytes) -> None:
    with pytest.raises(NotAPicture):
        encoded(body)


@pytest.mark.case("H14")
@pytest.mark.parametrize("body", [huge_png(7_000), huge_png(20_000), b"\xff\xd8\xff" + b"\0" * (5 * 1024 * 1024)])
def test_pictures_that_unpack_to_too_much_are_refused(body: bytes) -> None:
    with pytest.raises(PictureTooLarge):
        encoded(body)


@pytest.mark.anyio
@pytest.mark.database
async def test_picture_is_uploaded_served_and_taken_away(world: World) -> None:
    product = await world.product()
    owner, path = await staff(world), f"/products/{product.id}/picture"
    for kind in ("PNG", "JPEG"):
        assert (await owner.post(path, files={"picture": ("a.png", picture(kind))})).status_code == 303
    assert await world.value("select count(*) from picture") == 1
    picture_id = next(iter((await shelf_of(world.tenant)).products.values())).picture_id
    served = await owner.get(f"/pictures/{picture_id}")
    assert served.headers["content-type"] == "image/webp"
    assert served.headers["x-content-type-options"] == "nosniff"
    assert f"/pictures/{picture_id}" in (await owner.get("/products")).text
    assert (await owner.post(path, {"act": "remove"})).status_code == 303
    assert (await owner.get(f"/pictures/{picture_id}")).status_code == 404
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await stranger.get(f"/pictures/{picture_id}")).status_code == 404
    assert (await stranger.post(path, files={"picture": ("a.png", picture())})).status_code == 404


@pytest.mark.anyio
@pytest.mark.database
async def test_no_picture_says_what_to_do_and_changes_nothing(world: World) -> None:
    product = await world.product()
    owner, path = await staff(world), f"/products/{product.id}/picture"
    for body in (SVG, b"", b"\x89PNG"):
        answer = await owner.post(path, files={"picture": ("a.svg", body)})
        assert answer.status_code == 422
        assert 'id="f-picture-error"' in answer.text
        assert "Skylark Video" in answer.text
    assert (await owner.post(path, files={"picture": ("a.png", b"\0" * (6 * 1024 * 1024))})).status_code == 413
    reader = await staff(world, MemberRole.READ_ONLY)
    assert (await reader.post(path, files={"picture": ("a.png", picture())})).status_code == 403
    assert await world.value("select count(*) from picture") == 0
