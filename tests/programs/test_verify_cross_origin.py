"""The cross-origin rule of `/verify`: what pages of other origins can make a browser send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.databases import fetch_value
from tests.factories import age_sessions, bearer, log_in
from tests.programs.forwarding import (
    APP,
    FOREIGN,
    OTHER_PAGE,
    forwarded,
    refusal,
    session_cookie,
    verify,
    with_policies,
)
from tests.service_pool import ServicePool
from tests.services import Service, wait_for

REJECTED = (403, "origin_rejected")
CROSS_SITE = {"Origin": FOREIGN, "Sec-Fetch-Site": "cross-site"}

UNSAFE = [
    *("POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE", "PROPFIND", "BREW"),
    *("post", "get", "Get", "GET, POST", "POST, GET", "GET,GET", "GETX", "", "\u00c9"),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policies")


@pytest.fixture(params=["trusted proxy", "unknown peer"])
def any_peer(
    request: pytest.FixtureRequest, services: ServicePool, directory: Path
) -> Iterator[httpx.Client]:
    """Return a client that is a trusted proxy, and one that is not."""
    proxies = "127.0.0.1" if request.param == "trusted proxy" else ""
    with with_policies(services, directory, OSTIARY_TRUSTED_PROXIES=proxies).client() as client:
        yield client


@pytest.fixture
def service(services: ServicePool, directory: Path) -> Service:
    return with_policies(services, directory)


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


@pytest.mark.parametrize("method", UNSAFE)
def test_no_page_of_another_site_sends_an_unsafe_method(
    any_peer: httpx.Client, method: str
) -> None:
    cookie = session_cookie(any_peer)
    headers = {**forwarded(Cookie=cookie), **CROSS_SITE}
    headers["X-Forwarded-Method"] = method
    raw = [(name, value.encode()) for name, value in headers.items()]
    assert refusal(verify(any_peer, headers=raw)) == REJECTED  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_pages_of_other_sites_send_safe_methods(any_peer: httpx.Client, method: str) -> None:
    headers = {**forwarded(method, Cookie=session_cookie(any_peer)), **CROSS_SITE}
    assert verify(any_peer, headers=headers).status_code == 204


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [("X-Forwarded-Method", "GET"), ("X-Forwarded-Method", "POST")],
        [("X-Forwarded-Method", "GET"), ("X-Forwarded-Method", "GET")],
        [("X_Forwarded_Method", "GET")],
        [("X.Forwarded.Method", "GET")],
        [("X-Original-Method", "GET")],
        [("X-HTTP-Method-Override", "GET")],
        [("X-Forwarded-Method", "POST"), ("X_Forwarded_Method", "GET")],
        [("X-Forwarded-Method", "POST"), ("X.Forwarded.Method", "GET")],
    ],
)
def test_a_method_that_is_not_told_exactly_once_is_unsafe(
    any_peer: httpx.Client, sent: list[tuple[str, str]]
) -> None:
    headers = [("Cookie", session_cookie(any_peer)), *sent, *CROSS_SITE.items()]
    assert refusal(verify(any_peer, headers=headers)) == REJECTED


def test_the_policy_says_which_header_tells_the_method(client: httpx.Client) -> None:
    headers = {"Cookie": session_cookie(client), **CROSS_SITE}
    original, forwarded_method = {"X-Original-Method": "GET"}, {"X-Forwarded-Method": "GET"}
    path = "/verify/ingress"
    assert verify(client, path, headers | original).status_code == 204
    assert refusal(verify(client, path, headers | forwarded_method)) == REJECTED
    assert refusal(verify(client, path, headers | original | {"X-Original-Method": "PUT"})) == (
        REJECTED
    )


@pytest.mark.parametrize(
    ("origin", "sites", "status"),
    [
        (APP, [], 204),
        (APP, ["same-origin"], 204),
        (None, ["same-origin"], 204),
        ("null", ["same-origin"], 204),
        (None, ["none"], 204),
        (None, [], 403),
        ("null", [], 403),
        ("", [], 403),
        (None, ["same-site"], 403),
        (None, ["cross-site"], 403),
        (None, ["same-origin", "same-origin"], 403),
        (None, [""], 403),
        (FOREIGN, [], 403),
        (FOREIGN, ["same-site"], 403),
        ("http://app.example.com", [], 403),
        ("https://app.example.com:8443", [], 403),
        ("https://app.example.com.evil.example", [], 403),
        ("https://x.app.example.com", [], 403),
        ("https://user@app.example.com", [], 403),
        (f"{APP}/", [], 403),
        (f"{APP} {FOREIGN}", [], 403),
        (OTHER_PAGE, [], 403),
        ("http://127.0.0.1", [], 403),
    ],
)
def test_an_unsafe_method_comes_from_the_application_s_own_page(
    client: httpx.Client, origin: str | None, sites: list[str], status: int
) -> None:
    headers = list(forwarded("POST", Cookie=session_cookie(client)).items())
    headers += [] if origin is None else [("Origin", origin)]
    headers += [("Sec-Fetch-Site", site) for site in sites]
    assert verify(client, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "status"),
    [
        (APP, "APP.example.com", "https", 204),
        (APP, "app.example.com:443", "https", 204),
        (APP, "app.example.com", "wss", 204),
        ("http://app.example.com", "app.example.com:80", "ws", 204),
        ("https://app.example.com:8443", "app.example.com:8443", "https", 204),
        ("https://[2001:db8::1]", "[2001:db8:0::1]", "https", 204),
        (APP, "app.example.com", "http", 403),
        (APP, "app.example.com, app.example.com", "https", 403),
        (APP, "app.example.com", "https, https", 403),
        (APP, "", "https", 403),
        (APP, "app.example.com", "", 403),
        ("https://", "", "https", 403),
        ("null", "null", "", 403),
    ],
)
def test_the_application_s_own_origin_is_what_the_proxy_tells(
    client: httpx.Client, origin: str, host: str, scheme: str, status: int
) -> None:
    headers = forwarded(
        "POST",
        Cookie=session_cookie(client),
        Origin=origin,
        X_Forwarded_Host=host,
        X_Forwarded_Proto=scheme,
    )
    assert verify(client, headers=headers).status_code == status


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "X-Forwarded-Proto"])
def test_an_origin_that_is_told_twice_is_not_known(client: httpx.Client, name: str) -> None:
    told = forwarded("POST", Cookie=session_cookie(client), Origin=APP)
    headers = [*told.items(), (name, told[name])]
    assert refusal(verify(client, headers=headers)) == REJECTED


@pytest.mark.parametrize("name", ["X_Forwarded_Host", "X.Forwarded.Host"])
def test_a_header_that_looks_like_that_of_the_proxy_counts_as_nothing(
    client: httpx.Client, name: str
) -> None:
    headers = [*forwarded("POST", Cookie=session_cookie(client), Origin=FOREIGN).items()]
    assert refusal(verify(client, headers=[*headers, (name, "evil.example")])) == REJECTED


def test_only_a_trusted_proxy_tells_the_host(services: ServicePool, directory: Path) -> None:
    service = with_policies(services, directory, OSTIARY_TRUSTED_PROXIES="")
    with service.client() as client:
        headers = forwarded("POST", Cookie=session_cookie(client), Origin=APP)
        assert refusal(verify(client, headers=headers)) == REJECTED
        # What the browser itself says needs no proxy.
        assert verify(client, headers=headers | {"Sec-Fetch-Site": "same-origin"}).is_success


def test_the_host_of_the_request_to_verify_is_not_that_of_the_application(
    service: Service, client: httpx.Client
) -> None:
    headers = {
        "X-Forwarded-Method": "POST",
        "X-Forwarded-Proto": "http",
        "Cookie": session_cookie(client),
        "Origin": service.url,
    }
    assert refusal(verify(client, headers=headers)) == REJECTED


def test_a_policy_lists_further_origins(services: ServicePool, directory: Path) -> None:
    """Those that may use Ostiary itself are not among them."""
    service = with_policies(services, directory, OSTIARY_ALLOWED_ORIGINS=FOREIGN)
    with service.client() as client:
        cookie = session_cookie(client)
        for path, origin, status in (
            ("/verify/pages", OTHER_PAGE, 204),
            ("/verify/pages", APP, 204),
            ("/verify/pages", FOREIGN, 403),
            ("/verify/any", OTHER_PAGE, 403),
            ("/verify/any", FOREIGN, 403),
            ("/verify", FOREIGN, 403),
        ):
            headers = forwarded("DELETE", Cookie=cookie, Origin=origin)
            assert verify(client, path, headers).status_code == status


@pytest.mark.parametrize(
    "handshake",
    [
        {"Connection": "Upgrade", "Upgrade": "websocket"},
        {"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket"},
        # Of what proxies pass on, each says it.
        {"Upgrade": "websocket"},
        {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="},
        {"Sec-WebSocket-Version": "13"},
        {"Sec-WebSocket-Protocol": "chat"},
        {"Sec-WebSocket-Extensions": "permessage-deflate"},
    ],
)
@pytest.mark.parametrize(
    ("origin", "status"), [(APP, 204), (FOREIGN, 403), ("null", 403), (None, 403)]
)
def test_a_websocket_is_opened_by_the_application_s_own_page_only(
    any_peer: httpx.Client, handshake: dict[str, str], origin: str | None, status: int
) -> None:
    """Though its method is GET, and safe."""
    headers = forwarded(Cookie=session_cookie(any_peer)) | handshake
    if origin is not None:
        headers |= {"Origin": origin}
    if origin == APP:
        headers |= {"Sec-Fetch-Site": "same-origin"}
    assert verify(any_peer, headers=headers).status_code == status


def test_a_whole_handshake_is_answered_as_http(client: httpx.Client) -> None:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    cookie = session_cookie(client)
    own = forwarded(Cookie=cookie, Origin=APP) | handshake
    assert verify(client, headers=own).status_code == 204
    assert refusal(verify(client, headers=own | {"Origin": FOREIGN})) == REJECTED
    dead = own | {"Cookie": f"auth_session={'A' * 64}"}
    assert refusal(verify(client, headers=dead)) == (401, "not_authenticated")


def test_a_bearer_token_needs_none_of_this(client: httpx.Client) -> None:
    session_cookie(client)
    token = log_in(client, transport="bearer").json()["session"]["token"]
    client.cookies.clear()
    headers = {**bearer(token), **CROSS_SITE, "Upgrade": "websocket"}
    assert verify(client, headers=headers).status_code == 204
    assert verify(client, "/verify/bearer", headers).status_code == 204


def test_a_cookie_beside_a_bearer_token_that_is_void_proves_nothing(client: httpx.Client) -> None:
    headers = {**forwarded("POST", Cookie=session_cookie(client)), **bearer("void"), **CROSS_SITE}
    assert verify(client, headers=headers).status_code == 401
    assert refusal(verify(client, "/verify/any", headers)) == REJECTED


def test_a_refused_request_renews_nothing(service: Service, client: httpx.Client) -> None:
    headers = {**forwarded("POST", Cookie=session_cookie(client)), **CROSS_SITE}
    age_sessions(service.database_url, days=2)
    assert refusal(verify(client, headers=headers)) == REJECTED
    idle = "SELECT active_expires_at < now() FROM session"
    assert fetch_value(service.database_url, idle) is True


@pytest.mark.parametrize(
    ("sent", "logged"),
    [(CROSS_SITE, f'"{FOREIGN}"'), ({"Sec-Fetch-Site": "cross-site"}, "null")],
    ids=["with an origin", "without"],
)
def test_a_refused_request_is_logged_with_its_origin(
    services: ServicePool, directory: Path, sent: dict[str, str], logged: str
) -> None:
    service = with_policies(services, directory, OSTIARY_LOG_FORMAT="json")
    with service.client() as client:
        headers = {**forwarded("POST", Cookie=session_cookie(client)), **sent}
        assert refusal(verify(client, headers=headers)) == REJECTED
    wait_for(lambda: f'"origin": {logged}' in service.logged(), "the refusal is logged")


@pytest.mark.parametrize(
    ("method", "host", "origin", "status"),
    [
        ("GET", "app.example.com", FOREIGN, 200),
        ("HEAD", "app.example.com", FOREIGN, 200),
        ("POST", "app.example.com", APP, 200),
        ("POST", "app.example.com", FOREIGN, 403),
        ("DELETE", "app.example.com", FOREIGN, 403),
        ("POST", "other.example.com", APP, 403),
        ("PROPFIND", "app.example.com", FOREIGN, 403),
    ],
)
def test_a_policy_of_envoy_takes_method_and_host_of_the_request_itself(
    client: httpx.Client, method: str, host: str, origin: str, status: int
) -> None:
    headers = {
        "Cookie": session_cookie(client),
        "Host": host,
        "Origin": origin,
        "X-Forwarded-Proto": "https",
        # Of the client: Envoy passes them on.
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Host": "evil.example",
    }
    answer = verify(client, "/verify/envoy/api/orders?x=1", headers, method=method)
    assert answer.status_code == status
