"""Access tokens as programs verify them, by PyJWT, and the keys in the database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import jwt

from tests.cli.running import run
from tests.databases import execute, fetch
from tests.factories import bearer, sign_up
from tests.services import Service

ISSUER = "https://auth.example.com"
BILLING, FILES = "billing", "https://files.example.com"
ACCESS_TOKENS = {
    "OSTIARY_JWT_ISSUER": ISSUER,
    "OSTIARY_JWT_AUDIENCES": f"{BILLING},{FILES}",
}
KEYS = "/.well-known/jwks.json"
REQUIRED = ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]


def session_of(client: httpx.Client, username: str = "Alice") -> dict[str, str]:
    """Sign somebody up. Return the header with their session's token."""
    response = sign_up(client, username, transport="bearer")
    assert response.status_code == 201, response.text
    return bearer(response.json()["session"]["token"])


def ask(
    client: httpx.Client, session: dict[str, str], audience: Any = BILLING, **headers: str
) -> httpx.Response:
    return client.post("/me/token", json={"audience": audience}, headers=session | headers)


def issued(client: httpx.Client, session: dict[str, str], audience: str = BILLING) -> str:
    """Return an access token."""
    response = ask(client, session, audience)
    assert response.status_code == 200, response.text
    token: str = response.json()["token"]
    return token


def published(client: httpx.Client) -> dict[str, Any]:
    """Return the keys as they are published."""
    response = client.get(KEYS)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def ids(keys: dict[str, Any]) -> list[str]:
    return [each["kid"] for each in keys["keys"]]


def kid_of(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def verified(keys: dict[str, Any], token: str, audience: str = BILLING) -> dict[str, Any]:
    """Return the claims of a token that these keys verify. Raises `KeyError` for an unknown key."""
    found = jwt.PyJWKSet.from_dict(keys)[kid_of(token)]
    claims: dict[str, Any] = jwt.decode(
        token,
        found.key,
        algorithms=["ES256"],
        audience=audience,
        issuer=ISSUER,
        options={"require": REQUIRED},
    )
    return claims


def age_keys(database_url: str, **age: float) -> None:
    """Move the times of all signing keys back."""
    columns = ("created_at", "signs_from", "signs_until", "revoked_at")
    moved = ", ".join(f"{column} = {column} - CAST($1 AS interval)" for column in columns)
    execute(database_url, f"UPDATE signing_key SET {moved}", timedelta(**age))


def stored_keys(database_url: str) -> list[dict[str, Any]]:
    """Return the rows of the signing keys, in the order in which they sign."""
    rows = fetch(database_url, "SELECT * FROM signing_key ORDER BY signs_from, id")
    return [dict(row) for row in rows]


def signing_key(service: Service, *arguments: str, typed: str = "") -> str:
    """Run a command for signing keys. Return what it printed."""
    done = run("signing-key", *arguments, typed=typed, DATABASE_URL=service.database_url)
    assert done.returncode == 0, done.stderr
    return done.stdout
