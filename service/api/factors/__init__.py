"""The endpoints of factors: log-in by them, and how users set them up and remove them."""
