"""Suppliers: companies that sell to us, our connections to them, what they offer, and which of them serves a SKU."""
