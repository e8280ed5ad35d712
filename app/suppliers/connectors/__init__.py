"""Suppliers' protocols, one folder each, behind the port in `port.py`.

To add one: implement `port.Connector`, write its tests against recorded answers, teach the supplier simulator to speak it, and enter it in `CONNECTORS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.kernel.http import Client
from app.suppliers.connectors.agiso_acpr.connector import AgisoAcpr
from app.suppliers.connectors.declarative.connector import Declarative
from app.suppliers.connectors.dingconnect.connector import DingConnect
from app.suppliers.connectors.fulu.connector import Fulu
from app.suppliers.connectors.kasushou.connector import Kasushou
from app.suppliers.connectors.port import Connector, IncompleteConnection
from app.suppliers.connectors.reloadly.airtime import ReloadlyAirtime
from app.suppliers.connectors.reloadly.gift_cards import ReloadlyGiftCards
from app.suppliers.connectors.tango.connector import Tango
from app.suppliers.connectors.tremendous.connector import Tremendous

CONNECTORS: Mapping[str, type[Connector]] = {
    "agiso_acpr": AgisoAcpr,
    "declarative": Declarative,
    "dingconnect": DingConnect,
    "fulu": Fulu,
    "kasushou": Kasushou,
    "reloadly_airtime": ReloadlyAirtime,
    "reloadly_gift_cards": ReloadlyGiftCards,
    "tango": Tango,
    "tremendous": Tremendous,
}


def open_connector(name: str, config: Mapping[str, str], client: Client | None = None) -> Connector:
    """The connector a connection names. Raises: IncompleteConnection for an unknown name or settings that lack something."""
    if name not in CONNECTORS:
        raise IncompleteConnection("connector", f"there is no connector named {name}")
    return CONNECTORS[name].for_connection(config, client)
