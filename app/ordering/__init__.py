"""Orders: quoting a cart, placing an order with all its claims in one statement, letting unpaid ones go."""
