"""What the launcher runs: the demo, its keeping and stopping, the checks and tests. Stands on top; nothing imports it."""
