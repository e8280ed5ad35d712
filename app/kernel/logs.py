"""Structured logs: one JSON object a line, with request and tenant ids, and nothing secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_NAMES = (
    "password",
    "secret",
    "token",
    "cookie",
    "authorization",
    "contact",
    "recipient",
    "code",
    "key_text",
    "phone",
    "email",
)
_LONGEST = 2000


def configure(level: str) -> None:
    """Send this process's own lines and its libraries' warnings to standard output, as JSON."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _hide,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING,
        stream=sys.stdout,
        format='{"level":"%(levelname)s","logger":"%(name)s","event":"%(message)s"}',
        force=True,
    )


def _hide(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cut long values, and blank those whose name says they are secret or personal."""
    for name, value in event.items():
        if any(word in name.lower() for word in _SECRET_NAMES):
            event[name] = "****"
        elif isinstance(value, str) and len(value) > _LONGEST:
            event[name] = value[:_LONGEST] + "…"
    return event
