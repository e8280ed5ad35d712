"""The platform operators' pages."""
