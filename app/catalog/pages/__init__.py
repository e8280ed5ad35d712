"""The merchant's pages of products, categories and pictures, and the shop's settings."""

from app.catalog.pages.accounts import AccountPages
from app.catalog.pages.by_hand import ByHandPages
from app.catalog.pages.categories import CategoryPages
from app.catalog.pages.clones import CategoryClonePages, ProductClonePages
from app.catalog.pages.contents import ContentPages
from app.catalog.pages.parts import PartsPages
from app.catalog.pages.pictures import PicturePages
from app.catalog.pages.plans import PlanPages
from app.catalog.pages.products import ProductPages
from app.catalog.pages.rules import RulesPages
from app.catalog.pages.settings import DomainSettingsPages, ShopSettingsPages
from app.catalog.pages.types import TypePages

CATALOG = [
    ProductPages,
    ProductClonePages,
    CategoryClonePages,
    TypePages,
    AccountPages,
    RulesPages,
    ByHandPages,
    ContentPages,
    PartsPages,
    PlanPages,
    CategoryPages,
    PicturePages,
    ShopSettingsPages,
    DomainSettingsPages,
]
