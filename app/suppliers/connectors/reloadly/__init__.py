"""Reloadly: gift cards and airtime, two interfaces under one kind of account."""
