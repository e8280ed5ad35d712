"""A disk that is full: writing is refused with a sentence, reading goes on, nothing stands half, and with room again all of it works by itself.

The disk is a small file system in memory that holds the database's files; its log stays on the large one, as on a server with a disk of its own for it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.app.staff import staff
from tests.app.storefront.buyer import Buyer
from tests.installation import Installation
from tests.second_database import second_database
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database, pytest.mark.case("J03")]
SIZE_MB = 96
TERMS = {"unit_cost": "14.70"}


class SmallDisk:
    """A mounted file system of a few megabytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Take all room that is left."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue

    def make_room(self) -> None:
        self._filler.unlink(missing_ok=True)


@pytest.fixture
def disk(installation: Installation) -> Iterator[SmallDisk]:
    folder = installation.postgres.home / f"small-{secrets.token_hex(4)}"
    folder.mkdir()
    owner = installation.postgres.data.stat()
    options = f"size={SIZE_MB}m,uid={owner.st_uid},gid={owner.st_gid},mode=700"
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False).returncode
    ):
        pytest.skip("this account may not mount a small file system")
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)
    folder.rmdir()


@pytest.fixture
async def cramped(world: World, installation: Installation, disk: SmallDisk) -> AsyncIterator[World]:
    """A world whose database lies on the small disk."""
    name = f"small_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(installation.postgres.admin_url())
    tables = disk.folder / "tables"
    tables.mkdir(mode=0o700)
    os.chown(tables, disk.folder.stat().st_uid, disk.folder.stat().st_gid)
    await admin.execute(f"create tablespace {name} location '{tables}'")
    await admin.execute(
        f"create database {name} owner quanyi_owner template template0 encoding 'UTF8' locale 'C' tablespace {name}"
    )
    try:
        async with second_database(world, installation, name) as made:
            made.tenant = await made.new_tenant("Cramped")
            await admin.execute(
                "checkpoint"
            )  # a copied database has files with holes: whoever reads later would have to find room for them
            yield made
    finally:
        disk.make_room()
        await admin.execute(f"drop database {name} with (force)")
        await admin.execute(f"drop tablespace {name}")
        await admin.close()


async def counted(world: World) -> dict[str, Any]:
    names = ("import_batch", "import_chunk", "import_line", "card_key", "shop_order", "audit_entry", "task")
    return {name: await world.value(f"select count(*) from {name}") for name in names}


async def test_a_full_disk_refuses_writing_and_nothing_else(cramped: World, disk: SmallDisk) -> None:
    product = await cramped.product()
    await cramped.stock(product.skus[0].id, 20)
    merchant, buyer = await staff(cramped), Buyer(cramped.client())
    path = f"/card-pools/{product.skus[0].id}/imports"
    upload = "\n".join(f"KEY-{secrets.token_hex(12)}" for _ in range(40_000))
    before = await counted(cramped)
    disk.fill()
    refused = await merchant.post(path, TERMS, files={"file": ("keys.txt", upload)})
    assert refused.status_code == 503
    assert "Nothing was changed" in refused.text
    assert refused.headers["retry-after"]
    for page in ("/", f"/products/{product.id}"):
        assert (await buyer.get(page)).status_code == 200, "reading goes on"
    assert await counted(cramped) == before, "nothing stands half"
    await cramped.assert_books_balance(cramped.tenant)
    disk.make_room()
    taken = await merchant.post(path, TERMS, files={"file": ("keys.txt", upload)})
    assert taken.status_code == 303
    await cramped.bought(product.skus[0].listing.id)
    await cramped.assert_books_balance(cramped.tenant)


async def test_orders_are_placed_whole_or_refused_while_the_disk_fills(cramped: World, disk: SmallDisk) -> None:
    """Some still fit into pages that are there; from then on each is a refusal."""
    product = await cramped.product()
    await cramped.stock(product.skus[0].id, 500)
    buyer = Buyer(cramped.client())
    before = [(await buyer.buy(product.id, contact=f"139{n:08d}")).status_code for n in range(3)]
    disk.fill()
    statuses = before + [(await buyer.buy(product.id, contact=f"138{n:08d}")).status_code for n in range(150)]
    assert set(statuses) == {303, 503}
    assert statuses[-1] == 503
    assert await cramped.value("select count(*) from shop_order") == statuses.count(303)
    assert await cramped.value("select reserved from stock") == statuses.count(303)
    disk.make_room()
    assert (await buyer.buy(product.id, contact="13700000009")).status_code == 303
    await cramped.assert_books_balance(cramped.tenant)
