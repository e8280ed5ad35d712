"""Opening a connection to call its supplier: credentials unsealed, the connector made, and kept while they stay as they are."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.vault import keyring
from app.suppliers.connectors import open_connector
from app.suppliers.connectors.port import Connector
from tenants.session import Tx

_KEPT_OPEN = 500


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection ready to be called."""

    id: UUID
    name: str
    connector: Connector


_opened: OrderedDict[tuple[UUID, UUID], tuple[datetime, Opened]] = OrderedDict()


async def connection_of(tx: Tx, connection_id: UUID) -> Opened:
    """The connection, opened again when its settings were changed since. Raises: NotFound, IncompleteConnection."""
    row = await tx.fetchrow(
        "select id, connector, name, config, configured_at from supplier_connection where id = $1", connection_id
    )
    if row is None:
        raise NotFound
    if known := opened_as_of(tx, connection_id, row["configured_at"]):
        return known
    config = json.loads((await keyring(tx)).open("supplier_connection", "config", row["id"], row["config"]).reveal())
    opened = Opened(row["id"], row["name"], open_connector(row["connector"], config))
    _opened[tx.tenant.id, connection_id] = (row["configured_at"], opened)
    if len(_opened) > _KEPT_OPEN:
        _opened.popitem(last=False)
    return opened


def opened_as_of(tx: Tx, connection_id: UUID, configured_at: datetime) -> Opened | None:
    """The connection as this process opened it last, when its settings were these already."""
    known = _opened.get((tx.tenant.id, connection_id))
    return known[1] if known and known[0] == configured_at else None
