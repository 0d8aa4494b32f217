"""The endpoints of log-in at OpenID providers, and of identities."""
