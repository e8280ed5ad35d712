"""Other companies, played by separate processes with books of their own. They import nothing of the system under test."""

import gc
import sys

# Run as a program: Litestar imports an ORM where one is installed, and the garbage collector walks what is being loaded; together they are
# most of what a simulator's start takes. `serving.serve` has the collector back.
if sys.argv[0] == "-m":
    sys.modules["advanced_alchemy"] = None  # type: ignore[assignment]
    gc.disable()
