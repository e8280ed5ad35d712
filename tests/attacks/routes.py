"""Every address the application answers, read from the application itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

SAFE = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Route:
    """One method of one address, as the application has it: `/m/{tenant_slug}/orders`."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_safe(self) -> bool:
        return self.method in SAFE

    @property
    def is_shops(self) -> bool:
        return f"{self.path}/".startswith("/s/")

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    def filled(self, ids: Mapping[str, object]) -> str:
        """The address with ids in it, as the browser asks for it. Raises: KeyError for a parameter nobody gave."""
        path = re.sub(r"\{(\w+)\}", lambda found: str(ids[found[1]]), self.path)
        return (path.removeprefix("/s") or "/") if self.is_shops else path


def routes(application: Any) -> list[Route]:
    """All routes but the framework's OPTIONS and HEAD, shortest address first."""
    found = {Route(method, path) for path, handler in handlers(application) for method in handler.http_methods}
    return sorted(
        (route for route in found if route.method not in ("OPTIONS", "HEAD")), key=lambda route: (len(route.path), str(route))
    )


def handlers(application: Any) -> Iterator[tuple[str, Any]]:
    """Each address and the handler behind it."""
    for route in application._inner.routes:
        for handler in getattr(route, "route_handlers", None) or [route.route_handler]:
            yield route.path_format, handler


def of_nobody(route: Route, ids: Mapping[str, object]) -> dict[str, object]:
    """Ids of the right shape that nobody has, for every parameter but the tenant's address."""
    return {name: value if name == "tenant_slug" else _like(name, str(value)) for name, value in ids.items()}


def _like(name: str, value: str) -> str:
    if name == "unit_no":
        return "1"
    if re.fullmatch(r"[0-9a-f]{8}-[0-9a-f-]{27}", value):
        return str(uuid4())
    return "".join("7" if sign.isdigit() else "Q" if sign.isupper() else "q" if sign.islower() else sign for sign in value)
