"""What there is to sell: stock counters, card pools, import batches and the card-keys themselves."""
