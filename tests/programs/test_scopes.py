"""Every operation of programs needs a service token with its scope, by whichever door."""

from __future__ import annotations

import re
from collections import Counter
from uuid import UUID

import httpx
import pytest

from service.model.service_tokens import Scope
from tests.databases import execute
from tests.factories import bearer, cookie, service_token, sign_up, token_of
from tests.programs.operations import OPERATIONS
from tests.services import Service

every_operation = pytest.mark.parametrize(("method", "path"), OPERATIONS)


def ask(
    client: httpx.Client, method: str, path: str, headers: dict[str, str] | None = None
) -> tuple[int, str | None]:
    """Return the status and the code of a request with nothing but these headers."""
    path = re.sub(r"\{\w+\}", str(UUID(int=0)), path)
    response = client.request(method, path, headers=headers)
    return response.status_code, response.json().get("code")


@every_operation
def test_every_operation_of_programs_needs_a_service_token(
    client: httpx.Client, method: str, path: str
) -> None:
    assert ask(client, method, path) == (401, "invalid_service_token")


@every_operation
def test_every_operation_of_programs_needs_a_scope(
    service: Service, client: httpx.Client, method: str, path: str
) -> None:
    headers = bearer(service_token(service.database_url))
    assert ask(client, method, path, headers) == (403, "insufficient_scope")


@every_operation
def test_one_scope_only_opens_an_operation(
    service: Service, client: httpx.Client, method: str, path: str
) -> None:
    """A request without a body or with unknown ids changes nothing."""
    codes = Counter(
        ask(client, method, path, bearer(service_token(service.database_url, scope)))[1]
        == "insufficient_scope"
        for scope in Scope
    )
    assert codes == {True: len(Scope) - 1, False: 1}


@every_operation
def test_the_session_of_an_administrator_opens_no_operation_of_programs(
    service: Service, client: httpx.Client, method: str, path: str
) -> None:
    token = token_of(sign_up(client))
    execute(service.database_url, """UPDATE "user" SET roles = '{admin}'""")
    client.cookies.clear()
    for headers in (bearer(token), cookie(token)):
        assert ask(client, method, path, headers) == (401, "invalid_service_token")


@every_operation
def test_a_service_token_in_a_cookie_opens_no_operation(
    service: Service, client: httpx.Client, method: str, path: str
) -> None:
    token = service_token(service.database_url, *Scope)
    assert ask(client, method, path, cookie(token)) == (401, "invalid_service_token")
