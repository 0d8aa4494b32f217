"""The endpoints for other programs."""
