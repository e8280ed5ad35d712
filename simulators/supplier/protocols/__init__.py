"""The protocols a supplier can be told to speak, by name. To add one: a module with a `Protocol`, entered here."""

from collections.abc import Mapping

from simulators.supplier.protocol import Protocol
from simulators.supplier.protocols.fulu import Fulu
from simulators.supplier.protocols.kasushou import Kasushou

PROTOCOLS: Mapping[str, type[Protocol]] = {
    "fulu": Fulu,
    "kasushou": Kasushou,
}
