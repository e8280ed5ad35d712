"""The hands: a queue that rings, drains that claim due tasks, and crons. They call the same services the pages call."""
