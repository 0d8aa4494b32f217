"""``make soak``: whether the service still needs what it needed at first, after a long time."""
