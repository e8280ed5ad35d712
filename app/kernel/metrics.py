"""Figures for Prometheus. Paths are grouped by route, and no tenant is a label."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Histogram(
    "quanyi_request_seconds",
    "Time to answer a request.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 1, 3, 10),
)
ALARMS = Gauge("quanyi_open_alarms", "Standing rules that do not hold, by rule.", ["rule"], multiprocess_mode="mostrecent")
TASKS = Counter("quanyi_tasks_total", "Tasks done, by kind and whether they succeeded.", ["kind", "outcome"])


def exposition() -> bytes:
    """All figures of all processes of this installation's web server, as text."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
