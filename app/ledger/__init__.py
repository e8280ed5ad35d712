"""The ledger: insert-only transfers between named accounts. Every shown amount can be traced to them."""
