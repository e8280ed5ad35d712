"""What the demo shows: two invented merchants, what they sell, who works there, and a fortnight of orders. Names are invented and neutral."""
