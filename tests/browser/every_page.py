"""Every page there is, filled: what tests that walk over all of them walk over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from playwright.sync_api import Page

from tests.browser.conftest import Shop, Surf

USAGE = "<ol><li>Open the app</li><li>Type the key</li></ol>"


@dataclass(frozen=True)
class Surface:
    """The pages of one kind of person: whole addresses by name, and his session."""

    pages: Mapping[str, str]
    token: str = ""

    def visit(self, surf: Surf, look: Callable[[Page], list[str]], **how: object) -> list[str]:
        """What `look` finds on any page, with the page's name."""
        page, found = surf(token=self.token, **how), []
        for name, address in self.pages.items():
            answer = page.goto(address)
            assert answer is not None
            if answer.status not in (200, 404, 410):
                found.append(f"{name}: {answer.status}")
            found += [f"{name}: {fault}" for fault in look(page)]
        return found


def surfaces(shop: Shop, operator: str) -> dict[str, Surface]:
    """A shop with goods, orders in four states, an import and a saved view; and every page of everybody."""
    made = shop.product(
        name="Skylark Video",
        skus=[["A1", 1990], ["A2", 5490]],
        usage_html=USAGE,
        expires_on="2099-12-30",
        category="Films",
        stock=12,
    )
    gone = shop.product(name="Bluebird Music", stock=0, skus=[["B1", 1200]])
    first, second = made["listings"]
    packed = shop.bundle([[made["skus"][0], 1], [made["skus"][1], 2]])
    done = shop.order(listing=first, quantity=2)
    pack = shop.order(listing=packed["listings"][0])
    waiting = shop.order(listing=second, upto="awaiting_payment")
    lapsed = shop.order(listing=second, upto="awaiting_payment")
    shop.hands.ask("lapse", slug=shop.slug, no=lapsed["no"])
    course = shop.hands.ask("link", slug=shop.slug)
    opened = shop.hands.ask("open_link", slug=shop.slug, listing=course["listing"])
    batch = shop.value("select batch_no from import_batch order by created_at limit 1")
    category = shop.value("select id from category")
    monthly = shop.hands.ask("subscribe", slug=shop.slug)
    handed = shop.hands.ask("by_hand", slug=shop.slug)
    case = shop.hands.ask("complain", slug=shop.slug, no=done["no"])["case_no"]
    unit = shop.value("select order_line_id from after_sale_case")
    own = shop.hands.ask("own_type", slug=shop.slug)
    airtime = shop.hands.ask("airtime", slug=shop.slug)
    shared = shop.product(name="Kestrel Books", skus=[["K1", 1990], ["K2", 5490]])
    split = shop.hands.ask("channel", slug=shop.slug, product=shared["id"])
    asked = shop.hands.ask("replenish", slug=shop.slug, sku=made["skus"][0])
    issued = shop.hands.ask("issue", slug=shop.slug, listing=first)
    hook = shop.hands.ask("webhook", slug=shop.slug)
    untold = shop.hands.ask("untold", slug=shop.slug, no=pack["no"])["case"]
    app, desk, front = shop.system.app_url, shop.desk, shop.front
    return {
        "stranger": Surface(
            {
                "sign-up": f"{app}/sign-up",
                "trial": f"{app}/trial",
                "sign-up sent": f"{app}/sign-up/sent",
                "log-in": f"{app}/log-in",
                "forgotten": f"{app}/password/forgot",
                "dead link": f"{app}/verify/{'x' * 43}",
                "nothing": f"{app}/nothing",
            }
        ),
        "merchant": Surface(
            {
                "overview": desk(),
                "orders": desk("/orders"),
                "no such order": desk("/orders?q=nothing-like-it"),
                "views": desk("/order-views?state=delivered"),
                "order": desk(f"/orders/{done['no']}"),
                "unpaid order": desk(f"/orders/{waiting['no']}"),
                "cases": desk("/cases"),
                "case of a message": desk(f"/cases/{untold}"),
                "no such cases": desk("/cases?state=closed"),
                "refund": desk(f"/orders/{done['no']}/refunds"),
                "products": desk("/products"),
                "new product": desk("/products/new"),
                "product": desk(f"/products/{made['id']}"),
                "stock report": desk("/stock-report"),
                "parts": desk(f"/products/{packed['id']}/parts"),
                "plan": desk(f"/products/{monthly['product']}/plan"),
                "subscriptions": desk("/subscriptions"),
                "no such subscription": desk("/subscriptions?q=nothing-like-it"),
                "subscription": desk(f"/subscriptions/{monthly['id']}"),
                "order of a subscription": desk(f"/orders/{monthly['no']}"),
                "bundle's order": desk(f"/orders/{pack['no']}"),
                "to hand over": desk("/handovers"),
                "hand over": desk(f"/handovers/{handed['line']}/1"),
                "by hand": desk(f"/products/{handed['product']}/by-hand"),
                "clone": desk(f"/products/{made['id']}/clone"),
                "category clone": desk(f"/categories/{category}/clone"),
                "content": desk(f"/products/{course['id']}/content"),
                "order of a link": desk(f"/orders/{opened['no']}"),
                "exchange rates": desk("/exchange-rates"),
                "sales channels": desk("/channels"),
                "prices by channel": desk(f"/products/{shared['id']}/channels"),
                "stock by channel": desk(f"/skus/{split['sku']}/allocation"),
                "face values": desk(f"/products/{airtime['product']}/values"),
                "prices": desk(f"/products/{made['id']}/prices"),
                "price rule": desk(f"/products/{made['id']}/price-rules/new"),
                "buyer levels": desk("/buyer-levels"),
                "profit": desk("/profit?by=sku"),
                "what buyers fill in": desk(f"/products/{made['id']}/account"),
                "types": desk("/product-types"),
                "new type": desk("/product-types/new"),
                "type": desk(f"/product-types/{own['type']}"),
                "product of a type": desk(f"/products/{own['product']}"),
                "new product of a type": desk(f"/products/new?kind={own['type']}"),
                "categories": desk("/categories"),
                "supply of a category": desk(f"/categories/{category}/supply"),
                "pools": desk("/card-pools"),
                "pool": desk(f"/card-pools/{made['skus'][0]}"),
                "import": desk(f"/card-pools/{made['skus'][0]}/imports"),
                "batch": desk(f"/imports/{batch}"),
                "quarantine": desk(f"/imports/{batch}/quarantine"),
                "after-sales": desk("/after-sales"),
                "no such case": desk("/after-sales?view=replaced"),
                "case": desk(f"/after-sales/{case}"),
                "replacement": desk(f"/after-sales/{case}/replacement"),
                "rates": desk("/after-sales/rates"),
                "claims": desk("/after-sales/claims"),
                "after-sale rules": desk("/after-sales/settings"),
                "help for buyers": desk(f"/products/{made['id']}/help"),
                "settings": desk("/settings"),
                "domain": desk("/settings/domain"),
                "payments": desk("/settings/payments"),
                "api keys": desk("/settings/api-keys"),
                "robots": desk("/settings/robots"),
                "new robot": desk("/settings/robots/new?company=feishu"),
                "webhooks": desk("/settings/webhooks"),
                "new webhook": desk("/settings/webhooks/new"),
                "a webhook": desk(f"/settings/webhooks/{hook['id']}"),
                "notices": desk("/notices"),
                "batches for companies": desk("/issues"),
                "no such batch for a company": desk("/issues?state=abandoned"),
                "new batch for a company": desk(f"/issues/new?listing={first}"),
                "batch to confirm": desk(f"/issues/{issued['waiting']}"),
                "account of a company": desk(f"/issues/{issued['done']}/account"),
                "batch that is done": desk(f"/issues/{issued['done']}?rows=all"),
                "order of a batch": desk(f"/orders/{issued['order']}"),
                "replenishments": desk("/suppliers/replenishments"),
                "no such replenishment": desk("/suppliers/replenishments?state=declined"),
                "ask for more": desk(f"/suppliers/replenishments/new?sku={made['skus'][0]}"),
                "replenishment": desk(f"/suppliers/replenishments/{asked['confirmed']}"),
                "replenishment that waits": desk(f"/suppliers/replenishments/{asked['waiting']}"),
                "keys of a replenishment": desk(f"/suppliers/replenishments/{asked['confirmed']}/lines/{asked['line']}/imports"),
                "supplier": desk(f"/suppliers/{asked['supplier']}"),
                "asks by itself": desk(f"/card-pools/{made['skus'][0]}/restock"),
                "comparison": desk("/suppliers/comparison"),
                "settlement": desk("/suppliers/settlement"),
                "differences": desk("/suppliers/differences"),
                "team": desk("/team"),
                "audit": desk("/audit"),
                "me": f"{app}/me",
                "security": f"{app}/me/security",
            },
            shop.token,
        ),
        "supplier": Surface(
            {
                "desk": f"{app}{asked['desk']}",
                "asked": f"{app}{asked['desk']}/{asked['waiting']}",
                "confirmed": f"{app}{asked['desk']}/{asked['confirmed']}",
                "keys": f"{app}{asked['desk']}/{asked['confirmed']}/lines/{asked['line']}/files",
                "dead link": f"{app}{asked['desk'][:-3]}xyz",
            }
        ),
        "operator": Surface(
            {
                "tenants": f"{app}/console",
                "tenant": f"{app}/console/tenants/{shop.tenant_id}",
                "tasks": f"{app}/console/tasks",
                "migrations": f"{app}/console/migrations",
                "health": f"{app}/console/health",
                "console audit": f"{app}/console/audit",
            },
            operator,
        ),
        "buyer": Surface(
            {
                "home": front(),
                "product": front(f"/products/{made['id']}"),
                "bundle": front(f"/products/{packed['id']}"),
                "subscription": front(f"/products/{monthly['product']}"),
                "subscribed": front(monthly["path"]),
                "any value": front(f"/products/{airtime['product']}"),
                "delivered bundle": front(pack["path"]),
                "product that asks": front(f"/products/{own['product']}?account-region=East"),
                "prepared by hand": front(handed["path"]),
                "sold out": front(f"/products/{gone['id']}"),
                "categories": front("/categories"),
                "category": front(f"/categories/{category}"),
                "search": front("/search?q=skylark"),
                "nothing found": front("/search?q=nothing+like+it"),
                "cart": front("/cart"),
                "waiting": front(waiting["path"]),
                "cancellation": front(f"{waiting['path']}/cancellation"),
                "lapsed": front(lapsed["path"]),
                "delivered": front(done["path"]),
                "steps": front(f"{done['path']}/help/{unit}/2"),
                "report": front(f"{done['path']}/help/{unit}/2?step=report"),
                "delivered link": front(opened["path"]),
                "content": front(opened["content"]),
                "look-up": front("/orders"),
                "mine": front("/me"),
                "terms": front("/terms"),
                "privacy": front("/privacy"),
                "help": front("/help"),
                "nothing": front("/nothing"),
            }
        ),
    }
