"""Tremendous: rewards as links."""
