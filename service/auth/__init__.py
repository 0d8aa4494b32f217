"""The rules of authentication: users, keys, passwords, sessions, rate limits. Without HTTP."""
