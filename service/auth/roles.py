"""The roles of a user: which there can be, and how many."""

from __future__ import annotations

from collections.abc import Iterable

from service.auth.errors import FieldCode, InvalidField
from service.model.roles import FORM, is_role

MAX_ROLES = 100


def parse_roles(texts: Iterable[str]) -> tuple[str, ...]:
    """Return each role once, in alphabetical order. Raises `InvalidField`."""
    roles = tuple(sorted(set(texts)))
    if len(roles) > MAX_ROLES:
        raise InvalidField(FieldCode.TOO_LONG, f"There must be at most {MAX_ROLES} roles.")
    if not all(map(is_role, roles)):
        raise InvalidField(FieldCode.NOT_ALLOWED, f"A role has {FORM}.")
    return roles
