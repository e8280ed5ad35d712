"""The merchant's pages of replenishment."""

from app.replenishment.pages.asking import AskingPages
from app.replenishment.pages.desks import SupplierLinkPages
from app.replenishment.pages.imports import ReplenishmentImportPages
from app.replenishment.pages.restock import RestockPages
from app.replenishment.pages.show import ReplenishmentPages
from app.replenishment.portal import SupplierDeskPages

REPLENISHMENT = [AskingPages, ReplenishmentPages, ReplenishmentImportPages, SupplierLinkPages, RestockPages, SupplierDeskPages]
