"""Other companies, played by separate processes with books of their own. They import nothing of the system under test."""
