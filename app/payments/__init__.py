"""Collecting money and giving it back, through payment gateways behind one port."""
