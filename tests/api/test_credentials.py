"""Which of the tokens that a request carries counts, and which of them end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from service.api.security.credentials import MAX_TOKENS
from service.auth.tokens import Token
from tests.databases import execute, held, wait_for_lock_waiters
from tests.factories import (
    COOKIE,
    PASSWORD,
    age_sessions,
    bearer,
    cookie,
    log_in,
    sessions_in,
    sign_up,
    token_of,
    with_other_secret,
)
from tests.service_pool import ServicePool
from tests.services import Service

HOST_COOKIE = f"__Host-{COOKIE}"

NOT_OURS = ["Basic YTpi", "Negotiate abc", "Digest a=b", "Token x", "Bearerx y", ""]


@pytest.fixture
def production(services: ServicePool) -> Service:
    return services.service({"OSTIARY_ENV": "production"})


@pytest.fixture
def alice(client: httpx.Client) -> str:
    """Return the token of a user's session, which the client does not send by itself."""
    token = token_of(sign_up(client, "Alice"))
    client.cookies.clear()
    return token


@pytest.fixture
def bobby(client: httpx.Client, alice: str) -> str:
    token = token_of(sign_up(client, "Bobby"))
    client.cookies.clear()
    return token


def cookies(*tokens: str, name: str = COOKIE) -> dict[str, str]:
    """Return the header that sends several cookies of one name."""
    return {"Cookie": "; ".join(f"{name}={token}" for token in tokens)}


def status(client: httpx.Client, headers: dict[str, str]) -> int:
    return client.get("/me", headers=headers).status_code


@pytest.mark.parametrize("value", NOT_OURS)
def test_the_cookie_decides_beside_an_authorization_of_another_scheme(
    client: httpx.Client, alice: str, value: str
) -> None:
    both = {**cookie(alice), "Authorization": value}
    assert client.get("/me", headers=both).json()["user"]["username"] == "Alice"
    assert sign_up(client, "Bobby").status_code == 201
    client.cookies.clear()
    refused = client.post("/signup", json={"username": "Carol", "password": PASSWORD}, headers=both)
    assert refused.json()["code"] == "already_authenticated"
    out = client.post("/logout", headers=both)
    assert out.status_code == 204
    assert out.headers["set-cookie"].startswith(f"{COOKIE}=; Max-Age=0;")
    assert status(client, cookie(alice)) == 401


def test_a_log_in_beside_an_authorization_of_another_scheme_replaces_the_session_of_the_cookie(
    client: httpx.Client, alice: str
) -> None:
    body = {"username": "Alice", "password": PASSWORD}
    both = {**cookie(alice), "Authorization": "Basic YTpi"}
    new = token_of(client.post("/login", json=body, headers=both))
    assert (status(client, cookie(alice)), status(client, cookie(new))) == (401, 200)


def test_a_renewal_beside_an_authorization_of_another_scheme_sets_the_cookie(
    service: Service, client: httpx.Client, alice: str
) -> None:
    age_sessions(service.database_url, days=2)
    both = {**cookie(alice), "Authorization": "Negotiate abc"}
    assert token_of(client.get("/me", headers=both)) == alice


def test_a_bearer_token_beside_another_scheme_counts(client: httpx.Client, alice: str) -> None:
    headers = [("Authorization", "Basic YTpi"), ("Authorization", f"Bearer {alice}")]
    assert client.get("/me", headers=headers).status_code == 200


@pytest.mark.parametrize("value", ["Bearer", "Bearer x", "Bearer " + "A" * 64])
def test_the_cookie_does_not_stand_in_for_an_invalid_bearer_token(
    client: httpx.Client, alice: str, value: str
) -> None:
    assert status(client, {**cookie(alice), "Authorization": value}) == 401


def test_a_401_that_overtakes_a_password_change_leaves_the_new_cookie(client: httpx.Client) -> None:
    old = token_of(sign_up(client))
    change = {"current_password": PASSWORD, "new_password": "an entirely different one"}
    client.put("/me/password", json=change)
    for method, path in (("GET", "/me"), ("GET", "/sessions"), ("POST", "/logout")):
        late = httpx.Request(method, client.base_url.join(path), headers=cookie(old))
        response = client.send(late)
        assert response.status_code == 401
        assert "set-cookie" not in response.headers
    assert client.get("/me").status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        '{name}="{token}"',
        '$Version="1"; {name}="{token}";$Path="/"',
        'theme="dark"; {name}="{token}"',
    ],
)
def test_a_cookie_in_quotes_is_read(client: httpx.Client, alice: str, header: str) -> None:
    """Java's CookieManager sends it so (RFC 6265, section 4.1.1; RFC 2109)."""
    assert status(client, {"Cookie": header.format(name=COOKIE, token=alice)}) == 200


@pytest.mark.parametrize("value", ['"{}', '{}"', '""{}""', "'{}'", '"', '""'])
def test_a_value_that_is_not_wholly_in_quotes_is_no_token(
    client: httpx.Client, alice: str, value: str
) -> None:
    assert status(client, cookie(value.format(alice))) == 401


