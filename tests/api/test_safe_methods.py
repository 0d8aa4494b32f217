"""Requests that pages of any origin may send without asking: they change nothing."""

from __future__ import annotations

import json

import httpx
import pytest

from service.cli.openapi import DOCUMENT
from service.model.service_tokens import Scope
from tests.databases import execute
from tests.factories import bearer, service_token, sign_up
from tests.flows.test_nothing_usable_at_rest import dump
from tests.programs.operations import OPERATIONS
from tests.programs.verifying import ACCESS_TOKENS, KEYS
from tests.service_pool import ServicePool
from tests.services import Service

# It is counted, and its user is notified.
EXPORT = "/me/export"
PAGES = ["/docs", "/docs/page.js", "/docs/page.css", "/docs/callback", "/docs/callback.js"]
PATHS = [*PAGES, "/openapi.json"] + [
    path
    for path, operations in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].items()
    if "get" in operations and path not in {EXPORT, "/verify/{policy}"}
]


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(ACCESS_TOKENS)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PATHS)
def test_a_safe_method_changes_nothing(
    service: Service, client: httpx.Client, method: str, path: str
) -> None:
    """But for what is recorded of a token, and for the first signing key."""
    user_id = sign_up(client).json()["user"]["id"]
    token = service_token(service.database_url, *Scope)
    execute(service.database_url, "UPDATE service_token SET last_used_at = now()")
    client.get(KEYS)
    before = dump(service.database_url)
    headers = bearer(token) if ("GET", path) in OPERATIONS else {"X-Forwarded-Method": method}
    answer = client.request(method, path.format(user_id=user_id), headers=headers)
    assert answer.status_code in {200, 204}
    assert dump(service.database_url) == before
