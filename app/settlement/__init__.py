"""Settling with suppliers: their statements compared with our purchases, differences brought to an end, and bills that close on the contracted day."""
