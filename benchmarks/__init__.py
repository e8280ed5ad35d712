"""Where the figures of the README come from, each against its own reference in the same run."""
