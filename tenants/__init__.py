"""The walls: who the tenants are, where each one lives, and the only two ways in. Knows nothing of shops."""
