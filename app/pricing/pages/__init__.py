"""The merchant's pages of prices: the grid of a product, its rules, its face values, its sales channels."""

from app.pricing.pages.channels import ChannelListingPages, ChannelPages
from app.pricing.pages.prices import PricePages
from app.pricing.pages.rules import RulePages
from app.pricing.pages.values import ValuePages

PRICING = [PricePages, RulePages, ValuePages, ChannelPages, ChannelListingPages]
