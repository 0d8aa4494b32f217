"""Text with SQL in it is text, wherever it is sent."""

from __future__ import annotations

import httpx
import pytest

from tests.databases import fetch_value
from tests.factories import bearer, log_in, sign_up
from tests.services import Service

NUMBER_OF_USERS = 'SELECT count(*) FROM "user"'


@pytest.mark.parametrize(
    "injected",
    [
        "nobody' OR 'a'='a",
        "alice'--",
        "alice' AND 'a'='a",
        "alice\\' OR 1=1--",
        '\'; DELETE FROM "user"; --',
        "$1",
        ":name",
        "%s%(name)s{name}",
    ],
)
def test_sql_in_any_text_is_text(service: Service, client: httpx.Client, injected: str) -> None:
    sign_up(client)
    client.cookies.clear()
    client.headers["User-Agent"] = injected
    session = log_in(client, transport="bearer", device_name=injected).json()["session"]
    headers = bearer(session["token"])
    # As what a user name or a cursor is not; as a password; and where it is stored.
    assert log_in(client, injected).json()["code"] == "invalid_credentials"
    assert log_in(client, password=injected).json()["code"] == "invalid_credentials"
    assert log_in(client, device_token=injected).status_code == 200
    assert client.get("/sessions", headers=headers, params={"cursor": injected}).status_code == 400
    assert client.get("/me", headers=bearer(injected)).status_code == 401
    listed = client.get("/sessions", headers=headers).json()["sessions"]
    (found,) = [each for each in listed if each["id"] == session["id"]]
    assert (found["user_agent"], found["device_name"]) == (injected, injected)
    assert fetch_value(service.database_url, NUMBER_OF_USERS) == 1
