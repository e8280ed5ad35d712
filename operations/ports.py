"""Ports on this machine: the usual ones where they are free, else any."""

import random
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class Ports:
    """One port for each door of the system, all on 127.0.0.1."""

    web: int = 8000
    postgres: int = 5433
    gateway: int = 8027
    outbox: int = 8026
    smtp: int = 1025

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


USUAL = Ports()
_ANY = range(20_000, 32_000)
FIRST_SUPPLIER = 8030
"""The usual port of the first simulated supplier; the next ones follow."""


def choose_ports(*, usual: bool) -> Ports:
    """The usual ports, each replaced by a free one where it is taken; all of them free ones when `usual` is false."""
    free = free_ports(len(fields(Ports)))
    wanted = USUAL.as_dict()
    return Ports(**{name: port if usual and is_free(port) else free.pop() for name, port in wanted.items()})


def choose_supplier_ports(
    protocols: Sequence[str], ports: Ports, *, usual: bool, known: Mapping[str, int] | None = None
) -> dict[str, int]:
    """One for each simulated supplier, none of them the system's own. A demo's connections name them: those they know come before the usual ones,
    where they are free.
    """
    free = [port for port in free_ports(len(protocols) + len(fields(Ports))) if port not in ports.as_dict().values()]
    wanted = {protocol: FIRST_SUPPLIER + place for place, protocol in enumerate(protocols)} | dict(known or {})
    return {protocol: wanted[protocol] if usual and is_free(wanted[protocol]) else free.pop() for protocol in protocols}


def is_free(port: int) -> bool:
    """On both loopback addresses: a browser that asks for *.localhost may try ::1 first and find a stranger there."""
    return _can_bind(socket.AF_INET, "127.0.0.1", port) and (not _has_ipv6() or _can_bind(socket.AF_INET6, "::1", port))


def free_ports(count: int) -> list[int]:
    """Different ones: all are held until the last is found.

    They lie below the range that this system draws from for connections, or one of those would take a port between its choice and its use.
    """
    found: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(_ANY, len(_ANY)):
            if len(found) == count:
                break
            probe = held.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
    return found


def answers(port: int) -> bool:
    """Whether somebody listens on the port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _can_bind(family: socket.AddressFamily, host: str, port: int) -> bool:
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger after a stop do not count
        with suppress(OSError):
            probe.bind((host, port))
            return True
    return False


def _has_ipv6() -> bool:
    try:
        return _can_bind(socket.AF_INET6, "::1", 0)
    except OSError:
        return False
