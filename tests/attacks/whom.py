"""Who comes to the application, whom its pages are for, and what each is told who comes to a page that is not for him."""

from __future__ import annotations

from enum import StrEnum

from app.access.models import MemberRole as Role

EVERY_ROLE = frozenset(Role)
OWNER = frozenset({Role.OWNER})
RUNS = frozenset({Role.OWNER, Role.OPERATOR})
REFUNDS = frozenset({Role.OWNER, Role.OPERATOR, Role.FINANCE_MAKER})
NOTES = REFUNDS | {Role.SUPPORT}
REVEALS = frozenset({Role.OWNER, Role.OPERATOR, Role.SUPPORT})
SEES_MONEY = frozenset({Role.OWNER, Role.FINANCE_MAKER, Role.FINANCE_CHECKER})
AUDITS = frozenset({Role.OWNER, Role.FINANCE_CHECKER})
PAID = frozenset({Role.OWNER, Role.FINANCE_MAKER})
ISSUES = frozenset({Role.OWNER, Role.OPERATOR, Role.FINANCE_MAKER, Role.FINANCE_CHECKER})
OVERRIDES = frozenset({Role.OWNER, Role.OPERATOR, Role.FINANCE_CHECKER})


class For(StrEnum):
    """Whom a page that is no merchant's is for."""

    ANYBODY = "anybody"
    LOGGED_IN = "anybody who is logged in"
    HALF_LOGGED_IN = "whoever still owes the second factor"
    OPERATORS = "the platform's operators"
    BUYERS = "the buyers of a shop, on its host"
    SUPPLIERS = "a supplier, by his private link"
    GATEWAYS = "gateways, by signature"
    SCRAPER = "a scraper on this machine"
    PROXY = "the server in front of us"
    MACHINES = "programs of a merchant, by their token"


class Visitor(StrEnum):
    """Who comes, beside the members by role."""

    STRANGER = "nobody"
    MEMBER_ELSEWHERE = "owner of another tenant"
    BUYER_ELSEWHERE = "buyer of another shop"
    OPERATOR = "operator of the platform"
    OPERATOR_LOOKING = "operator who looks at this tenant"
    OF_SUSPENDED = "owner of a suspended tenant"
    OF_CLOSED = "owner of a closed tenant"
    UNVERIFIED = "owner who has not confirmed his address"
    HALF = "owner whose second factor is due"


class Answer(StrEnum):
    """What a visitor is told. `IN` is whatever the page itself says."""

    IN = "in"
    LOG_IN = "log in first"
    NOT_THERE = "there is nothing here"
    ROLE = "the role does not include this"
    READ_ONLY = "nothing can be changed"
    CLOSED = "this business is closed"
    VERIFY = "confirm the address first"


V, A = Visitor, Answer
MERCHANTS: dict[Visitor, Answer] = {
    V.STRANGER: A.LOG_IN,
    V.MEMBER_ELSEWHERE: A.NOT_THERE,
    V.BUYER_ELSEWHERE: A.LOG_IN,
    V.OPERATOR: A.NOT_THERE,
    V.OF_SUSPENDED: A.IN,
    V.OF_CLOSED: A.CLOSED,
    V.UNVERIFIED: A.VERIFY,
    V.HALF: A.LOG_IN,
}
"""On merchants' pages. An operator who looks reads what shows no key, and changes nothing."""
ANSWERS: dict[For, dict[Visitor, Answer]] = {
    For.ANYBODY: dict.fromkeys(Visitor, A.IN),
    For.BUYERS: dict.fromkeys(Visitor, A.IN),
    For.SUPPLIERS: dict.fromkeys(Visitor, A.IN),
    For.GATEWAYS: dict.fromkeys(Visitor, A.IN),
    For.SCRAPER: dict.fromkeys(Visitor, A.IN),
    For.PROXY: dict.fromkeys(Visitor, A.IN),
    For.MACHINES: dict.fromkeys(Visitor, A.LOG_IN),
    For.LOGGED_IN: {**dict.fromkeys(Visitor, A.IN), V.STRANGER: A.LOG_IN, V.BUYER_ELSEWHERE: A.LOG_IN, V.HALF: A.LOG_IN},
    For.HALF_LOGGED_IN: {**dict.fromkeys(Visitor, A.LOG_IN), V.HALF: A.IN},
    For.OPERATORS: {
        **dict.fromkeys(Visitor, A.NOT_THERE),
        V.STRANGER: A.LOG_IN,
        V.BUYER_ELSEWHERE: A.LOG_IN,
        V.HALF: A.LOG_IN,
        V.OPERATOR: A.IN,
        V.OPERATOR_LOOKING: A.IN,
    },
}
