"""Identities: accounts at OpenID providers with which users log in."""
