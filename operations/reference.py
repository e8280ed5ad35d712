"""The environment reference, generated from the settings: docs/environment.md. `./quanyi check` refuses one that is not what the settings say."""

import argparse

from pydantic_core import PydanticUndefined

from app.settings import Settings
from operations.places import ROOT

FILE = ROOT / "docs" / "environment.md"
HEAD = """# Environment

Made by `python -m operations.reference` from `app/settings.py`. Every setting is read once, at start; a wrong environment is refused with all its faults.

| Variable | Default | Meaning |
|---|---|---|
"""


def run(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="reference", description=__doc__).parse_args(arguments)
    FILE.write_text(document(), encoding="utf-8")
    return 0


def document() -> str:
    """The page as the settings of today say it."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = (
            "required" if field.default is PydanticUndefined else "none" if field.default in (None, "") else f"`{field.default}`"
        )
        rows.append(f"| `QUANYI_{name.upper()}` | {default} | {field.description} |")
    return HEAD + "\n".join(rows) + "\n"


def check() -> list[str]:
    """What is wrong with the file, as sentences."""
    is_current = FILE.is_file() and FILE.read_text(encoding="utf-8") == document()
    return [] if is_current else ["docs/environment.md is not what the settings say: run python -m operations.reference"]


if __name__ == "__main__":
    raise SystemExit(run([]))
