"""Roles: what an application lets a user do. They mean nothing to the service itself."""

from __future__ import annotations

import re
from collections.abc import Iterable

from service.auth.errors import FieldCode, InvalidField

MAX_ROLES = 100

# For JSON Schema, whose `$` is the end of the text only.
PATTERN = "^[a-z0-9_.:-]{1,64}$"

_ROLE = re.compile(r"[a-z0-9_.:-]{1,64}")


def parse_roles(texts: Iterable[str]) -> tuple[str, ...]:
    """Return each role once, in alphabetical order. Raises `InvalidField`."""
    roles = tuple(sorted(set(texts)))
    if len(roles) > MAX_ROLES:
        raise InvalidField(FieldCode.TOO_LONG, f"There must be at most {MAX_ROLES} roles.")
    if not all(map(_ROLE.fullmatch, roles)):
        raise InvalidField(
            FieldCode.NOT_ALLOWED,
            "A role has 1 to 64 characters: a to z, 0 to 9, `_`, `.`, `:` and `-`.",
        )
    return roles
