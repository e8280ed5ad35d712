"""Where this checkout keeps things."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / ".data"
PYTHON = sys.executable


def shown(path: Path) -> str:
    """As a person at the root of the checkout would write it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def make_private_folder(folder: Path) -> Path:
    """Logs and books tell of buyers: nobody else looks in."""
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def make_folder(folder: Path) -> Path:
    """A folder others may walk through but not list: the database's account must reach its own folder inside."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o711)
    return folder
