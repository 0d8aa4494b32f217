"""Factors: what proves a user beside a password, or instead of one."""
