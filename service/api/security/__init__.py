"""Who may do what: credentials, the session guard, the cross-origin rule."""
