"""Ostiary: a self-hosted JSON REST auth service."""

__version__ = "0.1.0"
