"""What the suppliers' pages share: words for states, kinds and protocols, and what each of them shows."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from app.access.guards import may_do
from app.access.permissions import Permission
from app.catalog.models import DeliveryKind
from app.catalog.pages.shared import KINDS, base
from app.kernel import clock, i18n
from app.kernel.errors import N_
from app.kernel.forms import plain_share
from app.kernel.templating import register_states
from app.kernel.web import AnyRequest
from app.suppliers.connectors import CONNECTORS
from app.suppliers.connectors.port import Ability, Setting
from app.suppliers.models import ConnectionMode, ImportResult, OwnStock, RoutePolicy, TestState
from app.suppliers.overview import Standing
from tenants.directory import Tenant

register_states(
    "connection",
    {
        Standing.UNTESTED: (N_("Not tested yet"), ""),
        Standing.OFF: (N_("Switched off"), ""),
        Standing.HELD: (N_("Stopped by hand"), "bad"),
        Standing.TRIPPED: (N_("Tripped"), "bad"),
        Standing.PROBING: (N_("Being tried again"), "warn"),
        Standing.DEGRADED: (N_("Degraded"), "warn"),
        Standing.HEALTHY: (N_("Healthy"), "ok"),
    },
)
register_states(
    "connection_mode", {ConnectionMode.TEST: (N_("Test mode"), "warn"), ConnectionMode.LIVE: (N_("Live mode"), "info")}
)
register_states(
    "test_order",
    {
        TestState.PLANNED: (N_("Being sent"), "info"),
        TestState.SENDING: (N_("Being sent"), "info"),
        TestState.ACCEPTED: (N_("Waiting for the supplier"), "info"),
        TestState.UNKNOWN: (N_("Outcome unknown"), "odd"),
        TestState.SUCCEEDED: (N_("Arrived"), "ok"),
        TestState.FAILED: (N_("Refused"), "bad"),
    },
)
register_states(
    "import_line",
    {
        ImportResult.WAITING: (N_("Waiting"), ""),
        ImportResult.MADE: (N_("Product made"), "ok"),
        ImportResult.EXCLUDED: (N_("Left out: on the exclusion list"), ""),
        ImportResult.MAPPED: (N_("Left out: serves a SKU already"), ""),
        ImportResult.NOT_ON_SALE: (N_("Left out: the supplier does not sell it"), ""),
        ImportResult.RANGE: (N_("Left out: sold by a range of values"), "warn"),
        ImportResult.OTHER_CURRENCY: (N_("Left out: its cost is in another currency"), "warn"),
        ImportResult.NONSENSE: (N_("Left out: its name, kind or cost makes no product"), "bad"),
    },
)
POLICY_WORDS: Final = {
    RoutePolicy.CHEAPEST: (N_("Cheapest"), N_("Of those that are healthy")),
    RoutePolicy.FASTEST: (N_("Fastest"), N_("By its calls of the last 15 minutes")),
    RoutePolicy.FIXED_ORDER: (N_("Fixed order"), N_("The first that can serve")),
    RoutePolicy.WEIGHTED: (N_("By weight"), N_("Drawn at random, by the weights below")),
}
OWN_STOCK_WORDS: Final = {
    OwnStock.FIRST: (N_("Own stock first"), N_("Suppliers deliver what it does not cover")),
    OwnStock.RESERVE: (N_("Suppliers first"), N_("Own stock is kept for when none of them can")),
}
KIND_WORDS: Final = {kind: words[0] for kind, words in KINDS.items()}
TYPED_KINDS: Final = (DeliveryKind.CARD_KEY, DeliveryKind.DIRECT_TOP_UP)
ABILITY_WORDS: Final = {
    Ability.CATALOG: N_("Catalog"),
    Ability.STOCK: N_("Stock"),
    Ability.CHANGED_SINCE: N_("Changes since an instant"),
    Ability.PRE_CHECK: N_("Check of the account before buying"),
    Ability.BALANCE: N_("Balance"),
    Ability.STATEMENT: N_("Statement"),
    Ability.NOTICES: N_("Notices"),
    Ability.GOODS_NOTICES: N_("Notices of price and stock"),
    Ability.USE_NOTICES: N_("Notices of uses"),
}
_SECONDS: Final = N_("%(seconds)s s")
_MULTI_LINE: Final = "-----BEGIN KEY-----\nAA\n-----END KEY-----"


def shared(request: AnyRequest, tenant: Tenant) -> dict[str, Any]:
    """What every page of suppliers is given."""
    return {
        "base": base(tenant),
        "home": f"{base(tenant)}/suppliers",
        "may_edit": may_do(request, Permission.SUPPLY_EDIT),
        "titles": {name: one.traits.title for name, one in CONNECTORS.items()},
        "kind_words": KIND_WORDS,
        "seconds": seconds,
        "bound": bound,
        "plain": plain,
        "plain_share": plain_share,
        "now": clock.now(),
    }


def seconds(took_ms: int) -> str:
    """A time that was measured, in seconds."""
    return i18n.gettext(_SECONDS) % {"seconds": f"{took_ms / 1000:.2f}" if took_ms < 1_000 else f"{took_ms / 1000:.1f}"}


def bound(p95_ms: int | None) -> str:
    """A bound of calls' times, as counted: under so many seconds, or longer than is counted."""
    if p95_ms is None:
        return "–"
    if p95_ms >= 600_000:
        return "> " + i18n.gettext(_SECONDS) % {"seconds": "10"}
    return "≤ " + i18n.gettext(_SECONDS) % {"seconds": f"{p95_ms / 1000:g}"}


def plain(value: Decimal) -> str:
    """A number as people type it, without needless places."""
    return f"{value.normalize():f}"


def is_optional(setting: Setting) -> bool:
    """Whether a setting may be left empty."""
    return re.fullmatch(setting.pattern, "") is not None


def rows_for(setting: Setting) -> int:
    """How many lines the field of a setting has; none for one line."""
    if "\n" in setting.default:
        return min(14, setting.default.count("\n") + 2)
    return 5 if re.fullmatch(setting.pattern, _MULTI_LINE) else 0
