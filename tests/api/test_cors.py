"""CORS: preflights, and what pages of other origins can read."""

from __future__ import annotations

import httpx
import pytest

from service.api.http.cors import loggable_origin
from service.settings.http import COMMON_HEADERS
from tests.factories import sign_up
from tests.service_pool import ServicePool
from tests.services import Service

LISTED = "https://app.example.com"
APPS = ("capacitor://localhost", "tauri://localhost", "app://.", "chrome-extension://abcdefgh")
FOREIGN = "https://evil.example"


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service({"OSTIARY_ALLOWED_ORIGINS": ",".join([f"{LISTED}:443/", *APPS])})


def preflight(
    client: httpx.Client, origin: str = LISTED, method: str = "POST", headers: str | None = None
) -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers is not None:
        asked["Access-Control-Request-Headers"] = headers
    return client.options("/login", headers=asked)


def names(response: httpx.Response, header: str) -> set[str]:
    return set(response.headers[header].lower().split(", "))


def assert_refused(response: httpx.Response, code: str) -> None:
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert "origin" in response.headers["vary"].lower()


@pytest.mark.parametrize("origin", [LISTED, *APPS])
def test_pages_of_a_listed_origin_of_any_scheme_can_log_in(
    client: httpx.Client, origin: str
) -> None:
    answer = preflight(client, origin, headers="content-type")
    assert answer.status_code == 204
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    signed_up = client.post("/signup", json={"username": "Al"}, headers=headers)
    assert signed_up.status_code == 400
    for response in (answer, signed_up):
        assert response.headers["access-control-allow-origin"] == origin
        assert response.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_a_preflight_may_ask_for_every_method(client: httpx.Client, method: str) -> None:
    answer = preflight(client, method=method)
    assert answer.status_code == 204
    assert method.lower() in names(answer, "access-control-allow-methods")


@pytest.mark.parametrize(
    "headers",
    [
        "authorization,content-type",
        "traceparent, tracestate, baggage",
        "Sentry-Trace,X-Requested-With",
        "x-b3-traceid,x-datadog-trace-id",
        "",
        "content-type,,x-requested-with,",
    ],
)
def test_a_preflight_may_ask_for_common_headers(client: httpx.Client, headers: str) -> None:
    answer = preflight(client, headers=headers)
    assert answer.status_code == 204
    assert names(answer, "access-control-allow-headers") == set(COMMON_HEADERS)


def test_a_refused_preflight_from_a_foreign_origin_is_a_problem_and_logged(
    service: Service, client: httpx.Client
) -> None:
    response = preflight(client, FOREIGN)
    assert_refused(response, "origin_rejected")
    assert "access-control-allow-origin" not in response.headers
    (line,) = [line for line in service.logged().splitlines() if "origin_rejected" in line]
    assert FOREIGN in line


@pytest.mark.parametrize(
    ("method", "headers", "reason"),
    [("POST", "content-type, x-Unknown", "x-unknown"), ("TRACE", None, "method")],
)
def test_a_refused_preflight_from_a_listed_origin_is_a_problem_and_logged(
    service: Service, client: httpx.Client, method: str, headers: str | None, reason: str
) -> None:
    response = preflight(client, method=method, headers=headers)
    assert_refused(response, "preflight_rejected")
    assert reason in response.json()["detail"]
    assert response.headers["access-control-allow-origin"] == LISTED
    (line,) = [line for line in service.logged().splitlines() if "preflight_rejected" in line]
    assert LISTED in line
    assert reason in line


def test_the_allowed_headers_are_a_setting(services: ServicePool) -> None:
    environment = {
        "OSTIARY_ALLOWED_ORIGINS": LISTED,
        "OSTIARY_CORS_ALLOWED_HEADERS": "Content-Type, X-Mine",
    }
    with services.service(environment).client() as client:
        assert preflight(client, headers="x-mine").status_code == 204
        assert_refused(preflight(client, headers="traceparent"), "preflight_rejected")


def test_without_allowed_origins_a_preflight_is_a_problem_and_logged(
    services: ServicePool,
) -> None:
    service = services.service()
    with service.client() as client:
        response = preflight(client)
        assert (response.status_code, response.json()["code"]) == (403, "origin_rejected")
        assert LISTED in service.logged()
        assert "vary" not in client.get("/healthz", headers={"Origin": LISTED}).headers


def test_options_without_a_requested_method_is_no_preflight(client: httpx.Client) -> None:
    response = client.options("/login", headers={"Origin": LISTED})
    assert response.headers["allow"] == "OPTIONS, POST"
    assert response.headers["access-control-allow-origin"] == LISTED


@pytest.mark.parametrize("origin", [None, LISTED, FOREIGN, "null"])
def test_every_response_varies_by_origin(client: httpx.Client, origin: str | None) -> None:
    client.headers.update({} if origin is None else {"Origin": origin})
    answers = [
        *(client.get(path) for path in ("/healthz", "/me", "/nothing", "//me", "/docs")),
        client.get("/openapi.json"),
        client.options("/me"),
        client.patch("/me"),
        client.post("/login", content=b"{"),
        client.get("/me", headers={"Host": "evil.example"}),
        sign_up(client),
        preflight(client, LISTED),
        preflight(client, FOREIGN),
    ]
    for answer in answers:
        assert answer.headers.get_list("vary") == ["Origin"], answer.request.url


def test_two_origins_are_none(client: httpx.Client) -> None:
    headers = [("Origin", LISTED), ("Origin", LISTED)]
    assert "access-control-allow-origin" not in client.get("/me", headers=headers).headers


@pytest.mark.parametrize("path", ["/me", "/nothing", "//me"])
def test_a_listed_origin_can_read_problems(client: httpx.Client, path: str) -> None:
    response = client.get(path, headers={"Origin": LISTED})
    assert response.headers["access-control-allow-origin"] == LISTED


@pytest.mark.parametrize(
    ("raw", "logged"),
    [
        (b"https://evil.example:8443", "https://evil.example:8443"),
        (b"capacitor://localhost", "capacitor://localhost"),
        (b"null", "null"),
        (b"https://evil.example\x9b2J", "malformed"),
        (b"a secret", "malformed"),
        (b"https://user:secret@evil.example", "malformed"),
        (b"", "malformed"),
    ],
)
def test_an_origin_is_logged_only_in_the_form_of_one(raw: bytes, logged: str) -> None:
    assert loggable_origin(raw) == logged


def test_a_logged_origin_is_bounded() -> None:
    assert len(loggable_origin(b"https://" + b"a" * 10_000)) == 255
