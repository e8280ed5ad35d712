"""The merchant's pages of products, categories and pictures."""

from app.catalog.pages.categories import CategoryPages
from app.catalog.pages.pictures import PicturePages
from app.catalog.pages.products import ProductPages

CATALOG = [ProductPages, CategoryPages, PicturePages]
