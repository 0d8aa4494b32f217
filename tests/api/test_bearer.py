"""Tokens for clients without a cookie jar (RFC 6750)."""

from __future__ import annotations

import httpx
import pytest

from tests.factories import age_sessions, bearer, cookie, log_in, sign_up, token_of
from tests.services import Service


def token_in(response: httpx.Response) -> str:
    token: str = response.json()["session"]["token"]
    return token


def test_the_token_is_in_the_body_and_in_no_cookie(client: httpx.Client) -> None:
    for response in (sign_up(client, transport="bearer"), log_in(client, transport="bearer")):
        assert len(token_in(response)) == 64
        assert "set-cookie" not in response.headers


def test_responses_to_bearer_requests_set_no_cookie(service: Service, client: httpx.Client) -> None:
    token = token_in(sign_up(client, transport="bearer"))
    age_sessions(service.database_url, days=2)
    renewed = client.get("/me", headers=bearer(token))
    assert renewed.json()["session"]["fresh"] is True
    out = client.post("/logout", headers=bearer(token))
    dead = client.get("/me", headers=bearer(token))
    assert [each.status_code for each in (renewed, out, dead)] == [200, 204, 401]
    for each in (renewed, out, dead):
        assert "set-cookie" not in each.headers


def test_a_renewed_bearer_session_keeps_its_token(service: Service, client: httpx.Client) -> None:
    token = token_in(sign_up(client, transport="bearer"))
    age_sessions(service.database_url, days=2)
    assert "token" not in client.get("/me", headers=bearer(token)).json()["session"]
    assert client.get("/me", headers=bearer(token)).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_case_insensitive(client: httpx.Client, scheme: str) -> None:
    token = token_in(sign_up(client, transport="bearer"))
    header = {"Authorization": f"{scheme} {token}"}
    assert client.get("/me", headers=header).status_code == 200


def test_spaces_around_a_token_are_ignored(client: httpx.Client) -> None:
    token = token_in(sign_up(client, transport="bearer"))
    headers = {"Authorization": f"Bearer   {token}"}
    assert client.get("/me", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        *("", "Bearer", "Bearer x", "Basic YTpi", "Bearer " + "A" * 64),
        *("Bearer " + "A" * 63, "Bearer " + "a" * 40, "Token " + "A" * 64, "Bearer é"),
    ],
)
def test_an_invalid_authorization_header_is_401(client: httpx.Client, value: str) -> None:
    response = client.get("/me", headers={b"Authorization": value.encode()})
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Basic", "Token"])
def test_a_live_token_in_another_scheme_is_401(client: httpx.Client, scheme: str) -> None:
    token = token_in(sign_up(client, transport="bearer"))
    headers = {"Authorization": f"{scheme} {token}"}
    assert client.get("/me", headers=headers).status_code == 401


def test_two_authorization_headers_are_401(client: httpx.Client) -> None:
    token = token_in(sign_up(client, transport="bearer"))
    headers = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert client.get("/me", headers=headers).status_code == 401


def test_the_authorization_header_takes_precedence_over_the_cookie(client: httpx.Client) -> None:
    alices = token_of(sign_up(client, "Alice"))
    client.cookies.clear()
    bobbys = token_in(sign_up(client, "Bobby", transport="bearer"))
    both = {**cookie(alices), **bearer(bobbys)}
    assert client.get("/me", headers=both).json()["user"]["username"] == "Bobby"
    dead = client.get("/me", headers={**cookie(alices), **bearer("A" * 64)})
    assert dead.status_code == 401
    assert "set-cookie" not in dead.headers


def test_a_token_from_a_cookie_works_as_a_bearer_token(client: httpx.Client) -> None:
    """A session does not depend on how its token is sent."""
    token = token_of(sign_up(client))
    client.cookies.clear()
    assert client.get("/me", headers=bearer(token)).status_code == 200
