"""What the demo shows: two invented merchants, what they sell, who works there, and a fortnight of orders. Names are invented and neutral."""

MAINLAND, ABROAD = "kasushou", "dingconnect"
SUPPLIERS = (MAINLAND, ABROAD)
"""What the demo's simulated suppliers speak, one process each."""
