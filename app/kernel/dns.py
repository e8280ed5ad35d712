"""Asking the name system whether a merchant rules a domain, and where it leads. A port, so that another resolver can stand in its place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

from app.settings import settings

TIMEOUT_S = 4.0


class NamesSilent(Exception):
    """No name server answered in time: nothing is known, and the same question may be asked again."""


class Resolver(Protocol):
    """What we ask of the name system."""

    async def texts_at(self, name: str) -> frozenset[str]:
        """Every TXT record at a name, empty when there is none. Raises: NamesSilent."""
        ...

    async def addresses_at(self, name: str) -> frozenset[str]:
        """Every address a name leads to, over aliases too, empty when there is none. Raises: NamesSilent."""
        ...


class NameServers:
    """Asks the name servers of this machine, or the one that the setting `dns_server` names, over UDP and then TCP."""

    def __init__(self, server: str | None) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=server is None)
        if server is not None:
            host, _, port = server.rpartition(":") if ":" in server else (server, "", "53")
            self._resolver.nameservers = [host]
            self._resolver.port = int(port)
        self._resolver.lifetime = TIMEOUT_S
        self._resolver.timeout = TIMEOUT_S / 2
        self._resolver.cache = None

    async def texts_at(self, name: str) -> frozenset[str]:
        """As the port says. A record in several pieces is read as one text."""
        return frozenset(b"".join(record.strings).decode("utf-8", "replace") for record in await self._ask(name, "TXT"))

    async def addresses_at(self, name: str) -> frozenset[str]:
        """As the port says."""
        return frozenset([record.address for kind in ("A", "AAAA") for record in await self._ask(name, kind)])

    async def _ask(self, name: str, kind: str) -> Iterable[Any]:
        try:
            return await self._resolver.resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.exception.DNSException, OSError) as error:
            raise NamesSilent(type(error).__name__) from None


def name_servers() -> Resolver:
    """The resolver of this installation."""
    return NameServers(settings().dns_server)
