"""Admissions: whoever creates a user says by what right."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct


class Admission(Struct, frozen=True, kw_only=True):
    """The right to create one user, who begins with ``roles``.

    A person who signs up is admitted by `Admissions.admit` only. Operators and programs with the
    scope for it pass: `by_operator`.
    """

    roles: tuple[str, ...] = ()
    invitation_id: UUID | None = None


def by_operator(roles: Sequence[str] = ()) -> Admission:
    """Return the admission of a user whom an operator creates."""
    return Admission(roles=tuple(roles))
