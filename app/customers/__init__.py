"""Buyers: one-time codes that prove a contact, accounts, and the entitlements a buyer holds."""
