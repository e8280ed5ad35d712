"""Who may what: for every route of the application the answer it owes each kind of visitor. Written by hand; a route without a row fails.

A row of a merchant's page names the roles that get in. The other words say whom a page is for; `ANSWERS` says what everybody else gets there.
"""

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
KEYS_IN_SIGHT = frozenset(
    {
        "/m/{tenant_slug}/card-keys/{card_key_id}/reveal",
        "/m/{tenant_slug}/orders/{order_no}/reveals",
        "/m/{tenant_slug}/after-sales/{case_no}/picture",
        "/m/{tenant_slug}/suppliers/tests/{test_id}/reveal",
    }
)
"""What not even looking operators open."""

M = "/m/{tenant_slug}"
ORDER = M + "/orders/{order_no}"
AFTER_SALE = M + "/after-sales/{case_no}"
SUPPLY = M + "/suppliers/connections/{supply_id}"
ASKED = M + "/suppliers/replenishments/{replenishment_no}"
DESK = "/supply/{tenant_slug}/{desk}"
BOUGHT = "/s/orders/{order_no}/{signature}"
ROWS: dict[str, frozenset[Role] | For] = {
    # The front door
    "GET /": For.ANYBODY,
    "GET /sign-up": For.ANYBODY,
    "POST /sign-up": For.ANYBODY,
    "GET /sign-up/sent": For.ANYBODY,
    "POST /sign-up/sent": For.ANYBODY,
    "GET /verify/{token}": For.ANYBODY,
    "POST /verify/{token}": For.ANYBODY,
    "GET /log-in": For.ANYBODY,
    "POST /log-in": For.ANYBODY,
    "GET /log-in/second-factor": For.HALF_LOGGED_IN,
    "POST /log-in/second-factor": For.HALF_LOGGED_IN,
    "POST /log-out": For.ANYBODY,
    "GET /password/forgot": For.ANYBODY,
    "POST /password/forgot": For.ANYBODY,
    "GET /password/reset/{token}": For.ANYBODY,
    "POST /password/reset/{token}": For.ANYBODY,
    "GET /invitations/{token}": For.ANYBODY,
    "POST /invitations/{token}": For.ANYBODY,
    "GET /static/{file}": For.ANYBODY,
    "GET /healthz": For.ANYBODY,
    "GET /readyz": For.ANYBODY,
    "GET /metrics": For.SCRAPER,
    "POST /hooks/{tenant_slug}/{connection_id}": For.GATEWAYS,
    "POST /hooks/{tenant_slug}/supply/{connection_id}": For.GATEWAYS,
    "POST /hooks/{tenant_slug}/supply/{connection_id}/goods": For.GATEWAYS,
    # What programs ask
    "POST /api/v1/token": For.ANYBODY,
    "GET /api/v1/openapi.json": For.ANYBODY,
    "POST /api/v1/code-look-ups": For.MACHINES,
    "GET /api/v1/redemptions": For.MACHINES,
    "POST /api/v1/redemptions": For.MACHINES,
    "POST /api/v1/redemptions/{use_id}/void": For.MACHINES,
    # One's own account
    "GET /me": For.LOGGED_IN,
    "POST /me": For.LOGGED_IN,
    "GET /me/security": For.LOGGED_IN,
    "POST /me/security/password": For.LOGGED_IN,
    "GET /me/security/second-factor": For.LOGGED_IN,
    "POST /me/security/second-factor": For.LOGGED_IN,
    "POST /me/security/second-factor/confirmation": For.LOGGED_IN,
    "POST /me/security/second-factor/recovery-codes": For.LOGGED_IN,
    "POST /me/security/second-factor/removal": For.LOGGED_IN,
    "POST /me/security/sessions/end-others": For.LOGGED_IN,
    "POST /me/security/sessions/{session_id}/end": For.LOGGED_IN,
    "POST /view/end": For.LOGGED_IN,
    # The console
    "GET /console": For.OPERATORS,
    "GET /console/audit": For.OPERATORS,
    "GET /console/health": For.OPERATORS,
    "GET /console/migrations": For.OPERATORS,
    "GET /console/tasks": For.OPERATORS,
    "POST /console/tasks/{home_id}/{task_id}/retries": For.OPERATORS,
    "GET /console/tenants/{tenant_id}": For.OPERATORS,
    "POST /console/tenants/{tenant_id}/pausing": For.OPERATORS,
    "POST /console/tenants/{tenant_id}/reopening": For.OPERATORS,
    "POST /console/tenants/{tenant_id}/suspension": For.OPERATORS,
    "POST /console/tenants/{tenant_id}/view": For.OPERATORS,
    # A merchant's pages
    f"GET {M}": EVERY_ROLE,
    f"POST {M}/setup-list": RUNS,
    f"GET {M}/audit": AUDITS,
    f"POST {M}/audit/checks": AUDITS,
    f"POST {M}/audit/exports": AUDITS,
    f"GET {M}/card-keys/{{card_key_id}}/reveal": REVEALS,
    f"POST {M}/card-keys/{{card_key_id}}/reveal": REVEALS,
    f"GET {M}/card-keys/{{card_key_id}}/void": RUNS,
    f"POST {M}/card-keys/{{card_key_id}}/void": RUNS,
    f"GET {M}/card-pools": EVERY_ROLE,
    f"GET {M}/card-pools/{{sku_id}}": EVERY_ROLE,
    f"GET {M}/card-pools/{{sku_id}}/imports": RUNS,
    f"POST {M}/card-pools/{{sku_id}}/imports": RUNS,
    f"GET {M}/imports/{{batch_no}}": EVERY_ROLE,
    f"GET {M}/imports/{{batch_no}}/bad-lines": EVERY_ROLE,
    f"GET {M}/imports/{{batch_no}}/progress": EVERY_ROLE,
    f"GET {M}/imports/{{batch_no}}/quarantine": RUNS,
    f"POST {M}/imports/{{batch_no}}/quarantine": RUNS,
    f"POST {M}/imports/{{batch_no}}/release": RUNS,
    f"POST {M}/imports/{{batch_no}}/confirmation": RUNS,
    f"POST {M}/imports/{{batch_no}}/abandonment": RUNS,
    f"GET {M}/categories": EVERY_ROLE,
    f"POST {M}/categories": RUNS,
    f"POST {M}/categories/{{category_id}}": RUNS,
    f"POST {M}/categories/{{category_id}}/position": RUNS,
    f"POST {M}/categories/{{category_id}}/removal": RUNS,
    f"GET {M}/profit": SEES_MONEY,
    f"GET {M}/buyer-levels": EVERY_ROLE,
    f"POST {M}/buyer-levels": RUNS,
    f"POST {M}/buyer-levels/buyers": RUNS,
    f"POST {M}/buyer-levels/{{level_id}}/removal": RUNS,
    f"GET {M}/products/{{product_id}}/prices": EVERY_ROLE,
    f"POST {M}/products/{{product_id}}/prices": RUNS,
    f"GET {M}/products/{{product_id}}/price-rules/new": RUNS,
    f"POST {M}/products/{{product_id}}/price-rules": RUNS,
    f"GET {M}/products/{{product_id}}/price-rules/{{rule_id}}": RUNS,
    f"POST {M}/products/{{product_id}}/price-rules/{{rule_id}}": RUNS,
    f"POST {M}/products/{{product_id}}/price-rules/{{rule_id}}/switch": RUNS,
    f"GET {M}/products": EVERY_ROLE,
    f"POST {M}/products": RUNS,
    f"GET {M}/products/new": RUNS,
    f"GET {M}/products/{{product_id}}": EVERY_ROLE,
    f"POST {M}/products/{{product_id}}": RUNS,
    f"GET {M}/products/{{product_id}}/account": EVERY_ROLE,
    f"POST {M}/products/{{product_id}}/account": RUNS,
    f"POST {M}/products/{{product_id}}/account/binding": RUNS,
    f"GET {M}/product-types": EVERY_ROLE,
    f"GET {M}/product-types/new": RUNS,
    f"POST {M}/product-types": RUNS,
    f"GET {M}/product-types/{{type_id}}": EVERY_ROLE,
    f"POST {M}/product-types/{{type_id}}": RUNS,
    f"POST {M}/product-types/{{type_id}}/retirement": RUNS,
    f"POST {M}/product-types/{{type_id}}/deletion": RUNS,
    f"GET {M}/products/{{product_id}}/by-hand": EVERY_ROLE,
    f"POST {M}/products/{{product_id}}/by-hand": RUNS,
    f"GET {M}/stock-report": EVERY_ROLE,
    f"POST {M}/stock-report/clearances": RUNS,
    f"GET {M}/handovers": EVERY_ROLE,
    f"GET {M}/handovers/{{line_id}}/{{unit_no}}": EVERY_ROLE,
    f"POST {M}/handovers/{{line_id}}/{{unit_no}}": REVEALS,
    f"POST {M}/handovers/{{line_id}}/{{unit_no}}/refund": REFUNDS,
    f"GET {M}/products/{{product_id}}/clone": RUNS,
    f"POST {M}/products/{{product_id}}/clone": RUNS,
    f"GET {M}/categories/{{category_id}}/clone": RUNS,
    f"POST {M}/categories/{{category_id}}/clone": RUNS,
    f"GET {M}/products/{{product_id}}/rules": EVERY_ROLE,
    f"POST {M}/products/{{product_id}}/rules": RUNS,
    f"GET {M}/exchange-rates": EVERY_ROLE,
    f"POST {M}/exchange-rates": RUNS,
    f"GET {M}/channels": EVERY_ROLE,
    f"POST {M}/channels": RUNS,
    f"POST {M}/channels/{{code}}/switch": RUNS,
    f"GET {M}/products/{{product_id}}/channels": EVERY_ROLE,
    f"POST {M}/products/{{product_id}}/channels/{{code}}": RUNS,
    f"GET {M}/skus/{{sku_id}}/allocation": EVERY_ROLE,
    f"POST {M}/skus/{{sku_id}}/allocation": RUNS,
    f"POST {M}/skus/{{sku_id}}/allocation/moves": RUNS,
    f"GET {M}/products/{{product_id}}/values": EVERY_ROLE,
    f"POST {M}/products/{{product_id}}/values": RUNS,
    f"GET {M}/products/{{product_id}}/parts": EVERY_ROLE,
    f"POST {M}/products/{{product_id}}/parts/{{sku_id}}": RUNS,
    f"GET {M}/products/{{product_id}}/content": EVERY_ROLE,
    f"POST {M}/products/{{product_id}}/content": RUNS,
    f"POST {M}/products/{{product_id}}/content/files": RUNS,
    f"POST {M}/products/{{product_id}}/content/files/{{file_id}}/removal": RUNS,
    f"GET {M}/products/{{product_id}}/plan": EVERY_ROLE,
    f"POST {M}/products/{{product_id}}/plan/{{sku_id}}": RUNS,
    f"GET {M}/subscriptions": EVERY_ROLE,
    f"GET {M}/subscriptions/{{subscription_id}}": EVERY_ROLE,
    f"POST {M}/subscriptions/{{subscription_id}}/cancellation": REFUNDS,
    f"POST {M}/subscriptions/{{subscription_id}}/end": REFUNDS,
    f"POST {M}/products/{{product_id}}/picture": RUNS,
    f"POST {M}/products/{{product_id}}/publication": RUNS,
    f"POST {M}/products/{{product_id}}/withdrawal": RUNS,
    f"GET {M}/pictures/{{picture_id}}": EVERY_ROLE,
    f"GET {M}/orders": EVERY_ROLE,
    f"GET {ORDER}": EVERY_ROLE,
    f"GET {ORDER}/timeline": EVERY_ROLE,
    f"POST {ORDER}/notes": NOTES,
    f"POST {ORDER}/messages": NOTES,
    f"POST {ORDER}/questions": NOTES,
    f"POST {ORDER}/redelivery": NOTES,
    f"POST {ORDER}/cancellation": REFUNDS,
    f"GET {ORDER}/refunds": REFUNDS,
    f"POST {ORDER}/refunds": REFUNDS,
    f"GET {ORDER}/reveals": REVEALS,
    f"POST {ORDER}/reveals": REVEALS,
    f"POST {ORDER}/revocations": REFUNDS,
    f"GET {M}/redeem": REVEALS,
    f"POST {M}/redeem": REVEALS,
    f"GET {M}/cases": EVERY_ROLE,
    f"GET {M}/cases/{{case_id}}": EVERY_ROLE,
    f"POST {M}/cases/{{case_id}}/closure": NOTES,
    f"POST {M}/cases/{{case_id}}/refund": REFUNDS,
    f"GET {M}/after-sales": EVERY_ROLE,
    f"GET {M}/after-sales/settings": RUNS,
    f"POST {M}/after-sales/settings": RUNS,
    f"GET {M}/after-sales/rates": EVERY_ROLE,
    f"GET {M}/imports/{{batch_no}}/recall": RUNS,
    f"POST {M}/imports/{{batch_no}}/recall": RUNS,
    f"GET {M}/after-sales/claims": EVERY_ROLE,
    f"POST {M}/after-sales/claims/{{claim_id}}/decision": RUNS,
    f"GET {AFTER_SALE}": EVERY_ROLE,
    f"GET {AFTER_SALE}/picture": REVEALS,
    f"GET {AFTER_SALE}/replacement": REVEALS,
    f"POST {AFTER_SALE}/replacement": REVEALS,
    f"GET {AFTER_SALE}/refund": REFUNDS,
    f"POST {AFTER_SALE}/refund": REFUNDS,
    f"POST {AFTER_SALE}/rejection": REVEALS,
    f"POST {AFTER_SALE}/questions": REVEALS,
    f"POST {AFTER_SALE}/checks": REVEALS,
    f"POST {AFTER_SALE}/notes": NOTES,
    f"POST {AFTER_SALE}/messages": NOTES,
    f"POST {ORDER}/after-sales": REVEALS,
    f"GET {M}/products/{{product_id}}/help": EVERY_ROLE,
    f"POST {M}/products/{{product_id}}/help": RUNS,
    f"GET {M}/order-views": EVERY_ROLE,
    f"POST {M}/order-views": EVERY_ROLE,
    f"POST {M}/order-views/{{view_id}}": EVERY_ROLE,
    f"POST {M}/order-views/{{view_id}}/removal": EVERY_ROLE,
    f"GET {M}/settings": RUNS,
    f"POST {M}/settings": RUNS,
    f"GET {M}/settings/brand.css": RUNS,
    f"POST {M}/settings/logo": RUNS,
    f"POST {M}/settings/logo/removal": RUNS,
    f"GET {M}/settings/domain": RUNS,
    f"POST {M}/settings/domain": RUNS,
    f"POST {M}/settings/domain/checks": RUNS,
    f"POST {M}/settings/domain/removals": RUNS,
    f"GET {M}/settings/payments": SEES_MONEY,
    f"POST {M}/settings/payments/sandbox": OWNER,
    f"GET {M}/settings/api-keys": OWNER,
    f"POST {M}/settings/api-keys": OWNER,
    f"POST {M}/settings/api-keys/{{client_id}}/secrets": OWNER,
    f"POST {M}/settings/api-keys/{{client_id}}/revocation": OWNER,
    f"GET {M}/settings/robots": RUNS,
    f"GET {M}/settings/robots/new": RUNS,
    f"POST {M}/settings/robots": RUNS,
    f"GET {M}/settings/robots/{{robot_id}}": RUNS,
    f"POST {M}/settings/robots/{{robot_id}}": RUNS,
    f"POST {M}/settings/robots/{{robot_id}}/switch": RUNS,
    f"POST {M}/settings/robots/{{robot_id}}/test": RUNS,
    f"POST {M}/settings/robots/{{robot_id}}/removal": RUNS,
    f"GET {M}/settings/webhooks": RUNS,
    f"GET {M}/settings/webhooks/new": RUNS,
    f"POST {M}/settings/webhooks": RUNS,
    f"GET {M}/settings/webhooks/{{endpoint_id}}": RUNS,
    f"GET {M}/settings/webhooks/{{endpoint_id}}/change": RUNS,
    f"POST {M}/settings/webhooks/{{endpoint_id}}": RUNS,
    f"POST {M}/settings/webhooks/{{endpoint_id}}/secrets": RUNS,
    f"POST {M}/settings/webhooks/{{endpoint_id}}/switch": RUNS,
    f"POST {M}/settings/webhooks/{{endpoint_id}}/test": RUNS,
    f"POST {M}/settings/webhooks/{{endpoint_id}}/failed": RUNS,
    f"POST {M}/settings/webhooks/{{endpoint_id}}/deliveries/{{delivery_id}}": RUNS,
    f"POST {M}/settings/webhooks/{{endpoint_id}}/removal": RUNS,
    f"GET {M}/notices": EVERY_ROLE,
    f"POST {M}/notices/read": EVERY_ROLE,
    f"GET {M}/team": OWNER,
    f"POST {M}/team/invitations": OWNER,
    f"POST {M}/team/invitations/{{invitation_id}}/withdrawal": OWNER,
    f"GET {M}/team/members/{{user_id}}/removal": OWNER,
    f"POST {M}/team/members/{{user_id}}/removal": OWNER,
    f"POST {M}/team/members/{{user_id}}/role": OWNER,
    # Suppliers
    f"GET {M}/suppliers": EVERY_ROLE,
    f"POST {M}/suppliers": RUNS,
    f"GET {M}/suppliers/new": RUNS,
    f"GET {M}/suppliers/board": EVERY_ROLE,
    f"GET {M}/suppliers/board/events": EVERY_ROLE,
    f"GET {M}/suppliers/{{supplier_id}}": EVERY_ROLE,
    f"POST {M}/suppliers/{{supplier_id}}": RUNS,
    f"GET {M}/suppliers/{{supplier_id}}/connections/new": RUNS,
    f"POST {M}/suppliers/{{supplier_id}}/connections": RUNS,
    f"GET {SUPPLY}": EVERY_ROLE,
    f"GET {SUPPLY}/settings": RUNS,
    f"POST {SUPPLY}/settings": RUNS,
    f"POST {SUPPLY}/switch": RUNS,
    f"POST {SUPPLY}/breaker": RUNS,
    f"POST {SUPPLY}/check": RUNS,
    f"POST {SUPPLY}/reading": RUNS,
    f"GET {SUPPLY}/recipe": RUNS,
    f"POST {SUPPLY}/recipe": RUNS,
    f"GET {SUPPLY}/tests": EVERY_ROLE,
    f"POST {SUPPLY}/tests": RUNS,
    f"GET {SUPPLY}/tests/new": RUNS,
    f"GET {M}/suppliers/tests/{{test_id}}/reveal": REVEALS,
    f"POST {M}/suppliers/tests/{{test_id}}/reveal": REVEALS,
    f"GET {SUPPLY}/offers": EVERY_ROLE,
    f"POST {SUPPLY}/offers": RUNS,
    f"GET {SUPPLY}/offers/new": RUNS,
    f"POST {SUPPLY}/offers/exclusions": RUNS,
    f"POST {SUPPLY}/offers/selection": RUNS,
    f"GET {M}/suppliers/offers/{{offer_id}}": EVERY_ROLE,
    f"POST {M}/suppliers/offers/{{offer_id}}/exclusion": RUNS,
    f"POST {M}/suppliers/offers/{{offer_id}}/reading": RUNS,
    f"GET {M}/suppliers/comparison": EVERY_ROLE,
    f"GET {M}/suppliers/settlement": EVERY_ROLE,
    f"GET {SUPPLY}/statements": REFUNDS,
    f"POST {SUPPLY}/statements": REFUNDS,
    f"POST {SUPPLY}/statements/fetch": REFUNDS,
    f"GET {M}/suppliers/statements/{{statement_id}}": EVERY_ROLE,
    f"GET {M}/suppliers/differences": EVERY_ROLE,
    f"GET {M}/suppliers/differences/{{difference_id}}": EVERY_ROLE,
    f"POST {M}/suppliers/differences/{{difference_id}}/decision": REFUNDS,
    f"GET {M}/suppliers/bills/{{bill_id}}": EVERY_ROLE,
    f"GET {M}/suppliers/bills/{{bill_id}}/lines.csv": EVERY_ROLE,
    f"POST {M}/suppliers/bills/{{bill_id}}/payment": REFUNDS,
    f"GET {M}/suppliers/replenishments": EVERY_ROLE,
    f"POST {M}/suppliers/replenishments": RUNS,
    f"GET {M}/suppliers/replenishments/new": RUNS,
    f"GET {ASKED}": EVERY_ROLE,
    f"POST {ASKED}/confirmation": RUNS,
    f"POST {ASKED}/cancellation": RUNS,
    f"POST {ASKED}/closure": RUNS,
    f"POST {ASKED}/messages": RUNS,
    f"POST {ASKED}/lines/{{wanted_id}}/batches": RUNS,
    f"GET {ASKED}/lines/{{wanted_id}}/imports": RUNS,
    f"POST {ASKED}/lines/{{wanted_id}}/imports": RUNS,
    f"POST {M}/suppliers/{{supplier_id}}/desk": RUNS,
    f"POST {M}/suppliers/{{supplier_id}}/desk/revocation": RUNS,
    f"GET {M}/card-pools/{{sku_id}}/restock": EVERY_ROLE,
    f"POST {M}/card-pools/{{sku_id}}/restock": RUNS,
    f"GET {DESK}": For.SUPPLIERS,
    f"GET {DESK}/{{replenishment_no}}": For.SUPPLIERS,
    f"POST {DESK}/{{replenishment_no}}/confirmation": For.SUPPLIERS,
    f"POST {DESK}/{{replenishment_no}}/refusal": For.SUPPLIERS,
    f"POST {DESK}/{{replenishment_no}}/sending": For.SUPPLIERS,
    f"POST {DESK}/{{replenishment_no}}/messages": For.SUPPLIERS,
    f"GET {DESK}/{{replenishment_no}}/lines/{{wanted_id}}/files": For.SUPPLIERS,
    f"POST {DESK}/{{replenishment_no}}/lines/{{wanted_id}}/files": For.SUPPLIERS,
    f"GET {SUPPLY}/imports": RUNS,
    f"POST {SUPPLY}/imports": RUNS,
    f"GET {M}/suppliers/imports/{{import_id}}": EVERY_ROLE,
    f"GET {M}/skus/{{sku_id}}/route": EVERY_ROLE,
    f"POST {M}/skus/{{sku_id}}/route": RUNS,
    f"GET {M}/categories/{{category_id}}/supply": EVERY_ROLE,
    f"POST {M}/categories/{{category_id}}/supply": RUNS,
    f"POST {ORDER}/attempts/{{attempt_id}}/question": NOTES,
    f"GET {ORDER}/attempts/{{attempt_id}}/decision": EVERY_ROLE,
    f"POST {ORDER}/attempts/{{attempt_id}}/resending": REFUNDS,
    f"POST {ORDER}/attempts/{{attempt_id}}/failure": REFUNDS,
    f"POST {ORDER}/attempts/{{attempt_id}}/overrides": REFUNDS,
    f"POST {ORDER}/attempts/{{attempt_id}}/overrides/approval": OVERRIDES,
    f"POST {ORDER}/attempts/{{attempt_id}}/overrides/refusal": OVERRIDES,
    # A shop
    "GET /s": For.BUYERS,
    "GET /s/brand.css": For.BUYERS,
    "GET /s/c/{code}": For.BUYERS,
    "GET /s/c/{code}/{product_id}": For.BUYERS,
    "GET /s/cart": For.BUYERS,
    "POST /s/cart/lines": For.BUYERS,
    "POST /s/cart/removals": For.BUYERS,
    "POST /s/cart/checkout": For.BUYERS,
    "GET /s/categories": For.BUYERS,
    "GET /s/categories/{category_id}": For.BUYERS,
    "POST /s/checkout": For.BUYERS,
    "GET /s/help": For.BUYERS,
    "GET /s/me": For.BUYERS,
    "POST /s/me/log-out": For.BUYERS,
    "GET /s/orders": For.BUYERS,
    "GET /s/products/{product_id}/proof": For.BUYERS,
    "POST /s/orders/codes": For.BUYERS,
    "POST /s/orders/proofs": For.BUYERS,
    "GET /s/content/{minted_id}/{proof}": For.BUYERS,
    "POST /s/content/{minted_id}/{proof}/openings": For.BUYERS,
    f"GET {BOUGHT}": For.BUYERS,
    f"GET {BOUGHT}/status": For.BUYERS,
    f"GET {BOUGHT}/cancellation": For.BUYERS,
    f"POST {BOUGHT}/cancellation": For.BUYERS,
    f"POST {BOUGHT}/payment": For.BUYERS,
    f"POST {BOUGHT}/question": For.BUYERS,
    f"POST {BOUGHT}/accounts/{{line_id}}/dispute": For.BUYERS,
    f"GET {BOUGHT}/help/{{line_id}}/{{unit_no}}": For.BUYERS,
    f"POST {BOUGHT}/help/{{line_id}}/{{unit_no}}/answer": For.BUYERS,
    f"POST {BOUGHT}/help/{{line_id}}/{{unit_no}}/report": For.BUYERS,
    f"POST {BOUGHT}/reports/{{report_id}}/messages": For.BUYERS,
    f"POST {BOUGHT}/reports/{{report_id}}/objection": For.BUYERS,
    f"POST {BOUGHT}/reports/{{report_id}}/withdrawal": For.BUYERS,
    f"POST {BOUGHT}/subscriptions/{{subscription_id}}/cancellation": For.BUYERS,
    f"POST {BOUGHT}/subscriptions/{{subscription_id}}/renewal": For.BUYERS,
    f"POST {BOUGHT}/reveals": For.BUYERS,
    f"POST {BOUGHT}/reveals/{{line_id}}/{{unit_no}}": For.BUYERS,
    "GET /s/pictures/{picture_id}": For.BUYERS,
    "GET /s/privacy": For.BUYERS,
    "GET /s/products/{product_id}": For.BUYERS,
    "GET /s/search": For.BUYERS,
    "GET /s/terms": For.BUYERS,
    "GET /s/{rest}": For.BUYERS,
}

