"""Factors: the statements on authenticator apps, passkeys and recovery codes."""