def test_of_several_cookies_the_one_with_a_live_session_counts(
    service: Service, client: httpx.Client, alice: str, bobby: str
) -> None:
    dead = Token.issue().text
    forged = with_other_secret(bobby)
    for others in ([dead, alice], [alice, dead], ["x", alice, forged, "", dead], [alice, alice]):
        me = client.get("/me", headers=cookies(*others))
        assert me.json()["user"]["username"] == "Alice"
        assert "set-cookie" not in me.headers
    headers = [("Cookie", f"{COOKIE}={dead}"), ("Cookie", f'{COOKIE}="{alice}"')]
    assert client.get("/me", headers=headers).status_code == 200
    age_sessions(service.database_url, days=2)
    assert token_of(client.get("/me", headers=cookies(dead, alice))) == alice


def test_of_several_cookies_with_live_sessions_none_counts(
    client: httpx.Client, alice: str, bobby: str
) -> None:
    for both in (cookies(alice, bobby), cookies(bobby, alice)):
        response = client.get("/me", headers=both)
        assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
        assert "set-cookie" not in response.headers
        body = {"username": "Carol", "password": PASSWORD}
        refused = client.post("/signup", json=body, headers=both)
        assert refused.json()["code"] == "already_authenticated"


def test_more_cookies_than_a_browser_has_are_none(client: httpx.Client, alice: str) -> None:
    others = [Token.issue().text for _ in range(MAX_TOKENS)]
    assert status(client, cookies(*others[1:], alice)) == 200
    assert status(client, cookies(*others, alice)) == 401
    assert client.post("/logout", headers=cookies(*others, alice)).status_code == 401


def test_log_out_ends_every_session_that_the_request_carries(
    client: httpx.Client, alice: str, bobby: str
) -> None:
    dead = Token.issue().text
    carol = token_of(sign_up(client, "Carol"))
    client.cookies.clear()
    out = client.post("/logout", headers={**cookies(alice, dead, bobby), **bearer(carol)})
    assert out.status_code == 204
    assert out.headers["set-cookie"].startswith(f"{COOKIE}=; Max-Age=0;")
    for token in (alice, bobby, carol):
        assert status(client, bearer(token)) == 401


@pytest.mark.parametrize("place", ["cookie", "bearer"])
def test_log_out_needs_one_live_session_wherever_it_is(
    service: Service, client: httpx.Client, alice: str, place: str
) -> None:
    dead = Token.issue().text
    headers = {**cookie(dead), **bearer(dead)}
    assert client.post("/logout", headers=headers).status_code == 401
    headers |= cookie(alice) if place == "cookie" else bearer(alice)
    assert client.post("/logout", headers=headers).status_code == 204
    assert client.post("/logout", headers=headers).status_code == 401


def test_a_malformed_bearer_token_does_not_keep_a_session_of_the_cookie_from_ending(
    client: httpx.Client, alice: str
) -> None:
    headers = {**cookie(alice), **bearer("malformed")}
    assert client.post("/logout", headers=headers).status_code == 204
    assert status(client, cookie(alice)) == 401


def test_log_out_ends_an_idle_session_and_no_dead_or_forged_one(
    service: Service, client: httpx.Client, alice: str, bobby: str
) -> None:
    forged = with_other_secret(bobby)
    assert client.post("/logout", headers=bearer(forged)).status_code == 401
    age_sessions(service.database_url, days=3)
    assert client.post("/logout", headers=cookies(alice, forged)).status_code == 204
    assert status(client, cookie(bobby)) == 200
    age_sessions(service.database_url, days=16)
    assert client.post("/logout", headers=cookie(bobby)).status_code == 401


def test_a_log_in_ends_every_session_that_it_carries(
    client: httpx.Client, alice: str, bobby: str
) -> None:
    body = {"username": "Alice", "password": PASSWORD}
    wrong = client.post("/login", json={**body, "password": "wrong"}, headers=cookies(alice, bobby))
    assert wrong.status_code == 401
    assert status(client, cookie(alice)) == status(client, cookie(bobby)) == 200
    carol = token_of(sign_up(client, "Carol"))
    client.cookies.clear()
    headers = {**cookies(alice, with_other_secret(carol)), **bearer(bobby)}
    new = token_of(client.post("/login", json=body, headers=headers))
    client.cookies.clear()
    statuses = [status(client, cookie(each)) for each in (alice, bobby, carol, new)]
    assert statuses == [401, 401, 200, 200]


