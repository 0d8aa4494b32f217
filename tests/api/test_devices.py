"""Known devices: browsers and apps on which a user has logged in before."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from hashlib import sha256
from typing import Any

import httpx
import pytest

from tests.databases import execute, fetch_value, result_during
from tests.factories import PASSWORD, log_in, sign_up
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service

DEVICE_COOKIE = "auth_device"
YEAR = 365 * 86400

NEW_PASSWORD = "an entirely different one"

# One failure each: whoever shares a limit with another notices.
ONE_FAILURE = {
    **NO_LIMITS,
    "OSTIARY_LOG_IN_FAILURES_PER_NAME": "1/15m",
    "OSTIARY_LOG_IN_FAILURES_PER_DEVICE": "2/15m",
}


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(ONE_FAILURE)


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


def device_of(response: httpx.Response) -> str:
    """Return the device token in the cookie that a response sets."""
    return response.cookies[DEVICE_COOKIE]


def device_cookie(token: str) -> dict[str, str]:
    return {"Cookie": f"{DEVICE_COOKIE}={token}"}


def header_of(response: httpx.Response) -> str:
    (header,) = (each for each in response.headers.get_list("set-cookie") if DEVICE_COOKIE in each)
    return header


def number_of_devices(service: Service) -> int:
    return int(fetch_value(service.database_url, "SELECT count(*) FROM device"))


def elsewhere(service: Service) -> AbstractContextManager[httpx.Client]:
    """Return a client without cookies."""
    return service.client()


def is_known(service: Service, token: str, username: str = "Alice") -> bool:
    """Return whether a device is known to a user: an exhausted name does not concern it."""
    with elsewhere(service) as stranger:
        while (status := log_in(stranger, username, password="wrong").status_code) != 429:
            assert status == 401
        response = log_in(stranger, username, password="wrong", device_token=token)
    return response.status_code == 401


def test_the_device_cookie_is_http_only_and_same_site(client: httpx.Client) -> None:
    for response in (sign_up(client), log_in(client)):
        name_and_token, *attributes = header_of(response).split("; ")
        name, _, token = name_and_token.partition("=")
        assert (name, len(token)) == (DEVICE_COOKIE, 43)
        assert re.fullmatch(r"Expires=\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", attributes.pop(1))
        assert attributes == [f"Max-Age={YEAR}", "HttpOnly", "Path=/", "SameSite=Lax"]


def test_in_production_the_device_cookie_is_bound_to_the_host_whatever_the_session_cookie_is(
    services: ServicePool,
) -> None:
    service = services.service(
        {
            "OSTIARY_ENV": "production",
            "OSTIARY_COOKIE_DOMAIN": "example.com",
            "OSTIARY_COOKIE_SAMESITE": "none",
            "OSTIARY_DEVICE_COOKIE_NAME": "shop_device",
            "OSTIARY_DEVICE_LIFETIME": "30d",
        }
    )
    with service.client() as client:
        header = sign_up(client).headers.get_list("set-cookie")[1]
    assert header.startswith("__Host-shop_device=")
    assert header.endswith("; HttpOnly; Path=/; SameSite=None; Secure")
    assert f"Max-Age={30 * 86400};" in header
    assert "Domain" not in header


def test_a_device_keeps_its_token(service: Service, client: httpx.Client) -> None:
    token = device_of(sign_up(client))
    client.post("/logout")
    assert client.cookies[DEVICE_COOKIE] == token
    assert device_of(log_in(client)) == token
    assert number_of_devices(service) == 1


def test_the_users_of_one_browser_share_its_token(service: Service, client: httpx.Client) -> None:
    token = device_of(sign_up(client, "Alice"))
    client.post("/logout")
    assert device_of(sign_up(client, "Bobby")) == token
    assert device_of(log_in(client, "Alice")) == token  # which is kept for both of them
    assert is_known(service, token, "Alice")
    assert is_known(service, token, "Bobby")


def test_another_device_has_another_token(service: Service, client: httpx.Client) -> None:
    token = device_of(sign_up(client))
    with elsewhere(service) as phone:
        assert device_of(log_in(phone)) != token
    assert number_of_devices(service) == 2


@pytest.mark.parametrize("planted", ["A" * 43, "x", "", "é" * 43, "A" * 5000])
def test_a_token_that_was_never_issued_is_replaced(
    service: Service, client: httpx.Client, planted: str
) -> None:
    header = f"{DEVICE_COOKIE}={planted}".encode()
    body = {"username": "Alice", "password": PASSWORD}
    response = client.post("/signup", json=body, headers={b"Cookie": header})
    assert response.status_code == 201
    assert device_of(response) != planted
    assert is_known(service, device_of(response))


def test_a_quoted_cookie_is_recognised(client: httpx.Client) -> None:
    token = device_of(sign_up(client))
    client.cookies.clear()
    body = {"username": "Alice", "password": PASSWORD}
    again = client.post("/login", json=body, headers=device_cookie(f'"{token}"'))
    assert device_of(again) == token


def test_a_bearer_client_has_its_device_token_in_the_body(
    service: Service, client: httpx.Client
) -> None:
    joined = sign_up(client, transport="bearer")
    token = joined.json()["session"]["device_token"]
    back = log_in(client, transport="bearer", device_token=token)
    assert back.json()["session"]["device_token"] == token
    for response in (joined, back):
        assert "set-cookie" not in response.headers
    assert is_known(service, token)
    assert not is_known(service, "A" * 43)


def test_a_device_token_that_came_in_a_cookie_is_not_shown_to_scripts(
    client: httpx.Client,
) -> None:
    sign_up(client)
    session = log_in(client, transport="bearer").json()["session"]
    assert "token" in session
    assert "device_token" not in session


def test_a_new_device_token_is_in_the_body_even_if_the_old_one_came_in_a_cookie(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    forgotten = device_cookie("A" * 43)
    body = {"username": "Alice", "password": PASSWORD, "transport": "bearer"}
    with elsewhere(service) as app:
        session = app.post("/login", json=body, headers=forgotten).json()["session"]
    assert is_known(service, session["device_token"])


def test_a_device_token_is_in_the_cookie_only(client: httpx.Client) -> None:
    response = sign_up(client)
    assert "device_token" not in response.json()["session"]
    assert device_of(response) not in response.text


@pytest.mark.parametrize("value", [None, 1, ["A" * 43]])
def test_a_device_token_must_be_a_string(client: httpx.Client, value: Any) -> None:
    response = sign_up(client, device_token=value)
    assert response.json()["errors"][0]["field"] == "device_token"


def test_the_database_does_not_contain_the_device_token(
    service: Service, client: httpx.Client
) -> None:
    token = device_of(sign_up(client))
    query = "SELECT string_agg(device::text || session::text, '') FROM device, session"
    stored = fetch_value(service.database_url, query)
    assert sha256(token.encode()).hexdigest() in stored
    for secret in (token.encode(), urlsafe_b64decode(f"{token}=")):
        assert secret[:8].hex() not in stored
    assert token not in service.logged()


def test_a_device_token_opens_nothing(client: httpx.Client) -> None:
    token = device_of(sign_up(client))
    client.cookies.clear()
    assert client.get("/me", headers=device_cookie(token)).status_code == 401
    assert client.get("/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert log_in(client, password="wrong", device_token=token).status_code == 401


def test_a_known_device_has_failures_of_its_own(service: Service, client: httpx.Client) -> None:
    token = device_of(sign_up(client))
    assert is_known(service, token)
    statuses = [log_in(client, password="wrong").status_code for _ in range(2)]
    assert statuses == [401, 429]
    with elsewhere(service) as phone:
        assert log_in(phone).status_code == 429


def test_a_device_is_known_to_its_users_only(service: Service, client: httpx.Client) -> None:
    """Whether a user exists cannot be told by the device of another."""
    with elsewhere(service) as another:
        sign_up(another, "Bobby")
    token = device_of(sign_up(client))
    for username in ("Bobby", "Nobody"):
        assert not is_known(service, token, username)


def test_failures_on_a_known_device_do_not_concern_other_devices(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    assert [log_in(client, password="wrong").status_code for _ in range(3)] == [401, 401, 429]
    with elsewhere(service) as phone:
        assert log_in(phone).status_code == 200


def test_a_device_is_forgotten_after_its_lifetime(service: Service, client: httpx.Client) -> None:
    token = device_of(sign_up(client))
    age = "UPDATE device SET last_seen = last_seen - make_interval(secs => $1)"
    execute(service.database_url, age, YEAR - 3600)
    assert is_known(service, token)
    execute(service.database_url, age, 3601)
    assert not is_known(service, token)


def test_a_log_in_extends_the_lifetime(service: Service, client: httpx.Client) -> None:
    token = device_of(sign_up(client))
    age = "UPDATE device SET last_seen = last_seen - make_interval(days => 300)"
    execute(service.database_url, age)
    log_in(client)
    execute(service.database_url, age)
    assert is_known(service, token)


def change_password(client: httpx.Client) -> httpx.Response:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    return client.put("/me/password", json=body)


@pytest.mark.parametrize(
    "forget",
    [change_password, lambda client: client.delete("/sessions")],
    ids=["change of password", "end of all other sessions"],
)
def test_the_other_devices_are_forgotten(
    service: Service, client: httpx.Client, forget: Callable[[httpx.Client], httpx.Response]
) -> None:
    mine = device_of(sign_up(client))
    with elsewhere(service) as phone, elsewhere(service) as another:
        lost = device_of(log_in(phone))
        bobbys = device_of(sign_up(another, "Bobby"))
    assert forget(client).is_success
    assert is_known(service, mine)
    assert not is_known(service, lost)
    assert is_known(service, bobbys, "Bobby")


def test_a_forgotten_device_gets_a_new_token(service: Service, client: httpx.Client) -> None:
    """Who has copied the old one is not recognised by it again."""
    sign_up(client)
    with elsewhere(service) as phone:
        lost = device_of(log_in(phone))
        client.delete("/sessions")
        assert device_of(log_in(phone)) != lost


def test_deleting_the_account_forgets_its_devices(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    client.request("DELETE", "/me", json={"password": PASSWORD})
    assert number_of_devices(service) == 0


def test_the_oldest_of_a_hundred_devices_is_forgotten(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client, "Bobby")
    client.cookies.clear()
    sign_up(client)
    add = """
    INSERT INTO device (hash, user_id, last_seen)
    SELECT sha256(int4send(n)), user_id, now() - n * interval '1 hour'
    FROM generate_series(99, 1, -1) AS n, key WHERE name = 'alice'
    """
    execute(service.database_url, add)
    client.cookies.clear()
    log_in(client)
    assert number_of_devices(service) == 101  # with that of Bobby
    oldest = "SELECT max(now() - last_seen) < interval '99 hours' FROM device"
    assert fetch_value(service.database_url, oldest)
    log_in(client)
    assert number_of_devices(service) == 101


def test_a_device_is_forgotten_for_the_user_who_has_too_many_only(
    service: Service, client: httpx.Client
) -> None:
    with elsewhere(service) as shared:
        token = device_of(sign_up(shared, "Bobby"))
        shared.post("/logout")
        assert device_of(sign_up(shared, "Alice")) == token
    add = """
    INSERT INTO device (hash, user_id, last_seen)
    SELECT sha256(int4send(n)), user_id, now() + n * interval '1 hour'
    FROM generate_series(1, 99) AS n, key WHERE name = 'alice'
    """
    execute(service.database_url, add)
    log_in(client)
    assert not is_known(service, token, "Alice")
    assert is_known(service, token, "Bobby")


def test_a_device_forgotten_during_a_log_in_stays_forgotten(
    service: Service, client: httpx.Client
) -> None:
    """The password changes while the log-in with the old one is in flight."""
    sign_up(client)
    forgotten = "DELETE FROM device; UPDATE key SET password_hash = 'another'"
    with elsewhere(service) as phone:
        token = device_of(log_in(phone))
        response = result_during(service.database_url, forgotten, lambda: log_in(phone))
    assert response.status_code == 401
    assert number_of_devices(service) == 0
    assert not is_known(service, token)


def test_a_log_in_while_its_device_is_forgotten_makes_it_known_again(
    service: Service, client: httpx.Client
) -> None:
    """All other sessions are ended while a log-in with the right password is in flight."""
    sign_up(client)
    forgotten = "DELETE FROM device; SELECT FROM key FOR UPDATE"
    with elsewhere(service) as phone:
        log_in(phone)
        response = result_during(service.database_url, forgotten, lambda: log_in(phone))
    assert response.status_code == 200
    assert is_known(service, device_of(response))
