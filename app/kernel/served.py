"""Whether a shop's own domain is served over HTTPS: asked from outside, as a browser would, by the guarded client."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from app.kernel import dns, http
from app.settings import settings

WHOSE: Final = "/.well-known/quanyi-shop"
"""Where each host of a shop says whose it is."""
PORT = 443
READ_S, TOTAL_S = 5.0, 12.0


class Served(StrEnum):
    """What a look at a domain found. `not_yet`: it leads here, and could not be opened over HTTPS."""

    SERVED = "served"
    NO_ADDRESS = "no_address"
    ELSEWHERE = "elsewhere"
    NOT_YET = "not_yet"
    SILENT = "silent"


async def look(host: str, *, slug: str, target: str, names: dns.Resolver) -> Served:
    """Open a domain as a buyer's browser would, and say where it leads when that shop does not answer. Takes `TOTAL_S` and two look-ups at most.

    The first look has the certificate fetched, so that no buyer waits for it.
    """
    try:
        addresses = await names.addresses_at(host)
        if not addresses:
            return Served.NO_ADDRESS
        if await _answers_as(host, slug, names):
            return Served.SERVED
        return Served.NOT_YET if addresses & await names.addresses_at(target) else Served.ELSEWHERE
    except dns.NamesSilent:
        return Served.SILENT


async def _answers_as(host: str, slug: str, names: dns.Resolver) -> bool:
    client = client_asking(names)
    try:
        answer = await client.send(http.Call("GET", f"https://{host}:{PORT}{WHOSE}"), read_s=READ_S, total_s=TOTAL_S)
    except http.CallFailed:
        return False
    finally:
        await client.aclose()
    return answer.status == 200 and answer.body == slug.encode()


def client_asking(names: dns.Resolver) -> http.Client:
    """A guarded client that believes the name servers that verify domains."""

    async def resolve(host: str, _port: int) -> list[str]:
        return sorted(await names.addresses_at(host))

    return http.Client(allow_loopback=settings().allow_loopback_calls, resolve=resolve)
