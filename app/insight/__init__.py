"""The merchant's figures: each one opens the list behind it."""
