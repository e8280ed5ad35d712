"""`./quanyi keys` that waits for nobody and moves few secrets at a time, so that it can be killed half-way: `python -m tests.app.kernel.hasty_keys …`."""

from __future__ import annotations

import sys

from app.kernel import rekeying, vault
from operations import key_changes

if __name__ == "__main__":
    vault.FRESH_S, vault.SETTLES_S, rekeying._BATCH = 0.05, 0.2, 3
    sys.exit(key_changes.run(sys.argv[1:]))
