"""The pages' sheets, scripts and symbols: read once, kept in memory, and sent compressed to whoever takes it.

Pages themselves are not compressed here: they hold form tokens beside words that come from the address, which a listener could guess by
their length. A proxy in front has the same choice to make.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache

from litestar import Response, route
from litestar.enums import HttpMethod
from litestar.params import FromPath

from app.kernel.errors import NotFound
from app.kernel.templating import STATIC
from app.kernel.web import AnyRequest

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".md": "text/plain; charset=utf-8",
}
_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
"""Addresses carry a mark of the content, so a changed file has another address."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: as it is, and compressed."""

    body: bytes
    zipped: bytes
    media_type: str


@route("/static/{file:path}", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"public": True}, sync_to_thread=False)
def asset(request: AnyRequest, file: FromPath[str]) -> Response[bytes]:
    """A file under web/static. Raises: NotFound."""
    found = _assets().get(str(file).lstrip("/"))
    if found is None:
        raise NotFound
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.zipped, media_type=found.media_type, headers={**_FOR_EVER, "content-encoding": "gzip"})
    return Response(found.body, media_type=found.media_type, headers=_FOR_EVER)


@cache
def _assets() -> dict[str, Asset]:
    """Every file, by its path below web/static: what is not in here is not served, whatever a path says."""
    files = [file for file in sorted(STATIC.rglob("*")) if file.is_file()]
    return {file.relative_to(STATIC).as_posix(): _asset(file.read_bytes(), file.suffix) for file in files}


def _asset(body: bytes, suffix: str) -> Asset:
    return Asset(body, gzip.compress(body, 9, mtime=0), _TYPES.get(suffix, "text/plain; charset=utf-8"))
