"""Access control: credentials, the session guard, the cross-origin rule."""
