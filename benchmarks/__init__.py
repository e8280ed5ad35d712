"""Measures what is promised, each against a reference on the same machine in the same run: `./quanyi bench NAME`."""
