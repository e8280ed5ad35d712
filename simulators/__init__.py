"""Other companies, played by separate processes with books of their own. They import nothing of the system under test."""

import sys

# Run as a program: Litestar imports an ORM where one is installed, and that is half of what a simulator's start takes.
if sys.argv[0] == "-m":
    sys.modules["advanced_alchemy"] = None  # type: ignore[assignment]
