"""The merchant's pages of prices: the grid of a product, its rules, the levels of buyers."""

from app.pricing.pages.prices import PricePages
from app.pricing.pages.rules import RulePages

PRICING = [PricePages, RulePages]
