"""Administration: the rules for operators and other programs."""
