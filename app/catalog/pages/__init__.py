"""The merchant's pages of products, categories and pictures, and the shop's settings."""

from app.catalog.pages.accounts import AccountPages
from app.catalog.pages.categories import CategoryPages
from app.catalog.pages.contents import ContentPages
from app.catalog.pages.pictures import PicturePages
from app.catalog.pages.products import ProductPages
from app.catalog.pages.rules import RulesPages
from app.catalog.pages.settings import DomainSettingsPages, ShopSettingsPages
from app.catalog.pages.types import TypePages

CATALOG = [
    ProductPages,
    TypePages,
    AccountPages,
    RulesPages,
    ContentPages,
    CategoryPages,
    PicturePages,
    ShopSettingsPages,
    DomainSettingsPages,
]
