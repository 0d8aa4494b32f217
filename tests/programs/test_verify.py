"""`/verify`: whether a request to another application may pass, and whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from tests.databases import execute, fetch_value, locked
from tests.factories import (
    COOKIE,
    PASSWORD,
    age_sessions,
    bearer,
    log_in,
    sign_up,
    token_of,
    with_other_id,
    with_other_secret,
)
from tests.programs.forwarding import (
    forwarded,
    give_roles,
    refusal,
    session_cookie,
    verify,
    with_policies,
)
from tests.service_pool import ServicePool
from tests.services import Service

NOT_AUTHENTICATED = (401, "not_authenticated")


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


def test_a_live_session_passes_with_all_headers(client: httpx.Client) -> None:
    signed_up = sign_up(client, "Alice")
    body = signed_up.json()
    answer = verify(client, headers=forwarded(Cookie=f"{COOKIE}={token_of(signed_up)}"))
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    got = {name: value for name, value in answer.headers.items() if name.startswith("x-ostiary")}
    assert got == {
        "x-ostiary-user-id": body["user"]["id"],
        "x-ostiary-username": "Alice",
        "x-ostiary-email": "",
        "x-ostiary-roles": "",
        "x-ostiary-session-id": body["session"]["id"],
        "x-ostiary-methods": "password",
        "x-ostiary-cookie": "",
    }
    assert answer.headers["remote-user"] == body["user"]["id"]


def test_without_a_session_it_is_401_with_a_challenge(client: httpx.Client) -> None:
    answer = verify(client)
    assert refusal(answer) == NOT_AUTHENTICATED
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_session_that_ended_is_refused_at_once(service: Service, client: httpx.Client) -> None:
    cookie = session_cookie(client)
    assert verify(client, headers=forwarded(Cookie=cookie)).status_code == 204
    assert client.post("/logout", headers={"Cookie": cookie}).status_code == 204
    assert refusal(verify(client, headers=forwarded(Cookie=cookie))) == NOT_AUTHENTICATED


def test_a_disabled_user_is_refused_at_once(service: Service, client: httpx.Client) -> None:
    cookie = session_cookie(client)
    execute(service.database_url, 'UPDATE "user" SET disabled_at = now()')
    assert refusal(verify(client, headers=forwarded(Cookie=cookie))) == NOT_AUTHENTICATED


@pytest.mark.parametrize("name", ["김철수영", "jürgen", "alice.b-c"])
def test_user_names_are_percent_encoded_in_utf_8(client: httpx.Client, name: str) -> None:
    answer = verify(client, headers=forwarded(Cookie=session_cookie(client, name)))
    raw = dict(answer.headers.raw)[b"x-ostiary-username"]
    assert raw.isascii()
    assert unquote(raw.decode()) == name


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("100%er", "100%25er"),
        ("김철수", "%EA%B9%80%EC%B2%A0%EC%88%98"),
        ("a b\r\nc", "a%20b%0D%0Ac"),
        ("a,b", "a%2Cb"),
        ("ﬀ", "%EF%AC%80"),
    ],
)
def test_whatever_name_was_imported_is_text_of_one_line(
    service: Service, client: httpx.Client, name: str, sent: str
) -> None:
    cookie = session_cookie(client)
    execute(service.database_url, "UPDATE key SET display_name = $1", name)
    answer = verify(client, headers=forwarded(Cookie=cookie))
    assert answer.headers["x-ostiary-username"] == sent
    assert unquote(sent) == name


def test_a_user_without_a_name_has_all_headers_too(service: Service, client: httpx.Client) -> None:
    cookie = session_cookie(client)
    execute(service.database_url, "DELETE FROM key")
    answer = verify(client, headers=forwarded(Cookie=cookie))
    assert answer.headers["x-ostiary-username"] == ""
    assert answer.headers["remote-user"] == answer.headers["x-ostiary-user-id"]


@pytest.mark.parametrize(("verified", "sent"), [("now()", "Alice%2Bx@example.com"), ("NULL", "")])
def test_only_a_verified_address_is_sent(
    service: Service, client: httpx.Client, verified: str, sent: str
) -> None:
    cookie = session_cookie(client)
    insert = """
        INSERT INTO key (provider, name, display_name, user_id, verified_at)
        SELECT 'email', 'alice+x@example.com', 'Alice+x@example.com', id, {} FROM "user"
    """
    execute(service.database_url, insert.format(verified))
    answer = verify(client, headers=forwarded(Cookie=cookie))
    assert answer.headers["x-ostiary-email"] == sent


def test_roles_and_methods_are_sorted_and_joined_by_commas(
    service: Service, client: httpx.Client
) -> None:
    cookie = session_cookie(client)
    give_roles(service.database_url, "zoo:keeper", "admin")
    methods = (
        "UPDATE session SET methods = jsonb_build_object('totp', now(), 'password', now(), "
        "'passkey', now())"
    )
    execute(service.database_url, methods)
    answer = verify(client, headers=forwarded(Cookie=cookie))
    assert answer.headers["x-ostiary-roles"] == "admin,zoo:keeper"
    assert answer.headers["x-ostiary-methods"] == "passkey,password,totp"


def test_a_name_that_changed_hands_names_another_user(
    service: Service, client: httpx.Client
) -> None:
    """What an application knows Alice by is not what whoever gets her name is known by."""
    alice = session_cookie(client)
    before = verify(client, headers=forwarded(Cookie=alice)).headers["remote-user"]
    renamed = client.put("/me/username", json={"username": "Alice2"}, headers={"Cookie": alice})
    assert renamed.status_code == 200
    execute(service.database_url, "DELETE FROM username_hold")
    mallory = verify(client, headers=forwarded(Cookie=session_cookie(client)))
    assert mallory.headers["x-ostiary-username"] == "Alice"
    assert mallory.headers["remote-user"] != before
    again = verify(client, headers=forwarded(Cookie=alice))
    assert again.headers["remote-user"] == before


@pytest.mark.parametrize(
    "value",
    [
        *("", "x", "x" * 7000, "A" * 64, "!" * 64, '"', '""', "\u00e9" * 32, "null"),
        *("{changed}", "{token};x", " {token} y", "{other_secret}", "{other_id}", "{upper}"),
    ],
)
@pytest.mark.parametrize("transport", ["cookie", "bearer"])
def test_what_is_no_token_of_a_live_session_is_401(
    client: httpx.Client, value: str, transport: str
) -> None:
    token = session_cookie(client).partition("=")[2]
    text = value.format(
        token=token[:-1],
        changed=token[:-1] + ("x" if token[-1] != "x" else "y"),
        other_secret=with_other_secret(token),
        other_id=with_other_id(token),
        upper=token.upper(),
    )
    sent = ("Cookie", f"{COOKIE}={text}")
    if transport == "bearer":
        sent = ("Authorization", f"Bearer {text}".strip())
    headers = [*forwarded().items(), sent]
    encoded = [(name, value.encode("utf-8")) for name, value in headers]
    assert refusal(verify(client, headers=encoded)) == NOT_AUTHENTICATED  # type: ignore[arg-type]


def test_a_cookie_whose_name_differs_in_case_is_another_one(client: httpx.Client) -> None:
    cookie = session_cookie(client)
    headers = forwarded(Cookie=cookie.replace(COOKIE, COOKIE.upper()))
    assert refusal(verify(client, headers=headers)) == NOT_AUTHENTICATED


def test_two_live_cookies_open_nothing(client: httpx.Client) -> None:
    alice, bob = session_cookie(client), session_cookie(client, "Bobby")
    headers = forwarded(Cookie=f"{alice}; {bob}")
    assert refusal(verify(client, headers=headers)) == NOT_AUTHENTICATED


def test_the_bare_path_takes_a_bearer_token_and_no_origin(client: httpx.Client) -> None:
    token = sign_up(client, transport="bearer").json()["session"]["token"]
    answer = verify(client, headers={**bearer(token), "Origin": "https://evil.example"})
    assert answer.status_code == 204


def test_policies_take_one_transport_only(client: httpx.Client) -> None:
    cookie = session_cookie(client)
    token = log_in(client, transport="bearer").json()["session"]["token"]
    by_cookie = forwarded(Cookie=cookie)
    by_bearer = {**forwarded(), **bearer(token)}
    assert verify(client, "/verify/any", by_cookie).status_code == 204
    assert refusal(verify(client, "/verify/any", by_bearer)) == NOT_AUTHENTICATED
    assert verify(client, "/verify/bearer", by_bearer).status_code == 204
    assert refusal(verify(client, "/verify/bearer", by_cookie)) == NOT_AUTHENTICATED


def test_authorization_of_the_application_changes_nothing_under_a_policy(
    client: httpx.Client,
) -> None:
    headers = {**forwarded(Cookie=session_cookie(client)), **bearer("of-the-application")}
    assert verify(client, "/verify/any", headers).status_code == 204


@pytest.mark.parametrize("path", ["/verify", "/verify/any"])
def test_an_idle_session_is_renewed_and_its_cookie_set_once(
    service: Service, client: httpx.Client, path: str
) -> None:
    cookie = session_cookie(client)
    age_sessions(service.database_url, days=2)
    first = verify(client, path, forwarded(Cookie=cookie))
    (set_cookie,) = first.headers.get_list("set-cookie")
    assert set_cookie.startswith(f"{cookie}; Max-Age=")
    age = fetch_value(service.database_url, "SELECT now() - renewed_at < '1 hour' FROM session")
    assert age is True
    client.cookies.clear()
    assert "set-cookie" not in verify(client, path, forwarded(Cookie=cookie)).headers


def test_a_session_that_a_bearer_token_opens_is_renewed_without_a_cookie(
    service: Service, client: httpx.Client
) -> None:
    token = sign_up(client, transport="bearer").json()["session"]["token"]
    age_sessions(service.database_url, days=2)
    answer = verify(client, headers=bearer(token))
    assert answer.status_code == 204
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/verify/admin", "/verify/proven", "/verify/recent"])
def test_a_refusal_sets_no_cookie(service: Service, client: httpx.Client, path: str) -> None:
    cookie = session_cookie(client)
    age_sessions(service.database_url, days=2)
    answer = verify(client, path, forwarded(Cookie=cookie))
    assert answer.status_code in {401, 403}
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("cookies", "others"),
    [
        (["a=1; {own}; b=2"], "a=1; b=2"),
        (["{own}; b=2"], "b=2"),
        (["a=1; {own}"], "a=1"),
        (['a="x y";{own};  b= 2'], 'a="x y";  b= 2'),
        (["a=1; {own}; auth_device=d; __Host-auth_device=d; __Secure-auth_session=s"], "a=1"),
        (["{own}; __Host-auth_session=x; a=1; auth_flow=f; __Host-auth_flow_google=g"], "a=1"),
        (
            ["{own}; auth_session =x; a=auth_session; xauth_session=1"],
            "a=auth_session; xauth_session=1",
        ),
        (["{own}; auth_session; =x; plain"], "=x; plain"),
        (["a=1", "{own}", "b=2"], "a=1; b=2"),
        (["a=1", "{own}; b=2"], "a=1; b=2"),
        (['a="1; {own}; b=2"'], 'a="1; b=2"'),
        (["{own};auth_session=x;auth_session=y"], ""),
    ],
)
def test_the_application_gets_the_cookies_without_ours(
    client: httpx.Client, cookies: list[str], others: str
) -> None:
    own = session_cookie(client)
    sent = [("Cookie", each.format(own=own)) for each in cookies]
    answer = verify(client, headers=[*forwarded().items(), *sent])
    assert answer.status_code == 204
    assert answer.headers["x-ostiary-cookie"] == others
    assert answer.headers["cookie"] == others
    assert own.partition("=")[2] not in str(answer.headers)


def test_cookies_of_the_application_stay_as_they_are_byte_for_byte(client: httpx.Client) -> None:
    own = session_cookie(client).encode()
    odd = b"a=\xc3\xa9\xff; b=%20\t; c={}[]<>@,:?"
    headers = [(b"X-Forwarded-Method", b"GET"), (b"Cookie", own + b"; " + odd)]
    answer = client.get("/verify", headers=headers)
    assert dict(answer.headers.raw)[b"x-ostiary-cookie"] == odd


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_any_method_asks_alike(client: httpx.Client, method: str) -> None:
    headers = forwarded(Cookie=session_cookie(client))
    assert verify(client, headers=headers, method=method).status_code == 204
    refused = verify(client, method=method)
    assert refused.status_code == 401
    assert bool(refused.content) is (method != "HEAD")


def test_the_query_is_ignored(service: Service, client: httpx.Client) -> None:
    headers = forwarded(Cookie=session_cookie(client))
    age_sessions(service.database_url, days=0.1)
    for query in ("max_age=99999", "max_age=0", "roles=admin", "policy=any", "x=%00"):
        assert verify(client, f"/verify?{query}", headers).status_code == 204
        assert verify(client, f"/verify/recent?{query}", headers).status_code == 401
        assert verify(client, f"/verify/admin?{query}", headers).status_code == 403


def test_a_preflight_is_a_request_like_others(services: ServicePool, directory: Path) -> None:
    page = "https://page.example.com"
    service = with_policies(services, directory, OSTIARY_ALLOWED_ORIGINS=page)
    with service.client() as client:
        asked = {"Origin": page, "Access-Control-Request-Method": "POST"}
        for method in ("GET", "OPTIONS"):
            headers = forwarded("OPTIONS") | asked
            assert refusal(verify(client, headers=headers, method=method)) == NOT_AUTHENTICATED


def test_the_host_is_that_of_the_application(services: ServicePool, directory: Path) -> None:
    service = with_policies(services, directory, OSTIARY_ALLOWED_HOSTS="auth.example.com")
    with service.client() as client:
        headers = forwarded(Cookie=session_cookie(client), Host="app.example.com")
        assert verify(client, headers=headers).status_code == 204
        assert client.get("/me", headers=headers).status_code == 400


def test_without_the_database_nothing_passes(services: ServicePool, directory: Path) -> None:
    patient = with_policies(services, directory)
    impatient = with_policies(services, directory, OSTIARY_REQUEST_TIMEOUT="1s")
    with patient.client() as client:
        headers = forwarded(Cookie=session_cookie(client))
    with impatient.client() as client, locked(impatient.database_url, "session"):
        assert refusal(verify(client, headers=headers)) == (503, "database_unavailable")


def test_a_token_that_was_replaced_opens_nothing(client: httpx.Client) -> None:
    cookie = session_cookie(client)
    body = {"current_password": PASSWORD, "new_password": "an entirely different one"}
    assert client.put("/me/password", json=body, headers={"Cookie": cookie}).status_code == 200
    client.cookies.clear()
    assert refusal(verify(client, headers=forwarded(Cookie=cookie))) == NOT_AUTHENTICATED
