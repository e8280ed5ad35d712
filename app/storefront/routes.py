"""Every page of a shop's host. The host map puts them under `/s`, where no other host reaches them."""

from __future__ import annotations

from litestar import Router

from app.kernel.errors import DomainError
from app.storefront.cart_pages import CartPages
from app.storefront.channels import ChannelLinks
from app.storefront.checkout import Checkout
from app.storefront.complaining import TroublePages
from app.storefront.contents import ContentPages
from app.storefront.files import Files
from app.storefront.lookup import LookupPages
from app.storefront.orders import OrderPages
from app.storefront.pages import ShelfPages
from app.storefront.renewing import RenewalPages
from app.storefront.shell import enter, on_shop_refusal
from app.storefront.texts import Texts

SHOP = Router(
    path="/s",
    route_handlers=[
        ShelfPages,
        ChannelLinks,
        Checkout,
        CartPages,
        OrderPages,
        RenewalPages,
        TroublePages,
        ContentPages,
        LookupPages,
        Files,
        Texts,
    ],
    before_request=enter,
    exception_handlers={DomainError: on_shop_refusal},
    opt={"public": True},
)
