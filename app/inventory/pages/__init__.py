"""The merchant's pages of card pools, imports and single keys."""

from app.inventory.pages import words  # noqa: F401  # says how states read
from app.inventory.pages.allocation import AllocationPages
from app.inventory.pages.batches import BatchPages
from app.inventory.pages.keys import KeyPages
from app.inventory.pages.pools import PoolPages

INVENTORY = [PoolPages, BatchPages, KeyPages, AllocationPages]
