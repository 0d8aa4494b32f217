"""The endpoints for other programs, which hold service tokens."""
