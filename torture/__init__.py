"""Holding under fire: the whole system with buyers in it, while processes die, the database goes away and the gateway lies. Beside the benches."""
