"""What a reverse proxy sends to `/verify`, and the policies of tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import httpx

from tests.databases import execute
from tests.factories import COOKIE, sign_up, token_of
from tests.service_pool import ServicePool
from tests.services import Service

APP = "https://app.example.com"
OTHER_PAGE = "https://pages.example.com"
FOREIGN = "https://evil.example"

# The headers that an application may trust: all of them come with each answer that lets it pass.
IDENTITY = (
    *("x-ostiary-user-id", "x-ostiary-username", "x-ostiary-email", "x-ostiary-roles"),
    *("x-ostiary-session-id", "x-ostiary-methods", "remote-user", "x-ostiary-cookie", "cookie"),
)

POLICIES = {
    "any": {},
    "admin": {"roles": ["admin", "owner"]},
    "proven": {"methods": ["passkey", "totp"]},
    "recent": {"max_age": "5m"},
    "recent-password": {"methods": ["password"], "max_age": "5m"},
    "bearer": {"transport": "bearer"},
    "ingress": {"method_from": "X-Original-Method"},
    "envoy": {"method_from": "request"},
    "pages": {"origins": [OTHER_PAGE]},
}


def with_policies(services: ServicePool, directory: Path, **settings: str) -> Service:
    """Return a service with `POLICIES`, whose trusted proxy is this machine."""
    path = directory / "policies.json"
    if not path.exists():
        path.write_text(json.dumps(POLICIES), encoding="utf-8")
    environment = {"OSTIARY_VERIFY_POLICIES_FILE": str(path), **settings}
    return services.service({"OSTIARY_TRUSTED_PROXIES": "127.0.0.1", **environment})


def forwarded(method: str = "GET", **headers: str) -> dict[str, str]:
    """Return what a proxy tells of a request to `APP`; a keyword is a header, with ``_``."""
    told = {
        "X-Forwarded-Method": method,
        "X-Forwarded-Host": "app.example.com",
        "X-Forwarded-Proto": "https",
    }
    return told | {name.replace("_", "-"): value for name, value in headers.items()}


def session_cookie(client: httpx.Client, username: str = "Alice") -> str:
    """Sign a user up; return the header ``Cookie`` of their browser, which the client forgets."""
    token = token_of(sign_up(client, username))
    client.cookies.clear()
    return f"{COOKIE}={token}"


def verify(
    client: httpx.Client,
    path: str = "/verify",
    headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
    method: str = "GET",
) -> httpx.Response:
    """Ask; of whatever lets a request pass it holds that the headers name a user."""
    response = client.request(method, path, headers=forwarded() if headers is None else headers)
    if response.is_success:
        UUID(response.headers["x-ostiary-user-id"])
        assert set(IDENTITY) <= set(response.headers)
    else:
        assert set(IDENTITY).isdisjoint(response.headers)
        assert "set-cookie" not in response.headers
    assert not [name for name in response.headers if name.startswith("access-control-")]
    assert response.headers["cache-control"] == "no-store"
    return response


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def give_roles(database_url: str, *roles: str) -> None:
    """Give all users these roles."""
    execute(database_url, 'UPDATE "user" SET roles = $1', list(roles))
