"""Loading a program's modules with the garbage collector away, before anything else of the program is there."""

from __future__ import annotations

import gc
from importlib import import_module
from types import ModuleType


def load(name: str) -> ModuleType:
    """Import a module and all it needs. What is loaded stays out of the collector's sight, and in one copy among forks.

    The collector would walk all that is loaded so far some hundred times, a quarter of a start, and find nothing to take away.
    """
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()
