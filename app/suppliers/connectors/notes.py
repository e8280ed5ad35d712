"""What several connectors share because their suppliers' texts leave it open: our own bounds, not theirs."""

from __future__ import annotations

from datetime import date, timedelta

NOTES_READ_ON = date(2026, 11, 21)
"""When the notes on these protocols were closed. They were read in public text; nothing was called live."""

GRACE = timedelta(minutes=10)
"""After so long "not found" counts. No text of these suppliers names a time; this is the longest a comparable one names."""

OWN_LIFE = timedelta(days=1)
"""So long we rely on a promise that is given without an end."""

CALLS_PER_SECOND = 5.0
CALLS_AT_ONCE = 4

DINGCONNECT_READ_ON = date(2019, 1, 1)
"""The year of the generated client that DingConnect's description was read in; its day was not kept."""
