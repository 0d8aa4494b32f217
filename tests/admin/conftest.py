"""A program with a service token, and the users that it administers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import httpx
import pytest

from service.model.service_tokens import Scope
from tests.factories import bearer, service_token, sign_up
from tests.flows.conftest import mailboxes
from tests.services import Service

__all__ = ["mailboxes"]

USERS = "/admin/users"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


class Program:
    """Another program: its requests carry its service token and nothing else."""

    # Of this test, to be closed.
    clients: ClassVar[list[httpx.Client]] = []

    def __init__(self, service: Service, *scopes: Scope) -> None:
        self.token = service_token(service.database_url, *scopes)
        self.client = service.client(headers=bearer(self.token))
        self.clients.append(self.client)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.client.request(method, path, **options)

    def get(self, path: str, **parameters: str | int) -> httpx.Response:
        return self.send("GET", path, params=parameters or None)

    def create(self, **fields: Any) -> httpx.Response:
        return self.send("POST", USERS, json=fields)

    def change(self, user_id: str, *, if_match: str | None = None, **fields: Any) -> httpx.Response:
        headers = {} if if_match is None else {"If-Match": if_match}
        return self.send("PATCH", f"{USERS}/{user_id}", json=fields, headers=headers)

    def etag(self, user_id: str) -> str:
        return str(self.get(f"{USERS}/{user_id}").headers["etag"])


@pytest.fixture(autouse=True)
def close_clients() -> Iterator[None]:
    yield
    for each in Program.clients:
        each.close()
    Program.clients.clear()


@pytest.fixture
def program(service: Service) -> Program:
    """Return a program with all scopes."""
    return Program(service, *Scope)


@pytest.fixture
def alice(client: httpx.Client) -> str:
    """Sign Alice up with ``client``. Return her id."""
    signed_up = sign_up(client)
    assert signed_up.status_code == 201, signed_up.text
    user_id: str = signed_up.json()["user"]["id"]
    return user_id
