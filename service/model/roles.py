"""Roles: what an application lets a user do. They mean nothing to the service itself."""

from __future__ import annotations

import re

_ROLE = re.compile(r"[a-z0-9_.:-]{1,64}")

# What a role is, for messages and for the OpenAPI document.
FORM = "1 to 64 characters: `a` to `z`, `0` to `9`, `_`, `.`, `:` and `-`"


def is_role(text: str) -> bool:
    """Return whether a text has the form of a role."""
    return _ROLE.fullmatch(text) is not None
