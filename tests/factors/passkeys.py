"""Users with passkeys, and the requests by which passkeys are added and used."""

from __future__ import annotations

from typing import Any

import httpx

from tests.authenticator import Authenticator
from tests.databases import execute, fetch_value
from tests.factories import REMOVE_PASSWORDS, bearer, log_in, sign_up
from tests.services import Service

Headers = dict[str, str]
Asked = dict[str, Any]

UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def opened(response: httpx.Response) -> Headers:
    """Return the header with the token that a response has."""
    assert response.is_success, response.text
    return bearer(response.json()["session"]["token"])


def is_live(client: httpx.Client, session: Headers) -> bool:
    return client.get("/me", headers=session).status_code == 200


def origin_of(service: Service) -> str:
    """Return the origin of the pages of a service, as a browser on this machine sees it."""
    return f"http://localhost:{httpx.URL(service.url).port}"


def browser(service: Service, **attributes: Any) -> Authenticator:
    return Authenticator(**{"origin": origin_of(service), **attributes})


def new_user(client: httpx.Client, username: str = "Alice") -> Headers:
    return opened(sign_up(client, username, transport="bearer"))


def password_log_in(client: httpx.Client, username: str = "Alice", **fields: Any) -> httpx.Response:
    return log_in(client, username, **{"transport": "bearer", **fields})


def answer(asked: Asked, credential: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the body that answers options."""
    return {"challenge_token": asked["challenge_token"], "credential": credential, **fields}


def registration_options(client: httpx.Client, session: Headers) -> Asked:
    response = client.post("/me/passkeys/options", headers=session)
    assert response.status_code == 200, response.text
    asked: Asked = response.json()
    return asked


def register(
    client: httpx.Client, session: Headers, asked: Asked, device: Authenticator, **fields: Any
) -> httpx.Response:
    """Make a passkey on a device that has none of the user, and add it."""
    body = answer(asked, device.create(asked["options"]), **fields)
    return client.post("/me/passkeys", json=body, headers=session)


def add_passkey(
    client: httpx.Client, session: Headers, device: Authenticator, **fields: Any
) -> dict[str, Any]:
    """Add a passkey. Return the body of the response."""
    response = register(client, session, registration_options(client, session), device, **fields)
    assert response.status_code == 201, response.text
    added: dict[str, Any] = response.json()
    return added


def log_in_options(client: httpx.Client) -> Asked:
    response = client.post("/login/passkey/options")
    assert response.status_code == 200, response.text
    asked: Asked = response.json()
    return asked


def log_in_answer(client: httpx.Client, device: Authenticator, **fields: Any) -> dict[str, Any]:
    """Ask for options. Return the body of the log-in that answers them."""
    asked = log_in_options(client)
    return answer(asked, device.get(asked["options"]), **{"transport": "bearer", **fields})


def log_in_by_passkey(client: httpx.Client, device: Authenticator, **fields: Any) -> httpx.Response:
    return client.post("/login/passkey", json=log_in_answer(client, device, **fields))


def reauthentication_options(client: httpx.Client, session: Headers) -> Asked:
    """Return what a passkey is asked for, in the form that other options have."""
    response = client.post("/me/reauthenticate/options", headers=session)
    assert response.status_code == 200, response.text
    body = response.json()
    return {"challenge_token": body["challenge_token"], "options": body["passkey_options"]}


def reauthenticate(
    client: httpx.Client, session: Headers, asked: Asked, device: Authenticator
) -> httpx.Response:
    body = answer(asked, device.get(asked["options"]), method="passkey")
    return client.post("/me/reauthenticate", json=body, headers=session)


def second_factor(client: httpx.Client, username: str = "Alice", **fields: Any) -> Asked:
    """Log in by password. Return what the second factor is asked for."""
    response = password_log_in(client, username, **fields)
    assert problem(response) == (401, "second_factor_required"), response.text
    body = response.json()
    return {"challenge_token": body["challenge_token"], "options": body["passkey_options"]}


def complete(client: httpx.Client, asked: Asked, device: Authenticator) -> httpx.Response:
    """Answer a log-in that waits, by a passkey."""
    body = answer(asked, device.get(asked["options"]), method="passkey")
    return client.post("/login/second-factor", json=body)


def remove_password(service: Service) -> None:
    """Leave all users without password."""
    execute(service.database_url, REMOVE_PASSWORDS)


def count(service: Service, table: str) -> int:
    number: int = fetch_value(service.database_url, f"SELECT count(*) FROM {table}")
    return number
