"""Ids of users and keys that come from elsewhere."""

from __future__ import annotations

from uuid import UUID, uuid5

# User ids are derived from those of the other system, always in the same way: a site can derive the
# same ids for its own tables, and an import that is run again finds the users that exist.
USER_NAMESPACE = UUID("6f737469-6172-5900-8000-6c7563696132")

# By the ids of keys, a later import knows those that were imported.
KEY_NAMESPACE = UUID("6f737469-6172-5900-8000-6c756b657973")


def user_id_of(foreign_id: str) -> UUID:
    """Return the id of an imported user: the same if it is a UUID, else a UUID derived from it."""
    try:
        return UUID(foreign_id)
    except ValueError:
        return uuid5(USER_NAMESPACE, foreign_id)


def key_id_of(provider: str, name: str) -> UUID:
    """Return the id by which a later import knows a key."""
    return uuid5(KEY_NAMESPACE, f"{provider}:{name}")
