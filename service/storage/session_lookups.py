"""Session look-ups: the statement of every authenticated request.

The SQL is compiled from the same tables as that of all other statements.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, Uuid, any_, bindparam, select, true

from service.metrics import LOOKUP_BATCH_SIZE, LOOKUP_SECONDS
from service.model.sessions import FoundSession, SecretHash, Session, SessionState
from service.model.users import User
from service.settings.database import DatabaseOptions
from service.storage.direct import compiled
from service.storage.keys import ADDRESS, USER_COLUMNS, decode_metadata
from service.storage.lookups import LookupQuery, Lookups
from service.storage.sessions import NOW, SESSION_COLUMNS, decode_methods
from service.storage.tables import session, user

_LIVE_SESSIONS = (
    select(
        *SESSION_COLUMNS,
        session.c.secret_hash,
        session.c.legacy_cookie,
        NOW.label("found_at"),
        *USER_COLUMNS,
    )
    .select_from(session.join(user).outerjoin(ADDRESS, true()))
    .where(session.c.idle_expires_at > NOW, user.c.disabled_at.is_(None))
)

FIND_LIVE_SESSION = _LIVE_SESSIONS.where(session.c.id == bindparam("session_id"))

FIND_LIVE_SESSIONS = _LIVE_SESSIONS.where(
    session.c.id == any_(bindparam("session_ids", type_=ARRAY(Uuid)))
)

FIND_ONE, _ = compiled(FIND_LIVE_SESSION)
FIND_MANY, _ = compiled(FIND_LIVE_SESSIONS)


def found_session(row: Iterable[Any]) -> FoundSession:
    """Convert a row of `FIND_LIVE_SESSION`."""
    # In one go: it is done for every request.
    (
        session_id,
        user_id,
        created_at,
        renewed_at,
        active_expires_at,
        idle_expires_at,
        absolute_expires_at,
        authenticated_at,
        methods,
        secret_hash,
        legacy_cookie,
        found_at,
        username,
        email,
        email_verified_at,
        roles,
        metadata,
        user_created_at,
    ) = row
    return FoundSession(
        session=Session(
            id=session_id,
            user_id=user_id,
            created_at=created_at,
            renewed_at=renewed_at,
            active_expires_at=active_expires_at,
            idle_expires_at=idle_expires_at,
            absolute_expires_at=absolute_expires_at,
            authenticated_at=authenticated_at,
            methods=decode_methods(methods),
        ),
        user=User(
            id=user_id,
            username=username,
            email=email,
            email_verified_at=email_verified_at,
            roles=roles,
            metadata=decode_metadata(metadata),
            created_at=user_created_at,
        ),
        state=SessionState.ACTIVE if active_expires_at > found_at else SessionState.IDLE,
        found_at=found_at,
        secret_hash=SecretHash(secret_hash),
        legacy_cookie=legacy_cookie,
    )


class SessionLookups(Lookups[FoundSession]):
    """Finds live sessions, with their users, in the database at ``url``."""

    def __init__(self, url: str, options: DatabaseOptions) -> None:
        query = LookupQuery(
            find_one=FIND_ONE,
            find_many=FIND_MANY,
            convert=found_session,
            seconds=LOOKUP_SECONDS,
            batch_size=LOOKUP_BATCH_SIZE,
        )
        super().__init__(url, options, query)
