"""The protocols a supplier can be told to speak, by name. To add one: a module with a `Protocol`, entered here."""

from collections.abc import Mapping

from simulators.supplier.protocol import Protocol
from simulators.supplier.protocols.agiso_acpr import AgisoAcpr
from simulators.supplier.protocols.dingconnect import DingConnect
from simulators.supplier.protocols.families import Family962699, FamilyExchange, FamilyHaixin
from simulators.supplier.protocols.fulu import Fulu
from simulators.supplier.protocols.kasushou import Kasushou
from simulators.supplier.protocols.reloadly import Reloadly
from simulators.supplier.protocols.tango import Tango
from simulators.supplier.protocols.tremendous import Tremendous

PROTOCOLS: Mapping[str, type[Protocol]] = {
    "agiso_acpr": AgisoAcpr,
    "dingconnect": DingConnect,
    "family_962699": Family962699,
    "family_exchange": FamilyExchange,
    "family_haixin": FamilyHaixin,
    "fulu": Fulu,
    "kasushou": Kasushou,
    "reloadly": Reloadly,
    "tango": Tango,
    "tremendous": Tremendous,
}
