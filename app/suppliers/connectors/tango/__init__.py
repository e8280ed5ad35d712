"""Tango: rewards by RaaS v2."""
