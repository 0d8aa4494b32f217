"""Simultaneous changes of one account: the later request sees the effect of the earlier one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.databases import (
    execute,
    fetch_value,
    held,
    result_during,
    wait_for_lock_waiters,
)
from tests.factories import (
    COOKIE,
    PASSWORD,
    age_sessions,
    bearer,
    cookie,
    log_in,
    moment,
    sessions_in,
    sign_up,
    token_of,
)
from tests.services import Service

ANOTHER = "an entirely different one"

CHANGE_THE_HASH = "UPDATE key SET password_hash = 'the hash of another password'"
RENEW_THE_SESSION = "UPDATE session SET active_expires_at = now() + interval '1 day'"
END_THE_SESSION = "UPDATE session SET idle_expires_at = now()"


def change_password(client: httpx.Client) -> httpx.Response:
    body = {"current_password": PASSWORD, "new_password": ANOTHER}
    return client.put("/me/password", json=body)


def hash_in(database_url: str) -> str:
    found: str = fetch_value(database_url, "SELECT password_hash FROM key")
    return found


def test_a_log_in_during_a_password_change_is_refused(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    before = sessions_in(service.database_url)
    response = result_during(service.database_url, CHANGE_THE_HASH, lambda: log_in(client))
    assert (response.status_code, response.json()["code"]) == (401, "invalid_credentials")
    assert sessions_in(service.database_url) == before


def test_simultaneous_log_ins_of_one_user_do_not_wait_for_each_other(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    with held(service.database_url, "SELECT FROM key FOR SHARE"):
        assert log_in(client).status_code == 200


def test_the_second_of_two_simultaneous_password_changes_is_refused(
    service: Service, client: httpx.Client
) -> None:
    token = token_of(sign_up(client))
    before = sessions_in(service.database_url)
    response = result_during(service.database_url, CHANGE_THE_HASH, lambda: change_password(client))
    assert (response.status_code, response.json()["code"]) == (401, "invalid_credentials")
    assert hash_in(service.database_url) == "the hash of another password"
    assert sessions_in(service.database_url) == before
    assert client.get("/me", headers=cookie(token)).status_code == 200


def test_a_password_change_whose_session_ends_meanwhile_is_refused(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    password_hash = hash_in(service.database_url)
    response = result_during(service.database_url, END_THE_SESSION, lambda: change_password(client))
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert hash_in(service.database_url) == password_hash


def test_a_deletion_during_a_password_change_is_refused(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    before = sessions_in(service.database_url)
    response = result_during(
        service.database_url,
        CHANGE_THE_HASH,
        lambda: client.request("DELETE", "/me", json={"password": PASSWORD}),
    )
    assert (response.status_code, response.json()["code"]) == (401, "invalid_credentials")
    assert sessions_in(service.database_url) == before


def test_an_idle_session_that_dies_before_its_renewal_stays_dead(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    age_sessions(service.database_url, days=3)
    response = result_during(service.database_url, END_THE_SESSION, lambda: client.get("/me"))
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert fetch_value(service.database_url, "SELECT idle_expires_at <= now() FROM session")


def test_a_session_that_is_renewed_meanwhile_is_not_renewed_again(
    service: Service, client: httpx.Client
) -> None:
    user = sign_up(client).json()["user"]
    age_sessions(service.database_url, days=3)
    response = result_during(service.database_url, RENEW_THE_SESSION, lambda: client.get("/me"))
    assert response.status_code == 200
    assert "set-cookie" not in response.headers
    assert response.json()["user"] == user
    assert response.json()["session"]["fresh"] is False
    renewed = fetch_value(service.database_url, "SELECT active_expires_at FROM session")
    assert moment(response.json()["session"]["active_expires_at"]) == renewed


def sessions_of_one_user(client: httpx.Client, number: int) -> list[str]:
    """Return the tokens of so many sessions, oldest first."""
    tokens = [token_of(sign_up(client))]
    for _ in range(number - 1):
        client.cookies.clear()
        tokens.append(token_of(log_in(client)))
    client.cookies.clear()
    return tokens


def responses_to(service: Service, locked: str, *sends: Callable[[], httpx.Response]) -> list[int]:
    """Return the status codes of requests that come one after another, and wait for a lock."""
    with ThreadPoolExecutor(len(sends)) as pool:
        with held(service.database_url, locked):
            responses = []
            for waiting, send in enumerate(sends, start=1):
                responses.append(pool.submit(send))
                wait_for_lock_waiters(service.database_url, waiting)
        return [response.result().status_code for response in responses]


def test_a_log_in_and_the_deletion_of_the_user_do_not_wait_in_a_circle(
    service: Service, client: httpx.Client
) -> None:
    token = token_of(sign_up(client))
    device = client.cookies["auth_device"]
    client.cookies.clear()
    statuses = responses_to(
        service,
        "SELECT FROM device FOR UPDATE",
        lambda: log_in(client, device_token=device),
        lambda: client.request("DELETE", "/me", json={"password": PASSWORD}, headers=bearer(token)),
    )
    assert statuses == [200, 204]


def test_a_password_change_and_the_end_of_all_other_sessions_do_not_wait_in_a_circle(
    service: Service, client: httpx.Client
) -> None:
    tokens = sessions_of_one_user(client, 3)
    statuses = responses_to(
        service,
        "SELECT FROM device FOR UPDATE",
        lambda: client.put(
            "/me/password",
            json={"current_password": PASSWORD, "new_password": ANOTHER},
            headers=bearer(tokens[0]),
        ),
        lambda: client.delete("/sessions", headers=bearer(tokens[1])),
    )
    assert statuses == [200, 200]


def test_sessions_are_locked_in_the_same_order_by_all_requests(
    service: Service, client: httpx.Client
) -> None:
    tokens = sessions_of_one_user(client, 2)
    # The older one has the higher id.
    execute(
        service.database_url,
        """UPDATE session SET created_at = now() - interval '1 hour'
           WHERE id = (SELECT id FROM session ORDER BY id DESC LIMIT 1)""",
    )
    oldest = "SELECT FROM session ORDER BY created_at LIMIT 1 FOR UPDATE"
    free = "SELECT count(*) FROM (SELECT FROM session FOR UPDATE SKIP LOCKED) AS free"
    headers = {"Cookie": "; ".join(f"{COOKIE}={token}" for token in tokens)}
    with ThreadPoolExecutor(1) as pool:
        with held(service.database_url, oldest):
            response = pool.submit(client.post, "/logout", headers=headers)
            wait_for_lock_waiters(service.database_url)
            assert fetch_value(service.database_url, free) == 1
        assert response.result().status_code == 204
