"""Every error is a problem (RFC 9457), whatever raises it."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.http.errors import MalformedJSON
from service.api.http.json_body import parse_json_object
from service.api.http.problem_types import PROBLEM_TYPES
from service.app import hsts_of
from service.settings.variables import read_settings
from tests.databases import TERMINATE_ALL_OTHERS, execute, locked, name_of
from tests.factories import JSON_VALUES, PASSWORD, codes, cookie, sign_up, token_of
from tests.service_pool import ServicePool
from tests.services import SECRET_KEYS, Service

JSON = {"Content-Type": "application/json"}
GOOD = json.dumps({"username": "Alice", "password": PASSWORD})


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"urn:ostiary:problem:{code.replace('_', '-')}"
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    return body


@pytest.mark.parametrize(
    "path", ["/nothing", "/me/nothing", "/docs/nothing", "/docs/../me/x", "//", "/%00"]
)
def test_an_unknown_path_is_not_found(client: httpx.Client, path: str) -> None:
    assert_problem(client.get(path), 404, "not_found")


def test_a_wrong_method_is_405_with_the_allowed_ones(client: httpx.Client) -> None:
    response = client.delete("/signup")
    assert_problem(response, 405, "method_not_allowed")
    assert set(response.headers["allow"].split(", ")) == {"POST", "OPTIONS"}


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
def test_only_json_bodies_are_accepted(client: httpx.Client, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = client.post("/signup", content=GOOD, headers=headers)
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8"]
)
def test_every_spelling_of_the_json_media_type_is_accepted(
    client: httpx.Client, content_type: str
) -> None:
    response = client.post("/signup", content=GOOD, headers={"Content-Type": content_type})
    assert response.status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"nonsense",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        GOOD.encode("utf-16"),
        b'{"username": "a", "username": "b", "password": "c"}',
        b'{"username": "\\ud800", "password": "correct horse"}',
        b'{"\\udfff": 1}',
        b'{"username": NaN}',
        b'{"username": Infinity}',
        b'{"username": ' + b"[" * 8000 + b"]" * 8000 + b"}",
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"{} {}",
        b"{'username': 1}",
    ],
)
@pytest.mark.parametrize("path", ["/signup", "/login"])
def test_invalid_or_ambiguous_json_is_malformed(
    client: httpx.Client, path: str, body: bytes
) -> None:
    assert_problem(client.post(path, content=body, headers=JSON), 400, "malformed_json")


@pytest.mark.parametrize(
    "number",
    [
        *("9" * 641, "-" + "9" * 5000, "9" * 15_000, "1e999999", "-1E+400", "1e-999999", "0.1"),
        *("1." + "0" * 5000, "9" * 5000 + ".5"),
    ],
)
def test_a_number_of_any_size_is_of_the_wrong_type(client: httpx.Client, number: str) -> None:
    response = client.post("/login", content=f'{{"username": {number}}}', headers=JSON)
    assert_problem(response, 400, "validation_failed")
    assert codes(response) == {"username": "wrong_type", "password": "required"}


@pytest.mark.parametrize(
    "content_types",
    [
        ("application/json", "application/json"),
        ("application/json", "text/plain"),
        ("text/plain", "application/json"),
    ],
)
def test_two_content_types_are_a_bad_request(
    client: httpx.Client, content_types: tuple[str, str]
) -> None:
    headers = [("Content-Type", each) for each in content_types]
    response = client.post("/signup", content=GOOD, headers=headers)
    assert_problem(response, 400, "bad_request")


@pytest.mark.parametrize("content_type", ["application/json, text/plain", "application/json,"])
def test_a_list_of_content_types_is_unsupported(client: httpx.Client, content_type: str) -> None:
    response = client.post("/signup", content=GOOD, headers={"Content-Type": content_type})
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "identity, gzip"])
def test_a_compressed_body_is_unsupported(client: httpx.Client, coding: str) -> None:
    headers = {**JSON, "Content-Encoding": coding}
    response = client.post("/signup", content=GOOD, headers=headers)
    assert_problem(response, 415, "unsupported_media_type")
    headers = {**JSON, "Content-Encoding": "identity"}
    assert client.post("/signup", content=GOOD, headers=headers).status_code == 201


@pytest.mark.parametrize("parameters", ["charset=utf-16", "charset=x; charset=y", "charset"])
def test_a_charset_of_json_is_ignored(client: httpx.Client, parameters: str) -> None:
    headers = {"Content-Type": f"application/json; {parameters}"}
    assert client.post("/signup", content=GOOD, headers=headers).status_code == 201


def test_nul_characters_are_a_validation_error(client: httpx.Client) -> None:
    response = sign_up(client, "Al\x00ice", password="correct\x00horse")
    body = assert_problem(response, 400, "validation_failed")
    assert [(e["field"], e["code"]) for e in body["errors"]] == [
        ("username", "not_allowed"),
        ("password", "not_allowed"),
    ]


def test_a_body_of_16_kib_is_accepted_and_a_larger_one_refused(client: httpx.Client) -> None:
    def body(size: int) -> bytes:
        text = json.dumps({"username": "Alice", "password": PASSWORD})
        return text.encode().ljust(size)

    assert client.post("/signup", content=body(16384), headers=JSON).status_code == 201
    too_large = client.post("/signup", content=body(16385), headers=JSON)
    assert_problem(too_large, 413, "payload_too_large")


def test_a_chunked_body_has_the_same_size_limit(client: httpx.Client) -> None:
    chunks = (b" " * 1024 for _ in range(64))
    response = client.post("/signup", content=chunks, headers=JSON)
    assert_problem(response, 413, "payload_too_large")


def test_an_invalid_host_header_is_a_bad_request(service: Service) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"GET /me HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400")


def test_every_response_has_the_security_headers(client: httpx.Client) -> None:
    answers = [
        client.get("/healthz"),
        client.get("/nothing"),
        client.put("/me"),
        client.get("/me"),
        sign_up(client),
        client.get("/openapi.json"),
        client.get("/docs"),
        client.options("/me"),
    ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        (policy,) = answer.headers.get_list("content-security-policy")
        assert "default-src 'none'" in policy
        for directive in ("base-uri", "form-action", "frame-ancestors"):
            assert f"{directive} 'none'" in policy
        assert "strict-transport-security" not in answer.headers
        assert len(answer.headers["x-request-id"]) == 32
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)


@pytest.mark.parametrize(
    ("environment", "sent"),
    [
        ({}, None),
        ({"OSTIARY_ENV": "production"}, "max-age=31536000"),
        ({"OSTIARY_ENV": "production", "OSTIARY_HSTS": "off"}, None),
        (
            {"OSTIARY_ENV": "production", "OSTIARY_HSTS": "max-age=60; includeSubDomains"},
            "max-age=60; includeSubDomains",
        ),
        ({"OSTIARY_HSTS": "max-age=60"}, None),
    ],
)
def test_hsts_is_a_setting_of_production(environment: dict[str, str], sent: str | None) -> None:
    required = {
        "DATABASE_URL": "postgresql://nobody@nowhere/nothing",
        "OSTIARY_SECRET_KEYS": SECRET_KEYS,
    }
    assert hsts_of(read_settings(required | environment)) == sent


def test_hsts_is_sent_in_production(services: ServicePool) -> None:
    with services.service({"OSTIARY_ENV": "production"}).client() as client:
        answer = client.get("/nothing")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_the_request_id_of_a_client_is_ignored(client: httpx.Client) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": "forged"})
    assert response.headers["x-request-id"] != "forged"


@pytest.mark.own_service
def test_an_internal_error_is_logged_and_its_details_are_hidden(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    # No operator compares a text with a time.
    execute(service.database_url, "ALTER TABLE session ALTER COLUMN idle_expires_at TYPE text")
    body = assert_problem(client.get("/me"), 500, "internal_error")
    assert "operator" not in json.dumps(body)
    log = service.log.read_text()
    assert body["request_id"] in log
    assert "operator does not exist" in log


@pytest.mark.own_service
def test_an_unavailable_database_is_503_until_it_returns(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    name = name_of(service.database_url)
    server_url = service.database_url.replace(f"/{name}?", "/postgres?")
    execute(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    execute(
        server_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
        name,
    )
    for path in ("/me", "/readyz"):
        response = client.get(path)
        assert_problem(response, 503, "database_unavailable")
        assert response.headers["retry-after"] == "1"
    assert client.get("/healthz").status_code == 200
    execute(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert client.get("/me").status_code == 200


@pytest.mark.own_service
def test_the_first_request_after_the_connections_were_cut_is_answered(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    client.get("/me")
    execute(service.database_url, TERMINATE_ALL_OTHERS)
    # Once this is answered, the service has read that its connections are closed.
    client.get("/healthz")
    assert client.get("/me").status_code == 200


@pytest.mark.own_service
def test_the_service_recovers_from_a_migration_while_it_runs(
    service: Service, client: httpx.Client
) -> None:
    """A prepared statement fails once if the types of its columns have changed."""
    sign_up(client)
    client.get("/me")
    for kind in ("varchar", "text"):
        execute(service.database_url, f"ALTER TABLE key ALTER COLUMN display_name TYPE {kind}")
        assert client.get("/me").status_code == 200


def test_a_statement_timeout_is_503(
    services: ServicePool,
) -> None:
    environment = {"OSTIARY_DATABASE_STATEMENT_TIMEOUT": "1s"}
    with services.service().client() as patient:
        token = token_of(sign_up(patient))
    with services.service(environment).client() as client:
        with locked(services.database_url, "session"):
            assert_problem(client.get("/me", headers=cookie(token)), 503, "database_unavailable")
        assert client.get("/me", headers=cookie(token)).status_code == 200


@pytest.mark.parametrize("path", ["/signup", "/me/password", "/nowhere"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_connection_with_an_unread_body_is_closed(
    client: httpx.Client, path: str, *, chunked: bool
) -> None:
    body = b"x" * 1_000_000
    for _ in range(3):
        response = client.request(
            "PUT" if path == "/me/password" else "POST",
            path,
            content=iter([body]) if chunked else body,
            headers={"Content-Type": "application/json"},
        )
        assert response.status_code in {401, 404, 413}
        assert response.headers["connection"] == "close"
        assert client.get("/healthz").status_code == 200


@pytest.mark.own_service
def test_a_schema_that_is_behind_is_not_ready(service: Service, client: httpx.Client) -> None:
    execute(service.database_url, "DELETE FROM alembic_version")
    assert_problem(client.get("/readyz"), 503, "schema_behind")
    execute(service.database_url, "INSERT INTO alembic_version VALUES ('9999')")
    assert client.get("/readyz").status_code == 200


def test_problem_codes_are_unique() -> None:
    assert len({kind.code for kind in PROBLEM_TYPES}) == len(PROBLEM_TYPES)


@given(st.dictionaries(st.text(), JSON_VALUES))
def test_a_json_object_round_trips(members: dict[str, Any]) -> None:
    assert parse_json_object(json.dumps(members).encode()) == members


@given(st.binary() | st.text().map(str.encode))
def test_any_other_bytes_are_malformed_json(raw: bytes) -> None:
    with suppress(MalformedJSON):
        parse_json_object(raw)
