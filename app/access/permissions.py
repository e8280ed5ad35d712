"""Everything a member may be allowed, in one enum, and what each role is allowed."""

from __future__ import annotations

from enum import StrEnum

from app.access.models import MemberRole, Scope
from app.kernel.errors import N_


class Permission(StrEnum):
    """One right. A route names the one it needs; a role has a set of them."""

    DASHBOARD_VIEW = "dashboard.view"
    ORDERS_VIEW = "orders.view"
    ORDERS_NOTE = "orders.note"
    ORDERS_REFUND = "orders.refund"
    ORDERS_REVEAL = "orders.reveal"
    AFTERSALES_DECIDE = "aftersales.decide"
    REDEEM = "redeem"
    DELIVER = "deliver"
    ISSUE_VIEW = "issue.view"
    ISSUE = "issue"
    ISSUE_PAID = "issue.paid"
    CATALOG_VIEW = "catalog.view"
    CATALOG_EDIT = "catalog.edit"
    INVENTORY_VIEW = "inventory.view"
    INVENTORY_IMPORT = "inventory.import"
    INVENTORY_VOID = "inventory.void"
    SUPPLY_VIEW = "supply.view"
    SUPPLY_EDIT = "supply.edit"
    SUPPLY_OVERRIDE = "supply.override"
    SETTLE = "settle"
    SETTINGS_VIEW = "settings.view"
    SETTINGS_EDIT = "settings.edit"
    PAYMENTS_VIEW = "payments.view"
    PAYMENTS_EDIT = "payments.edit"
    PAYOUTS_MAKE = "payouts.make"
    PAYOUTS_CHECK = "payouts.check"
    TEAM_VIEW = "team.view"
    TEAM_EDIT = "team.edit"
    AUDIT_VIEW = "audit.view"
    API_EDIT = "api.edit"


_P = Permission
_VIEWS = frozenset({_P.DASHBOARD_VIEW, _P.ORDERS_VIEW, _P.CATALOG_VIEW, _P.INVENTORY_VIEW, _P.SUPPLY_VIEW})
ALLOWED: dict[MemberRole, frozenset[Permission]] = {
    MemberRole.OWNER: frozenset(Permission) - {_P.PAYOUTS_CHECK},
    MemberRole.OPERATOR: _VIEWS
    | {
        _P.ORDERS_NOTE,
        _P.ORDERS_REFUND,
        _P.ORDERS_REVEAL,
        _P.AFTERSALES_DECIDE,
        _P.REDEEM,
        _P.DELIVER,
        _P.ISSUE_VIEW,
        _P.ISSUE,
        _P.CATALOG_EDIT,
        _P.INVENTORY_IMPORT,
        _P.INVENTORY_VOID,
        _P.SUPPLY_EDIT,
        _P.SUPPLY_OVERRIDE,
        _P.SETTLE,
        _P.SETTINGS_VIEW,
        _P.SETTINGS_EDIT,
    },
    MemberRole.FINANCE_MAKER: _VIEWS
    | {_P.ORDERS_NOTE, _P.ORDERS_REFUND, _P.PAYMENTS_VIEW, _P.PAYOUTS_MAKE, _P.SETTLE, _P.ISSUE_VIEW, _P.ISSUE_PAID},
    MemberRole.FINANCE_CHECKER: _VIEWS | {_P.PAYMENTS_VIEW, _P.PAYOUTS_CHECK, _P.SUPPLY_OVERRIDE, _P.AUDIT_VIEW, _P.ISSUE_VIEW},
    MemberRole.SUPPORT: _VIEWS | {_P.ORDERS_NOTE, _P.ORDERS_REVEAL, _P.AFTERSALES_DECIDE, _P.REDEEM, _P.DELIVER},
    MemberRole.READ_ONLY: _VIEWS,
}
"""Nobody both makes and checks payouts, not even the owner."""


def allows(role: MemberRole, permission: Permission) -> bool:
    """Whether a role includes a right."""
    return permission in ALLOWED[role]


ROLE_WORDS: dict[MemberRole, str] = {
    MemberRole.OWNER: N_("Owner"),
    MemberRole.OPERATOR: N_("Operations"),
    MemberRole.FINANCE_MAKER: N_("Finance, making"),
    MemberRole.FINANCE_CHECKER: N_("Finance, checking"),
    MemberRole.SUPPORT: N_("Support"),
    MemberRole.READ_ONLY: N_("Read only"),
}
PERMISSION_WORDS: dict[Permission, str] = {
    _P.DASHBOARD_VIEW: N_("See the overview"),
    _P.ORDERS_VIEW: N_("See orders"),
    _P.ORDERS_NOTE: N_("Write notes on orders"),
    _P.ORDERS_REFUND: N_("Refund orders"),
    _P.ORDERS_REVEAL: N_("Reveal a delivered key"),
    _P.AFTERSALES_DECIDE: N_("Answer buyers' cases and replace what was no good"),
    _P.REDEEM: N_("Redeem codes at the counter"),
    _P.DELIVER: N_("Hand over goods that people deliver"),
    _P.ISSUE_VIEW: N_("See batches for companies and what they owe"),
    _P.ISSUE: N_("Send a batch to a company's people"),
    _P.ISSUE_PAID: N_("Book what companies have paid"),
    _P.CATALOG_VIEW: N_("See products"),
    _P.CATALOG_EDIT: N_("Change products and prices"),
    _P.INVENTORY_VIEW: N_("See card pools"),
    _P.INVENTORY_IMPORT: N_("Import keys"),
    _P.INVENTORY_VOID: N_("Void and quarantine keys"),
    _P.SUPPLY_VIEW: N_("See suppliers and what they cost"),
    _P.SUPPLY_EDIT: N_("Connect suppliers, place test orders, change routes"),
    _P.SUPPLY_OVERRIDE: N_("Approve a colleague's word that a supplier never sold"),
    _P.SETTLE: N_("Compare suppliers' statements and settle with them"),
    _P.SETTINGS_VIEW: N_("See the shop's settings"),
    _P.SETTINGS_EDIT: N_("Change the shop's settings"),
    _P.PAYMENTS_VIEW: N_("See payment gateways"),
    _P.PAYMENTS_EDIT: N_("Connect payment gateways"),
    _P.PAYOUTS_MAKE: N_("Make payouts"),
    _P.PAYOUTS_CHECK: N_("Check payouts"),
    _P.TEAM_VIEW: N_("See the team"),
    _P.TEAM_EDIT: N_("Invite, change and remove members"),
    _P.AUDIT_VIEW: N_("See the audit log"),
    _P.API_EDIT: N_("Make and revoke API keys"),
}
SCOPE_WORDS: dict[Scope, str] = {
    Scope.REDEMPTIONS_READ: N_("Look codes up, list their uses"),
    Scope.REDEMPTIONS_WRITE: N_("Redeem codes, take a use back"),
}
