"""Requests that tests send, and what they read from responses and from the database."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from hypothesis import strategies as st

from service.auth.programs.presented_tokens import PresentedToken
from tests.databases import execute, fetch

PASSWORD = "correct horse battery staple"
COOKIE = "auth_session"

DAY = 86400

REMOVE_PASSWORDS = "UPDATE key SET password_hash = NULL, password_scheme = NULL"

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def sign_up(client: httpx.Client, username: str = "Alice", **fields: Any) -> httpx.Response:
    return client.post("/signup", json={"username": username, "password": PASSWORD, **fields})


def log_in(client: httpx.Client, username: str = "Alice", **fields: Any) -> httpx.Response:
    return client.post("/login", json={"username": username, "password": PASSWORD, **fields})


def service_token(database_url: str, *scopes: str, **columns: Any) -> str:
    """Insert a service token with these scopes, valid for a day unless ``columns`` say otherwise.

    Returns its text.
    """
    token = PresentedToken.issue()
    values: dict[str, Any] = {
        "id": token.id,
        "name": f"t{token.id.hex}",
        "secret_hash": token.secret_hash,
        "scopes": list(scopes),
        "expires_at": datetime.now(UTC) + timedelta(days=1),
        **columns,
    }
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    names = ", ".join(values)
    execute(
        database_url,
        f"INSERT INTO service_token ({names}) VALUES ({places})",
        *values.values(),
    )
    return token.text


def token_of(response: httpx.Response) -> str:
    """Return the token in the cookie that a response sets."""
    return response.cookies[COOKIE]


def cookie(token: str) -> dict[str, str]:
    """Return the header that sends a token as a browser does."""
    return {"Cookie": f"{COOKIE}={token}"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def codes(response: httpx.Response) -> dict[str, str]:
    """Return the error codes of a response, by field."""
    return {error["field"]: error["code"] for error in response.json()["errors"]}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def age_sessions(database_url: str, *, days: float) -> None:
    """Move the times of all sessions back by ``days``."""
    columns = (
        "created_at",
        "renewed_at",
        "active_expires_at",
        "idle_expires_at",
        "absolute_expires_at",
        "authenticated_at",
    )
    moved = ", ".join(f"{column} = {column} - make_interval(secs => $1)" for column in columns)
    execute(database_url, f"UPDATE session SET {moved}", days * DAY)


def sessions_in(database_url: str) -> list[dict[str, Any]]:
    rows = fetch(database_url, "SELECT * FROM session ORDER BY created_at")
    return [dict(row) for row in rows]


def with_other_secret(token: str) -> str:
    """Return a token with the same session id and another secret."""
    raw = urlsafe_b64decode(token)
    return urlsafe_b64encode(raw[:16] + bytes(32)).decode()


def with_other_id(token: str) -> str:
    """Return a token with the same secret and another session id."""
    raw = urlsafe_b64decode(token)
    return urlsafe_b64encode(bytes(16) + raw[16:]).decode()