def in_opposite_orders(*tokens: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers of two requests that carry the same tokens."""
    last, *others = reversed(tokens)
    return {**bearer(tokens[0]), **cookies(*tokens[1:])}, {**bearer(last), **cookies(*others)}


def test_simultaneous_log_outs_of_the_same_sessions_end_each_once(
    service: Service, client: httpx.Client, alice: str, bobby: str
) -> None:
    carol = token_of(sign_up(client, "Carol"))
    client.cookies.clear()
    in_order = sorted((alice, bobby, carol), key=lambda text: parsed(text).session_id)
    with ThreadPoolExecutor(2) as pool:
        with held(
            service.database_url,
            f"SELECT FROM session WHERE id = '{parsed(in_order[1]).session_id}' FOR UPDATE",
        ):
            answers = [
                pool.submit(client.post, "/logout", headers=headers)
                for headers in in_opposite_orders(*in_order)
            ]
            wait_for_lock_waiters(service.database_url, 2)
        statuses = sorted(answer.result().status_code for answer in answers)
    assert statuses == [204, 401]
    assert sessions_in(service.database_url) == []


def test_simultaneous_log_ins_that_carry_the_same_sessions_end_each_once(
    service: Service, client: httpx.Client, alice: str, bobby: str
) -> None:
    body = {"username": "Alice", "password": PASSWORD}
    with ThreadPoolExecutor(2) as pool:
        with held(service.database_url, "SELECT FROM session FOR UPDATE"):
            answers = [
                pool.submit(client.post, "/login", json=body, headers=headers)
                for headers in in_opposite_orders(alice, bobby)
            ]
            wait_for_lock_waiters(service.database_url, 2)
        new = [token_of(answer.result()) for answer in answers]
    client.cookies.clear()
    assert [status(client, cookie(token)) for token in new] == [200, 200]
    assert len(sessions_in(service.database_url)) == 2
    assert service.logged().count("session_replaced") == 2


def parsed(text: str) -> Token:
    token = Token.parse(text)
    assert token is not None
    return token


def test_a_cookie_without_the_prefix_opens_only_sessions_from_before_the_prefix(
    production: Service,
) -> None:
    with production.client() as client:
        token = sign_up(client, transport="bearer").json()["session"]["token"]
        assert status(client, cookies(token, name=HOST_COOKIE)) == 200
        assert status(client, cookies(token)) == 401
        signed_up = client.post(
            "/signup", json={"username": "Bobby", "password": PASSWORD}, headers=cookies(token)
        )
        assert signed_up.status_code == 201
        client.cookies.clear()
        execute(
            production.database_url,
            "UPDATE session SET legacy_cookie = true WHERE id = $1",
            parsed(token).session_id,
        )
        assert status(client, cookies(token)) == 200
        age_sessions(production.database_url, days=2)
        renewed = client.get("/me", headers=cookies(token))
        assert renewed.headers["set-cookie"].startswith(f"{HOST_COOKIE}={token};")


@pytest.mark.parametrize("names", [(COOKIE, HOST_COOKIE), (HOST_COOKIE, COOKIE)])
def test_a_token_counts_though_it_is_also_in_a_cookie_without_the_prefix(
    production: Service, names: tuple[str, str]
) -> None:
    with production.client() as client:
        token = sign_up(client, transport="bearer").json()["session"]["token"]
        both = "; ".join(f"{name}={token}" for name in names)
        assert status(client, {"Cookie": both}) == 200


def test_a_planted_cookie_without_the_prefix_does_not_log_the_owner_out(
    production: Service,
) -> None:
    with production.client() as client:
        alice = sign_up(client, "Alice", transport="bearer").json()["session"]["token"]
        mallory = sign_up(client, "Mallory", transport="bearer").json()["session"]["token"]
        execute(production.database_url, "UPDATE session SET legacy_cookie = true")
        planted = {"Cookie": f"{COOKIE}={mallory}; {HOST_COOKIE}={alice}; {COOKIE}={alice}"}
        assert client.get("/me", headers=planted).json()["user"]["username"] == "Alice"
        out = client.post("/logout", headers=planted)
        assert out.status_code == 204
        assert out.headers["set-cookie"].startswith(f"{HOST_COOKIE}=; Max-Age=0;")
        assert sessions_in(production.database_url) == []


def test_a_cookie_without_the_prefix_does_not_decide_between_two_that_have_it(
    production: Service,
) -> None:
    with production.client() as client:
        tokens = [
            sign_up(client, name, transport="bearer").json()["session"]["token"]
            for name in ("Alice", "Bobby", "Mallory")
        ]
        execute(production.database_url, "UPDATE session SET legacy_cookie = true")
        alice, bobby, mallory = tokens
        both = f"{HOST_COOKIE}={alice}; {HOST_COOKIE}={bobby}"
        assert status(client, {"Cookie": f"{both}; {COOKIE}={mallory}"}) == 401


def test_a_cookie_that_the_browser_will_not_store_is_logged_once_with_the_remedy(
    services: ServicePool,
) -> None:
    origin = "http://localhost:5173"
    service = services.service({"OSTIARY_ALLOWED_ORIGINS": origin})
    from_another_site = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    with service.client() as client:
        sign_up(client)
        log_in(client)
        client.headers.update({**from_another_site, "Sec-Fetch-Site": "same-site"})
        log_in(client)
        client.headers.update(from_another_site)
        log_in(client, transport="bearer")
        assert "cookie_lost_cross_site" not in service.logged()
        client.cookies.clear()
        sign_up(client, "Bobby")
        log_in(client)
    (line,) = [line for line in service.logged().splitlines() if "cookie_lost_cross_site" in line]
    assert origin in line
    assert "same host name" in line
    assert "OSTIARY_COOKIE_SAMESITE=none" in line