WANT_MORE = frozenset(
    {
        "GET /m/{tenant_slug}/orders/{order_no}/reveals",
        "GET /m/{tenant_slug}/products/{product_id}/rules",
        "GET /m/{tenant_slug}/products/{product_id}/content",
        "GET /m/{tenant_slug}/products/{product_id}/parts",
        "GET /m/{tenant_slug}/products/{product_id}/plan",
        "GET /m/{tenant_slug}/products/{product_id}/values",
        "GET /m/{tenant_slug}/products/{product_id}/by-hand",
        "GET /m/{tenant_slug}/handovers/{line_id}/{unit_no}",
        "GET /m/{tenant_slug}/orders/{order_no}/attempts/{attempt_id}/decision",
    }
)
"""There only for a unit that the query names, for a top-up, for what we make ourselves, for a bundle, for a subscription, for what people deliver, for an unknown
purchase.
"""


def owed(route: str, visitor: Visitor) -> Answer:
    """What a visitor who is no member of the tenant gets. A suspended tenant's owner is told by his role."""
    row = ROWS[route]
    if isinstance(row, For):
        return ANSWERS[row][visitor]
    if visitor is Visitor.OPERATOR_LOOKING:
        method, _, path = route.partition(" ")
        return Answer.IN if method == "GET" and path not in KEYS_IN_SIGHT else Answer.READ_ONLY
    return MERCHANTS[visitor]


def owed_to_role(route: str, role: Role) -> Answer:
    """What a member gets on his own tenant's pages."""
    row = ROWS[route]
    return owed(route, Visitor.MEMBER_ELSEWHERE) if isinstance(row, For) else Answer.IN if role in row else Answer.ROLE
