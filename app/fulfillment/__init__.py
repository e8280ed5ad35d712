"""Delivering what was paid for, and showing it to its buyer."""
