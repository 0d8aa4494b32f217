"""POST /me/token: JWTs that programs verify by themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest

from tests.databases import execute, fetch_value, locked, wait_for_lock_waiters
from tests.factories import age_sessions, moment, sign_up
from tests.programs.verifying import (
    ACCESS_TOKENS,
    BILLING,
    FILES,
    ISSUER,
    KEYS,
    ask,
    ids,
    issued,
    kid_of,
    published,
    session_of,
    stored_keys,
    verified,
)
from tests.service_pool import ServicePool
from tests.services import Service

ALLOWED = "https://app.example.com"
BEHIND_A_PROXY = {
    "OSTIARY_ALLOWED_HOSTS": "*",
    "OSTIARY_TRUSTED_PROXIES": "127.0.0.1",
    "OSTIARY_ALLOWED_ORIGINS": ALLOWED,
}


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(ACCESS_TOKENS | BEHIND_A_PROXY)


@pytest.fixture
def alice(client: httpx.Client) -> dict[str, str]:
    """Return the header with the token of a session."""
    return session_of(client)


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_a_token_has_the_claims_of_rfc_9068(client: httpx.Client, alice: dict[str, str]) -> None:
    me = client.get("/me", headers=alice).json()

    answer = ask(client, alice)

    token = answer.json()["token"]
    claims = verified(published(client), token)
    assert jwt.get_unverified_header(token) == {
        "typ": "at+jwt",
        "alg": "ES256",
        "kid": kid_of(token),
    }
    assert claims.keys() == {
        *("iss", "sub", "aud", "client_id", "exp", "iat", "jti"),
        *("sid", "amr", "auth_time", "roles"),
    }
    assert claims["exp"] - claims["iat"] == 60
    assert claims["exp"] == moment(answer.json()["expires_at"]).timestamp()
    assert claims["auth_time"] == int(moment(me["session"]["authenticated_at"]).timestamp())
    assert claims["sub"] == me["user"]["id"]
    assert claims["sid"] == me["session"]["id"]
    assert claims["client_id"] == BILLING
    assert claims["amr"] == ["pwd"]
    assert claims["roles"] == []
    assert str(UUID(claims["jti"])) == claims["jti"]


def test_a_token_is_issued_by_the_clock_of_the_database(
    client: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    seconds = "SELECT extract(epoch FROM clock_timestamp())"
    before = fetch_value(service.database_url, seconds)
    claims = verified(published(client), issued(client, alice))
    after = fetch_value(service.database_url, seconds)

    assert int(before) <= claims["iat"] <= after


def test_no_two_tokens_have_the_same_id(client: httpx.Client, alice: dict[str, str]) -> None:
    keys = published(client)
    found = {verified(keys, issued(client, alice))["jti"] for _ in range(3)}

    assert len(found) == 3


def test_a_token_is_for_one_audience(client: httpx.Client, alice: dict[str, str]) -> None:
    token, keys = issued(client, alice, FILES), published(client)

    assert verified(keys, token, FILES)["aud"] == FILES
    with pytest.raises(jwt.InvalidAudienceError):
        verified(keys, token, BILLING)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"},
        {"Forwarded": "host=evil.example;proto=http"},
    ],
)
def test_the_issuer_is_that_of_the_setting(
    client: httpx.Client, alice: dict[str, str], headers: dict[str, str]
) -> None:
    keys = published(client)
    answer = ask(client, alice, **headers)

    assert verified(keys, answer.json()["token"])["iss"] == ISSUER


@pytest.mark.parametrize(
    "body",
    [
        {"audience": "other"},
        {"audience": ""},
        {"audience": "Billing"},
        {"audience": " billing"},
        {"audience": f"{BILLING},{FILES}"},
        {"audience": f"{FILES}/"},
        {"audience": [BILLING]},
        {"audience": [BILLING, FILES]},
        {"audience": None},
        {"audience": 1},
        {"audience": {}},
        {},
        {"audience": BILLING, "scope": "all"},
    ],
)
def test_no_token_is_signed_for_another_audience(
    client: httpx.Client, service: Service, alice: dict[str, str], body: dict[str, Any]
) -> None:
    refused = client.post("/me/token", json=body, headers=alice)

    assert problem(refused) == (400, "validation_failed")
    assert stored_keys(service.database_url) == []


def test_roles_are_in_the_token_and_metadata_is_not(
    client: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    change = """UPDATE "user" SET roles = '{editor,관리자}', metadata = '{"plan": "team"}'"""
    execute(service.database_url, change)

    claims = verified(published(client), issued(client, alice))

    assert claims["roles"] == ["editor", "관리자"]
    assert "team" not in str(claims)


def test_a_token_is_issued_to_a_cookie_too_and_is_not_cached(client: httpx.Client) -> None:
    sign_up(client)

    answer = ask(client, {})

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_of_another_origin_gets_no_token(
    client: httpx.Client, alice: dict[str, str], headers: dict[str, str]
) -> None:
    assert problem(ask(client, alice, **headers)) == (403, "origin_rejected")


def test_without_a_session_there_is_no_token(client: httpx.Client, service: Service) -> None:
    assert problem(ask(client, {})) == (401, "not_authenticated")
    assert stored_keys(service.database_url) == []


def test_an_access_token_opens_nothing_here(client: httpx.Client, alice: dict[str, str]) -> None:
    token = issued(client, alice)

    refused = client.get("/me", headers={"Authorization": f"Bearer {token}"})

    assert problem(refused) == (401, "not_authenticated")


def test_a_session_that_ended_gets_no_token_in_any_process(
    client: httpx.Client, services: ServicePool, alice: dict[str, str]
) -> None:
    other = services.service(ACCESS_TOKENS)
    with other.client() as elsewhere:
        assert ask(elsewhere, alice).status_code == 200

        assert client.post("/logout", headers=alice).status_code == 204

        for each in (client, elsewhere):
            assert problem(ask(each, alice)) == (401, "not_authenticated")


def test_a_dead_session_gets_no_token(
    client: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    age_sessions(service.database_url, days=40)

    assert problem(ask(client, alice)) == (401, "not_authenticated")


def test_a_disabled_user_gets_no_token(
    client: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    execute(service.database_url, 'UPDATE "user" SET disabled_at = now()')

    assert problem(ask(client, alice)) == (401, "not_authenticated")


@pytest.mark.parametrize("end", ["DELETE FROM session", 'UPDATE "user" SET disabled_at = now()'])
def test_no_token_is_issued_after_the_session_ended_under_way(
    client: httpx.Client, service: Service, alice: dict[str, str], end: str
) -> None:
    """The session was let in, and ends before a key is asked for."""
    published(client)
    with ThreadPoolExecutor(1) as pool:
        with locked(service.database_url, "signing_key"):
            asked = pool.submit(ask, client, alice)
            wait_for_lock_waiters(service.database_url)
            execute(service.database_url, end)
        refused = asked.result()

    assert problem(refused) == (401, "not_authenticated")


def test_no_key_is_made_for_a_session_that_ended_under_way(
    client: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with locked(service.database_url, "signing_key"):
            asked = pool.submit(ask, client, alice)
            wait_for_lock_waiters(service.database_url)
            execute(service.database_url, "DELETE FROM session")
        refused = asked.result()

    assert problem(refused) == (401, "not_authenticated")
    assert stored_keys(service.database_url) == []


def test_the_other_methods_are_told(client: httpx.Client) -> None:
    assert set(client.options("/me/token").headers["allow"].split(", ")) == {"OPTIONS", "POST"}
    listed = client.options(KEYS).headers["allow"]
    assert set(listed.split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_without_the_settings_there_are_no_such_routes(services: ServicePool) -> None:
    with services.service().client() as client:
        session = session_of(client)
        assert problem(ask(client, session)) == (404, "not_found")
        assert problem(client.get(KEYS)) == (404, "not_found")
        assert client.get(KEYS).headers["cache-control"] == "no-store"
        assert client.head(KEYS).status_code == 404


def test_the_keys_are_public_and_may_be_cached(client: httpx.Client, service: Service) -> None:
    answer = client.get(KEYS)

    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["content-type"] == "application/json"
    assert "set-cookie" not in answer.headers
    (key,) = answer.json()["keys"]
    assert key.keys() == {"kid", "kty", "crv", "x", "y", "alg", "use"}
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
    assert [key["kid"]] == [str(each["id"]) for each in stored_keys(service.database_url)]


def test_the_keys_answer_to_head(client: httpx.Client) -> None:
    head, answer = client.head(KEYS), client.get(KEYS)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("cache-control", "content-type", "content-length"):
        assert head.headers[name] == answer.headers[name]


def test_pages_of_all_origins_read_the_keys(client: httpx.Client) -> None:
    def allowed(origin: str) -> tuple[str, str | None]:
        headers = client.get(KEYS, headers={"Origin": origin}).headers
        return (
            headers["access-control-allow-origin"],
            headers.get("access-control-allow-credentials"),
        )

    assert allowed("https://elsewhere.example") == ("*", None)
    # With credentials too, as all that a listed origin asks for.
    assert allowed(ALLOWED) == (ALLOWED, "true")
    headers = client.get("/me", headers={"Origin": "https://elsewhere.example"}).headers
    assert "access-control-allow-origin" not in headers


def test_the_keys_are_there_before_the_first_token(
    client: httpx.Client, alice: dict[str, str]
) -> None:
    keys = published(client)

    assert ids(keys) == [kid_of(issued(client, alice))]


def test_the_methods_of_the_session_are_references(
    client: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    keys = published(client)
    added = """UPDATE session SET methods = methods || jsonb_build_object('totp', now())"""
    execute(service.database_url, added)

    assert verified(keys, issued(client, alice))["amr"] == ["pwd", "otp", "mfa"]
