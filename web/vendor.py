"""Re-creates the vendored front-end files from `web/vendor.lock`.

    python web/vendor.py          fetch the pinned packages with `npm pack`, verify, write
    python web/vendor.py --check  compare what is on disk with the lock, no network
    python web/vendor.py --lock   accept the fetched packages and write their sums into the lock

A file whose sum differs from the lock is refused before anything is written. The icon sprite is built from the icons the
lock names. Standard library only, so that it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
LOCK: Final = ROOT / "web" / "vendor.lock"
FETCH_TIMEOUT_S: Final = 120


class VendorError(Exception):
    """What is on disk or in a package is not what the lock says."""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_lock() -> dict[str, Any]:
    lock: dict[str, Any] = json.loads(LOCK.read_text(encoding="utf-8"))
    return lock


def fetch(name: str, version: str, folder: Path) -> tarfile.TarFile:
    """The package as npm's own client delivers it, opened."""
    command = ["npm", "pack", f"{name}@{version}", "--silent", "--pack-destination", str(folder)]
    packed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S)
    return tarfile.open(folder / packed.stdout.split()[-1])


def member(package: tarfile.TarFile, path: str) -> bytes:
    try:
        stream = package.extractfile(f"package/{path}")
    except KeyError:
        stream = None
    if stream is None:
        raise VendorError(f"the package has no file {path}")
    return stream.read()


def sprite(package: tarfile.TarFile, icons: list[str]) -> bytes:
    """One SVG with a symbol for each icon; pages use it as `icons.svg#name`."""
    symbols = []
    for name in sorted(icons):
        drawing = re.search(r"<svg[^>]*>(.*)</svg>", member(package, f"icons/{name}.svg").decode(), re.S)
        assert drawing, name
        inner = re.sub(r"\s+", " ", drawing[1]).replace(" />", "/>").replace("> <", "><").strip()
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{inner}</symbol>')
    return ('<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n").encode()


def contents(entry: dict[str, Any], folder: Path) -> dict[str, bytes]:
    """What one lock entry puts on disk: path from the project's root -> bytes."""
    with fetch(entry["name"], entry["version"], folder) as package:
        found = {file["to"]: member(package, file["from"]) for file in entry["files"] if "from" in file}
        for file in entry["files"]:
            if "icons" in file:
                found[file["to"]] = sprite(package, file["icons"])
    return found


def verify(entry: dict[str, Any], found: dict[str, bytes]) -> None:
    for file in entry["files"]:
        if sha256(found[file["to"]]) != file["sha256"]:
            raise VendorError(f"{entry['name']} {entry['version']}: {file['to']} differs from the lock")


def check() -> list[str]:
    """What on disk is missing or differs from the lock, one sentence each."""
    problems = []
    for entry in read_lock()["packages"]:
        for file in entry["files"]:
            path = ROOT / file["to"]
            if not path.is_file():
                problems.append(f"{file['to']} is missing; run python web/vendor.py")
            elif sha256(path.read_bytes()) != file["sha256"]:
                problems.append(f"{file['to']} differs from web/vendor.lock; run python web/vendor.py")
    return problems


def restore(*, accept: bool) -> None:
    lock = read_lock()
    with tempfile.TemporaryDirectory() as folder:
        fetched = [(entry, contents(entry, Path(folder))) for entry in lock["packages"]]
    for entry, found in fetched:
        if accept:
            for file in entry["files"]:
                file["sha256"] = sha256(found[file["to"]])
        verify(entry, found)
    for _, found in fetched:
        for to, content in found.items():
            (ROOT / to).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / to).write_bytes(content)
    if accept:
        LOCK.write_text(json.dumps(lock, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--check", action="store_true", help="compare the disk with the lock")
    ask.add_argument("--lock", action="store_true", help="write the fetched packages' sums into the lock")
    args = ask.parse_args()
    if args.check:
        problems = check()
        sys.stdout.write(("\n".join(problems) or "vendored files are as locked") + "\n")
        return 1 if problems else 0
    try:
        restore(accept=args.lock)
    except VendorError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
