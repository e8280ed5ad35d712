"""Asking the name system whether a merchant rules a domain. A port, so that another resolver can stand in its place."""

from __future__ import annotations

from typing import Protocol

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
        try:
            answer = await self._resolver.resolve(name, "TXT", search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return frozenset()
        except (dns.exception.DNSException, OSError) as error:
            raise NamesSilent(type(error).__name__) from None
        return frozenset(b"".join(record.strings).decode("utf-8", "replace") for record in answer)


def name_servers() -> Resolver:
    """The resolver of this installation."""
    return NameServers(settings().dns_server)
