"""Issuing: a lot of one SKU sold to a company on account, a unit for each of its people, row by row and each exactly once."""
