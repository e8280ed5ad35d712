"""What a thing costs this buyer, now and in this number: price rules of a product or SKU, and which of them applies."""
