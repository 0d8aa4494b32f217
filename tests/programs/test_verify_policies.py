"""Policies of `/verify`: their paths, and what each asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.test_http import CLOSE, send, statuses
from tests.databases import execute
from tests.factories import age_sessions
from tests.programs.forwarding import (
    POLICIES,
    forwarded,
    give_roles,
    refusal,
    session_cookie,
    verify,
    with_policies,
)
from tests.service_pool import ServicePool
from tests.services import Service

MINUTE = 1 / (24 * 60)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policies")


@pytest.fixture
def service(services: ServicePool, directory: Path) -> Service:
    return with_policies(services, directory)


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


def set_methods(service: Service, **minutes_ago: float) -> None:
    """Let all sessions have been proven by these methods, each so many minutes ago."""
    built = ", ".join(
        f"'{method}', to_char(now() AT TIME ZONE 'UTC' - make_interval(secs => {60 * ago}), "
        '\'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'
        for method, ago in minutes_ago.items()
    )
    execute(service.database_url, f"UPDATE session SET methods = jsonb_build_object({built})")


def test_the_role_of_a_policy_is_one_of_several(service: Service, client: httpx.Client) -> None:
    headers = forwarded(Cookie=session_cookie(client))
    for roles, status in (([], 403), (["admins", "adm"], 403), (["x", "owner"], 204)):
        give_roles(service.database_url, *roles)
        assert verify(client, "/verify/admin", headers).status_code == status
    give_roles(service.database_url)
    assert refusal(verify(client, "/verify/admin", headers)) == (403, "insufficient_role")


def test_a_role_is_asked_for_before_a_better_proof(service: Service, client: httpx.Client) -> None:
    """To authenticate again would not help."""
    headers = forwarded(Cookie=session_cookie(client))
    age_sessions(service.database_url, days=0.5)
    assert refusal(verify(client, "/verify/admin", headers)) == (403, "insufficient_role")


@pytest.mark.parametrize(("policy", "status"), [("admin", 403), ("recent-password", 401)])
def test_a_request_that_the_policy_refuses_renews_nothing(
    service: Service, client: httpx.Client, policy: str, status: int
) -> None:
    """The renewal is left for the next one that passes, whose answer sets the cookie."""
    headers = forwarded(Cookie=session_cookie(client))
    age_sessions(service.database_url, days=2)
    refused = verify(client, f"/verify/{policy}", headers)
    assert (refused.status_code, "set-cookie" in refused.headers) == (status, False)
    assert "set-cookie" in verify(client, "/verify/any", headers).headers


def test_another_method_is_401_with_the_methods_and_a_challenge(
    service: Service, client: httpx.Client
) -> None:
    headers = forwarded(Cookie=session_cookie(client))
    answer = verify(client, "/verify/proven", headers)
    assert refusal(answer) == (401, "reauthentication_required")
    assert answer.json()["methods"] == ["passkey", "totp"]
    challenge = 'Bearer error="insufficient_user_authentication"'
    assert answer.headers["www-authenticate"] == challenge
    set_methods(service, password=5, totp=5000)
    assert verify(client, "/verify/proven", headers).status_code == 204


def test_an_old_proof_is_401_with_the_maximum_age(service: Service, client: httpx.Client) -> None:
    headers = forwarded(Cookie=session_cookie(client))
    age_sessions(service.database_url, days=4 * MINUTE)
    assert verify(client, "/verify/recent", headers).status_code == 204
    age_sessions(service.database_url, days=2 * MINUTE)
    answer = verify(client, "/verify/recent", headers)
    assert refusal(answer) == (401, "reauthentication_required")
    assert answer.json()["methods"] == ["password"]
    challenge = 'Bearer error="insufficient_user_authentication", max_age="300"'
    assert answer.headers["www-authenticate"] == challenge


def test_the_age_is_that_of_the_method_that_is_asked_for(
    service: Service, client: httpx.Client
) -> None:
    headers = forwarded(Cookie=session_cookie(client))
    set_methods(service, password=10, totp=1)
    assert verify(client, "/verify/recent", headers).status_code == 204
    answer = verify(client, "/verify/recent-password", headers)
    assert refusal(answer) == (401, "reauthentication_required")
    assert answer.json()["methods"] == ["password"]


def test_a_recent_password_is_not_enough_for_a_user_whose_factor_was_proven_long_ago(
    service: Service, client: httpx.Client
) -> None:
    headers = forwarded(Cookie=session_cookie(client))
    set_methods(service, password=1, totp=10)
    moved = "UPDATE session SET authenticated_at = now() - interval '10 minutes'"
    execute(service.database_url, moved)
    assert verify(client, "/verify/recent-password", headers).status_code == 401


def test_the_age_of_a_session_that_is_renewed_counts_too(
    service: Service, client: httpx.Client
) -> None:
    headers = forwarded(Cookie=session_cookie(client))
    age_sessions(service.database_url, days=2)
    assert verify(client, "/verify/recent", headers).status_code == 401
    execute(
        service.database_url,
        "UPDATE session SET active_expires_at = now() - interval '1 s', authenticated_at = now()",
    )
    assert verify(client, "/verify/recent", headers).status_code == 204


def test_reauthentication_satisfies_a_policy(service: Service, client: httpx.Client) -> None:
    cookie = session_cookie(client)
    age_sessions(service.database_url, days=0.5)
    proof = {"method": "password", "password": "correct horse battery staple"}
    answer = client.post("/me/reauthenticate", json=proof, headers={"Cookie": cookie})
    renewed = f"{cookie.partition('=')[0]}={answer.cookies[cookie.partition('=')[0]]}"
    client.cookies.clear()
    headers = forwarded(Cookie=renewed)
    assert verify(client, "/verify/recent-password", headers).status_code == 204


@pytest.mark.parametrize(
    "appended",
    [
        *("", "/", "/api/orders", "/api//orders", "/a%2Fb", "/a;b=c", "/.well-known/x", "/..a"),
        *("/a/...", "/%E2%82%AC", "/a%252e%252e", "/verify/admin", "/*", "/~a@b:80/(x)"),
    ],
)
def test_the_policy_is_followed_by_any_path(client: httpx.Client, appended: str) -> None:
    headers = forwarded(Cookie=session_cookie(client))
    assert verify(client, f"/verify/any{appended}", headers).status_code == 204


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/verify/",
            "/verify/unknown",
            "/verify/unknown/any",
            "/verifyx",
            "/verify/anyx",
            "/Verify",
        ),
        *("/verify/ANY", "//verify", "//verify/any", "/verify//any", "/./verify/any", "/x/verify"),
        *(
            "/verify/any/../admin",
            "/verify/any/..",
            "/verify/any/.",
            "/verify/any/./x",
            "/verify/..",
        ),
        *("/verify/any/%2e%2e/admin", "/verify/any/%2E", "/verify/any/x%2ey", "/verify/%61ny"),
        *("/verify/any%2f", "/verify/any%2F..%2Fadmin", "/verify%2fany", "/verify/any/a\\b"),
        *("/verify/any\\..\\admin", "/verify/any/%5c..%5cadmin", "/verify/any/%5C", "/verify\\any"),
        *("/verify/any/..%2fadmin", "/verify/any/x%2F../admin", "/verify/any/x%2F..%2F..%2Fadmin"),
        *("/verify/any/%2F.", "/verify/any/..;/admin", "/verify/any/.;x%2Fadmin"),
        *("/verify/any;x", "/verify/any%00", "/verify/any%20", "/verify/any.json", "/verify/+any"),
    ],
)
def test_any_other_path_is_404(service: Service, client: httpx.Client, path: str) -> None:
    cookie = session_cookie(client)
    head = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Method: GET\r\nCookie: {cookie}\r\n"
    )
    answer = send(service, head.encode() + CLOSE + b"\r\n")
    assert statuses(answer) == [404]
    assert b"application/problem+json" in answer
    assert b"x-ostiary" not in answer.lower()


def test_without_a_file_there_is_the_bare_path_only(services: ServicePool) -> None:
    service = services.service()
    with service.client() as client:
        headers = forwarded(Cookie=session_cookie(client))
        assert verify(client, headers=headers).status_code == 204
        for name in POLICIES:
            assert refusal(verify(client, f"/verify/{name}", headers)) == (404, "not_found")


def test_a_policy_of_envoy_answers_200_which_is_its_only_yes(client: httpx.Client) -> None:
    answer = verify(client, "/verify/envoy/x", forwarded(Cookie=session_cookie(client)))
    assert (answer.status_code, answer.headers["content-length"]) == (200, "0")
