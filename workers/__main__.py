"""A worker process: `python -m workers`. Start as many as there is work; they share it by row locks."""

from __future__ import annotations

import uvloop

from app.kernel.loading import load

if __name__ == "__main__":
    uvloop.run(load("workers.worker").main())
