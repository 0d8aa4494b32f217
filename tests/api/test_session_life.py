"""The life of a session: active, idle, dead. Tests change its times instead of waiting."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.databases import execute, fetch_value
from tests.factories import (
    COOKIE,
    age_sessions,
    cookie,
    log_in,
    moment,
    sessions_in,
    sign_up,
    token_of,
    with_other_secret,
)
from tests.service_pool import ServicePool
from tests.services import Service, running


def test_an_active_session_is_not_renewed(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    age_sessions(service.database_url, days=0.9)
    before = sessions_in(service.database_url)
    assert client.get("/me").json()["session"]["fresh"] is False
    assert sessions_in(service.database_url) == before


def test_an_idle_session_is_renewed(service: Service, client: httpx.Client) -> None:
    created = sign_up(client).json()["session"]
    age_sessions(service.database_url, days=3)
    session = client.get("/me").json()["session"]
    assert (session["state"], session["fresh"]) == ("active", True)
    now = fetch_value(service.database_url, "SELECT renewed_at FROM session")
    assert moment(session["active_expires_at"]) == now + timedelta(days=1)
    assert moment(session["idle_expires_at"]) == now + timedelta(days=15)
    assert moment(session["created_at"]) == moment(created["created_at"]) - timedelta(days=3)


def test_a_renewal_does_not_affect_other_idle_sessions(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    client.cookies.clear()
    log_in(client)
    age_sessions(service.database_url, days=3)
    other, _ = sessions_in(service.database_url)
    assert client.get("/me").json()["session"]["fresh"] is True
    assert sessions_in(service.database_url)[0] == other


def test_a_renewal_sets_the_same_cookie_with_the_new_expiry(
    service: Service, client: httpx.Client
) -> None:
    token = token_of(sign_up(client))
    age_sessions(service.database_url, days=3)
    header = client.get("/me").headers["set-cookie"]
    assert header.startswith(f"{COOKIE}={token}; Max-Age={15 * 86400};")


def test_a_renewed_session_is_fresh_once(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    age_sessions(service.database_url, days=3)
    client.get("/me")
    again = client.get("/me")
    assert again.json()["session"]["fresh"] is False
    assert "set-cookie" not in again.headers


def test_a_renewal_never_passes_the_absolute_limit(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    for _ in range(2):
        age_sessions(service.database_url, days=10)
        response = client.get("/me")
        assert response.status_code == 200
    session = response.json()["session"]
    assert moment(session["idle_expires_at"]) == absolute_limit(service)
    assert moment(session["absolute_expires_at"]) == absolute_limit(service)
    age_sessions(service.database_url, days=9.99)
    last = client.get("/me")
    assert last.status_code == 200
    assert moment(last.json()["session"]["active_expires_at"]) == absolute_limit(service)
    age_sessions(service.database_url, days=0.02)
    assert client.get("/me").status_code == 401


def test_the_cookie_expires_by_the_absolute_limit(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    age_sessions(service.database_url, days=10)
    client.get("/me")
    age_sessions(service.database_url, days=10)
    header = client.get("/me").headers["set-cookie"]
    seconds = int(header.split("Max-Age=")[1].split(";")[0])
    assert 10 * 86400 - 60 < seconds <= 10 * 86400


def test_a_dead_session_is_401(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    age_sessions(service.database_url, days=15.01)
    response = client.get("/me")
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert "set-cookie" not in response.headers


def test_a_user_with_a_dead_session_can_log_in(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    age_sessions(service.database_url, days=16)
    assert log_in(client).status_code == 200
    assert client.get("/me").status_code == 200


def test_sign_up_with_an_idle_session_is_refused(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    age_sessions(service.database_url, days=5)
    assert sign_up(client, "Bobby").json()["code"] == "already_authenticated"


def test_a_session_id_with_a_wrong_secret_is_401(client: httpx.Client) -> None:
    token = token_of(sign_up(client))
    client.cookies.clear()
    response = client.get("/me", headers=cookie(with_other_secret(token)))
    assert response.status_code == 401
    assert client.get("/me", headers=cookie(token)).status_code == 200


def test_a_forged_token_does_not_renew(service: Service, client: httpx.Client) -> None:
    token = token_of(sign_up(client))
    client.cookies.clear()
    age_sessions(service.database_url, days=3)
    before = sessions_in(service.database_url)
    client.get("/me", headers=cookie(with_other_secret(token)))
    assert sessions_in(service.database_url) == before


@pytest.mark.parametrize(
    "value",
    ["", "x", "=" * 64, "A" * 63, "A" * 65, "A" * 64, "é" * 64, '"' + "A" * 62 + '"', "A" * 8000],
)
def test_an_invalid_cookie_is_401_and_left_alone(client: httpx.Client, value: str) -> None:
    header = f"{COOKIE}={value}".encode()
    response = client.get("/me", headers={b"Cookie": header})
    assert response.status_code == 401
    assert "set-cookie" not in response.headers


def test_a_repeated_session_cookie_is_accepted(client: httpx.Client) -> None:
    token = token_of(sign_up(client))
    client.cookies.clear()
    both = f"{COOKIE}={token}; theme=dark;{COOKIE}={token}"
    assert client.get("/me", headers={"Cookie": both}).status_code == 200


def test_expiry_is_decided_by_the_clock_of_the_database(
    service: Service, client: httpx.Client
) -> None:
    """The clock of the service has no influence."""
    token = token_of(sign_up(client))
    client.cookies.clear()
    execute(service.database_url, "UPDATE session SET idle_expires_at = now()")
    assert client.get("/me", headers=cookie(token)).status_code == 401
    execute(
        service.database_url, "UPDATE session SET idle_expires_at = now() + interval '1 minute'"
    )
    assert client.get("/me", headers=cookie(token)).status_code == 200


def test_log_out_ends_the_session_in_every_process(service: Service, tmp_path: Path) -> None:
    log = tmp_path / "other.log"
    with running(service.database_url, log) as other, service.client() as here:
        token = token_of(sign_up(here))
        with other.client() as there:
            assert there.get("/me", headers=cookie(token)).status_code == 200
            here.post("/logout")
            assert there.get("/me", headers=cookie(token)).status_code == 401


def test_the_periods_are_settings(
    services: ServicePool,
) -> None:
    environment = {
        "OSTIARY_SESSION_ACTIVE_PERIOD": "10m",
        "OSTIARY_SESSION_IDLE_PERIOD": "20m",
        "OSTIARY_SESSION_MAX_LIFETIME": "25m",
    }
    with services.service(environment).client() as client:
        response = sign_up(client)
        session = response.json()["session"]
        created = moment(session["created_at"])
        assert moment(session["active_expires_at"]) - created == timedelta(minutes=10)
        assert moment(session["idle_expires_at"]) - created == timedelta(minutes=25)
        assert "Max-Age=1500" in response.headers["set-cookie"]


def test_production_cookies_are_secure_and_bound_to_the_host(
    services: ServicePool,
) -> None:
    with services.service({"OSTIARY_ENV": "production"}).client() as client:
        header = sign_up(client).headers.get_list("set-cookie")[0]
    assert header.startswith("__Host-auth_session=")
    assert header.endswith("HttpOnly; Path=/; SameSite=Lax; Secure")


def test_a_cookie_with_a_domain_has_the_prefix_secure(
    services: ServicePool,
) -> None:
    environment = {"OSTIARY_ENV": "production", "OSTIARY_COOKIE_DOMAIN": "example.com"}
    with services.service(environment).client() as client:
        header = sign_up(client).headers.get_list("set-cookie")[0]
    assert header.startswith("__Secure-auth_session=")
    assert header.endswith("; Domain=example.com; Secure")


@pytest.mark.parametrize(
    ("environment", "end"),
    [
        ({"OSTIARY_COOKIE_SAMESITE": "strict"}, "; SameSite=Strict"),
        (
            {
                "OSTIARY_ENV": "production",
                "OSTIARY_COOKIE_SAMESITE": "none",
                "OSTIARY_COOKIE_HOST_PREFIX": "false",
            },
            "; SameSite=None; Secure",
        ),
    ],
    ids=["strict", "none and no prefix"],
)
def test_the_attributes_of_the_cookie_are_settings(
    database_url: str, tmp_path: Path, environment: dict[str, str], end: str
) -> None:
    with (
        running(database_url, tmp_path / "service.log", environment) as service,
        service.client() as client,
    ):
        header = sign_up(client).headers["set-cookie"]
    assert header.startswith("auth_session=")
    assert header.endswith(end)


def absolute_limit(service: Service) -> datetime:
    limit: datetime = fetch_value(service.database_url, "SELECT absolute_expires_at FROM session")
    return limit
