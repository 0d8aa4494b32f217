"""Examples of successful responses, for the OpenAPI document."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import msgspec

from service.api.health import Health
from service.api.schemas import Ended, SessionPage, authenticated, listed_session_info
from service.model.request_context import Device
from service.model.sessions import ListedSession, Session, SessionState
from service.model.users import User

_LOGGED_IN_AT = datetime(2026, 1, 31, 9, 30, 0, 123456, UTC)

_USER = User(
    id=UUID("0198a3c1-5f7e-7c3a-9b1d-2f6e8c4a1b7d"),
    username="Alice",
    email="alice@example.com",
    email_verified_at=_LOGGED_IN_AT - timedelta(days=199),
    created_at=_LOGGED_IN_AT - timedelta(days=200),
)
_SESSION = Session(
    id=UUID("3f2b8c1e-9d4a-4e6f-8a7b-5c1d2e3f4a5b"),
    user_id=_USER.id,
    created_at=_LOGGED_IN_AT,
    renewed_at=_LOGGED_IN_AT,
    active_expires_at=_LOGGED_IN_AT + timedelta(days=1),
    idle_expires_at=_LOGGED_IN_AT + timedelta(days=15),
    absolute_expires_at=_LOGGED_IN_AT + timedelta(days=30),
)
_LISTED = ListedSession(
    session=_SESSION,
    state=SessionState.ACTIVE,
    device=Device(
        name="Alice's laptop",
        user_agent="Mozilla/5.0 (X11; Linux x86_64)",
        address=ip_address("203.0.113.7"),
    ),
)


def success_examples() -> dict[str, Any]:
    """Return an example of each response body, by the name of its schema."""
    bodies = (
        authenticated(_USER, _SESSION, fresh=True),
        SessionPage(sessions=[listed_session_info(_LISTED, current=_SESSION.id)], next=None),
        Ended(ended=2),
        Health(),
    )
    return {type(each).__name__: msgspec.to_builtins(each) for each in bodies}
