"""No body of a person's request gives what only operators give (A1)."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from service.cli.openapi import DOCUMENT
from tests.admin.conftest import UNKNOWN
from tests.factories import bearer, codes, sign_up
from tests.identities.conftest import environment_for, provider
from tests.oidc.stub_provider import StubProvider
from tests.programs.verifying import ACCESS_TOKENS
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service

__all__ = ["provider"]

GIVEN_BY_OPERATORS: dict[str, Any] = {
    "roles": ["admin"],
    "metadata": {"plan": "team"},
    "disabled": False,
    "disabled_reason": None,
    "id": UNKNOWN,
    "user_id": UNKNOWN,
    "email_verified": True,
    "email_verified_at": "2026-01-01T00:00:00Z",
    "created_at": "2026-01-01T00:00:00Z",
    "password_hash": "$2b$04$",
    "version": 0,
}

# Bodies of programs: which members they have is tested with their endpoints.
OF_PROGRAMS = ("/admin/", "/introspect")


def operations() -> list[tuple[str, str]]:
    """Return all operations with a body, for people."""
    paths = json.loads(DOCUMENT.read_text())["paths"]
    return [
        (method.upper(), path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if "requestBody" in operation and not path.startswith(OF_PROGRAMS)
    ]


@pytest.fixture
def service(services: ServicePool, provider: StubProvider) -> Service:
    return services.service({**NO_LIMITS, **ACCESS_TOKENS, **environment_for(provider)})


@pytest.mark.parametrize(("method", "path"), operations())
def test_a_body_has_no_member_that_only_operators_give(
    client: httpx.Client, method: str, path: str
) -> None:
    session = bearer(sign_up(client, transport="bearer").json()["session"]["token"])
    is_sign_up = path.startswith("/signup")
    refused = client.request(
        method,
        re.sub(r"\{(provider|identity)\}", "stub", path).replace("{passkey_id}", UNKNOWN),
        json=GIVEN_BY_OPERATORS,
        headers={} if is_sign_up else session,
    )
    assert refused.status_code == 400, refused.text
    unknown = {name for name, code in codes(refused).items() if code == "unknown_field"}
    # What a provider adds to a callback is ignored, whatever it is.
    assert unknown == (set() if path.endswith("/callback") else GIVEN_BY_OPERATORS.keys())
    user = client.get("/me", headers=session).json()["user"]
    assert (user["roles"], user["metadata"]) == ([], {})


def test_there_are_such_operations() -> None:
    assert {("POST", "/signup"), ("PUT", "/me/username")} < {*operations()}
