"""Replenishment: card-keys asked for from a supplier, who answers on a desk of his own; what he sends is counted from the batches that bring it."""
