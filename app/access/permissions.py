"""Everything a member may be allowed, in one enum, and what each role is allowed."""

from __future__ import annotations

from enum import StrEnum

from app.access.models import MemberRole


class Permission(StrEnum):
    """One right. A route names the one it needs; a role has a set of them."""

    DASHBOARD_VIEW = "dashboard.view"
    ORDERS_VIEW = "orders.view"
    ORDERS_NOTE = "orders.note"
    ORDERS_REFUND = "orders.refund"
    ORDERS_REVEAL = "orders.reveal"
    CATALOG_VIEW = "catalog.view"
    CATALOG_EDIT = "catalog.edit"
    INVENTORY_VIEW = "inventory.view"
    INVENTORY_IMPORT = "inventory.import"
    INVENTORY_VOID = "inventory.void"
    SETTINGS_VIEW = "settings.view"
    SETTINGS_EDIT = "settings.edit"
    PAYMENTS_VIEW = "payments.view"
    PAYMENTS_EDIT = "payments.edit"
    PAYOUTS_MAKE = "payouts.make"
    PAYOUTS_CHECK = "payouts.check"
    TEAM_VIEW = "team.view"
    TEAM_EDIT = "team.edit"
    AUDIT_VIEW = "audit.view"


_P = Permission
_VIEWS = frozenset({_P.DASHBOARD_VIEW, _P.ORDERS_VIEW, _P.CATALOG_VIEW, _P.INVENTORY_VIEW})
ALLOWED: dict[MemberRole, frozenset[Permission]] = {
    MemberRole.OWNER: frozenset(Permission) - {_P.PAYOUTS_CHECK},
    MemberRole.OPERATOR: _VIEWS
    | {
        _P.ORDERS_NOTE,
        _P.ORDERS_REFUND,
        _P.ORDERS_REVEAL,
        _P.CATALOG_EDIT,
        _P.INVENTORY_IMPORT,
        _P.INVENTORY_VOID,
        _P.SETTINGS_VIEW,
        _P.SETTINGS_EDIT,
    },
    MemberRole.FINANCE_MAKER: _VIEWS | {_P.ORDERS_NOTE, _P.ORDERS_REFUND, _P.PAYMENTS_VIEW, _P.PAYOUTS_MAKE},
    MemberRole.FINANCE_CHECKER: _VIEWS | {_P.PAYMENTS_VIEW, _P.PAYOUTS_CHECK, _P.AUDIT_VIEW},
    MemberRole.SUPPORT: _VIEWS | {_P.ORDERS_NOTE, _P.ORDERS_REVEAL},
    MemberRole.READ_ONLY: _VIEWS,
}
"""Nobody both makes and checks payouts, not even the owner."""


def allows(role: MemberRole, permission: Permission) -> bool:
    """Whether a role includes a right."""
    return permission in ALLOWED[role]
