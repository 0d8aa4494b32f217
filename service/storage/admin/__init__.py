"""Administration: the statements."""
