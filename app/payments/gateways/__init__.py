"""Payment companies, one folder or file each, behind the port in `port.py`.

To add one: implement `port.Gateway`, write its tests against recorded answers, and enter it in `GATEWAYS`.
"""

from collections.abc import Mapping

from app.kernel.http import Client
from app.payments.gateways.port import Gateway, IncompleteConnection
from app.payments.gateways.sandbox import SandboxGateway

GATEWAYS: Mapping[str, type[Gateway]] = {SandboxGateway.name: SandboxGateway}


def open_gateway(name: str, config: Mapping[str, str], client: Client | None = None) -> Gateway:
    """The gateway a connection names. Raises: IncompleteConnection for an unknown name or settings that lack something."""
    if name not in GATEWAYS:
        raise IncompleteConnection(f"there is no payment gateway named {name}")
    return GATEWAYS[name].for_connection(config, client)
