"""Structured logs: one JSON object a line, with request and tenant ids, and nothing secret: errors are told without the values in them."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import asyncpg
import structlog
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from app.kernel.log_sink import LogSink

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
_LAST_WORDS = 500
"""Of a value that is cut in its middle: a trace says last what happened."""


def configure(level: str) -> None:
    """Send this process's own lines, its server's and its libraries' warnings to standard output, as JSON. Nobody waits for them to be written."""
    out = LogSink(sys.stdout)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _tell_trace,
            _hide,
            structlog.processors.JSONRenderer(serializer=_line),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(out),  # type: ignore[arg-type]  # it writes and flushes, and is no file
        cache_logger_on_first_use=True,
    )
    libraries = logging.StreamHandler(out)
    libraries.setFormatter(_LibraryLine())
    logging.basicConfig(level=logging.WARNING, handlers=[libraries], force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def told(error: BaseException) -> str:
    """An error as it may be written down: its kind and its words, without what somebody sent or a table held.

    Databases and checkers of input quote values in their words, so of these only the kind, code and constraint are told.
    """
    kind = type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        where = " ".join(part for part in (error.sqlstate, error.table_name, error.constraint_name) if part)
        return f"{kind}: {where}"
    if isinstance(error, _QUOTING):
        return kind
    words = _QUOTED.sub("…", str(error))[:_LONGEST_WORDS]
    return f"{kind}: {words}" if words else kind


class _LibraryLine(logging.Formatter):
    """A library's line in the shape of our own."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {"level": record.levelname.lower(), "logger": record.name, "event": record.getMessage()}
        if record.exc_info and record.exc_info[1]:
            event["exception"] = _trace_of(record.exc_info[1])
        return _line(_hide(None, "", event))


def _tell_trace(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Where an error came from, file by file, and what it and its causes say."""
    error = event.pop("exc_info", None)
    error = sys.exc_info()[1] if error is True else error
    if isinstance(error, BaseException):
        event["exception"] = _trace_of(error)
    return event


def _trace_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _LIBRARIES not in frame.filename] or frames[-3:]
    parts = [told(error), "".join(traceback.format_list(ours)).rstrip()]
    if isinstance(error, BaseExceptionGroup):
        parts += [_trace_of(part) for part in error.exceptions]
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join([*parts, *([f"after\n{_trace_of(before)}"] if before else [])])


def _hide(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cut long values in their middle, and blank those whose name says they are secret or personal."""
    for name, value in event.items():
        if any(word in name.lower() for word in _SECRET_NAMES):
            event[name] = "****"
        elif isinstance(value, str) and len(value) > _LONGEST:
            event[name] = f"{value[: _LONGEST - _LAST_WORDS]} … {value[-_LAST_WORDS:]}"
    return event


def _line(event: MutableMapping[str, Any], **more: Any) -> str:
    """One event as one line of JSON, also for readers who take other signs for a line's end or obey them."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(event, ensure_ascii=False, **more))


_LIBRARIES = "site-packages"
"""Frames from there are left out of a trace, which has to be short to be whole."""
_LONGEST_WORDS = 300
_QUOTING: tuple[type[BaseException], ...] = (asyncpg.InterfaceError, SQLAlchemyError, ValidationError, UnicodeError)
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.S)
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
