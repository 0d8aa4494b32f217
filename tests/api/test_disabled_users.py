"""Disabled users have no session, and open none."""

from __future__ import annotations

import httpx
import pytest

from tests.databases import execute
from tests.factories import log_in, sign_up
from tests.services import Service

DISABLE = 'UPDATE "user" SET disabled_at = now()'


@pytest.fixture
def disabled(client: httpx.Client, service: Service) -> None:
    """Sign Alice up, and disable her behind the service's back: her session is there."""
    assert sign_up(client).status_code == 201
    execute(service.database_url, DISABLE)


@pytest.mark.usefixtures("disabled")
def test_a_session_of_a_disabled_user_is_not_found(client: httpx.Client) -> None:
    assert client.get("/me").status_code == 401


@pytest.mark.usefixtures("disabled")
def test_the_right_password_of_a_disabled_user_opens_no_session(
    client: httpx.Client, service: Service
) -> None:
    with service.client() as other:
        refused = log_in(other)

    assert (refused.status_code, refused.json()["code"]) == (403, "account_disabled")
    assert "set-cookie" not in refused.headers


@pytest.mark.usefixtures("disabled")
def test_a_wrong_password_does_not_tell_that_the_user_is_disabled(service: Service) -> None:
    with service.client() as other:
        refused = log_in(other, password="a wrong password")

    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_credentials")


def test_roles_and_metadata_are_shown_to_the_user(client: httpx.Client, service: Service) -> None:
    sign_up(client)
    execute(
        service.database_url,
        """UPDATE "user" SET roles = '{editor}', metadata = '{"plan": {"seats": 3}}'""",
    )

    user = client.get("/me").json()["user"]

    assert (user["roles"], user["metadata"]) == (["editor"], {"plan": {"seats": 3}})
