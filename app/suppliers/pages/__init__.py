"""The merchant's pages of suppliers, connections, goods, imports, routes, and the board."""

from app.suppliers.pages.board import BoardPages
from app.suppliers.pages.categories import CategoryRoutePages
from app.suppliers.pages.comparison import ComparisonPages
from app.suppliers.pages.connections import ConnectionPages, NewConnectionPages
from app.suppliers.pages.imports import ImportFormPages, ImportPages
from app.suppliers.pages.offers import OfferListPages, OfferPages
from app.suppliers.pages.rates import RatePages
from app.suppliers.pages.recipes import RecipePages
from app.suppliers.pages.routes import RoutePages
from app.suppliers.pages.suppliers import SupplierPages
from app.suppliers.pages.trials import TestOrderPages, TestRevealPages

SUPPLIERS = [
    SupplierPages,
    BoardPages,
    ComparisonPages,
    NewConnectionPages,
    ConnectionPages,
    TestOrderPages,
    TestRevealPages,
    RecipePages,
    OfferListPages,
    OfferPages,
    ImportFormPages,
    ImportPages,
    RoutePages,
    CategoryRoutePages,
    RatePages,
]
