"""How the states of batches and keys read."""

from __future__ import annotations

from app.inventory.models import BatchState, KeyState
from app.kernel.errors import N_
from app.kernel.templating import register_states

register_states(
    "batch",
    {
        BatchState.CHECKING: (N_("Checking"), "info"),
        BatchState.READY: (N_("To confirm"), "warn"),
        BatchState.IMPORTING: (N_("Importing"), "info"),
        BatchState.IMPORTED: (N_("Imported"), "ok"),
        BatchState.QUARANTINING: (N_("Being quarantined"), "bad"),
        BatchState.QUARANTINED: (N_("Quarantined"), "bad"),
        BatchState.RELEASING: (N_("Being released"), "info"),
        BatchState.ABANDONED: (N_("Abandoned"), ""),
        BatchState.REJECTED: (N_("Rejected"), "bad"),
    },
)
register_states(
    "key",
    {
        KeyState.FREE: (N_("For sale"), "ok"),
        KeyState.DELIVERED: (N_("Delivered"), ""),
        KeyState.VOIDED: (N_("Voided"), ""),
        KeyState.QUARANTINED: (N_("Quarantined"), "bad"),
        KeyState.EXPIRED: (N_("Expired"), "warn"),
    },
)
