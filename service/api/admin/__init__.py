"""Administration: the endpoints for other programs."""
