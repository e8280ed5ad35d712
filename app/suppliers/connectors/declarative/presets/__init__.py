"""Recipes to start from. What nobody verified in them is listed under `not_verified`: a default to compare with the supplier's own document."""

from __future__ import annotations

from importlib.resources import files


def preset_names() -> list[str]:
    return sorted(entry.name.removesuffix(".json") for entry in files(__name__).iterdir() if entry.name.endswith(".json"))


def preset(name: str) -> str:
    """The JSON of a preset. Raises: KeyError for a name there is none of."""
    if name not in preset_names():
        raise KeyError(name)
    return files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8")
