"""A supplier's protocol written down instead of programmed: a recipe says how to sign, what to send, and what the answers mean."""
