"""Programs: the statements on what other programs hold."""
