"""The OpenAPI document and its page."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from service.api.http.problem_types import PROBLEM_TYPES
from tests.factories import sign_up

COMMITTED = json.loads(
    (Path(__file__).parents[2] / "openapi" / "openapi.json").read_text(encoding="utf-8")
)
OPERATIONS = [
    (path, method, operation)
    for path, operations in COMMITTED["paths"].items()
    for method, operation in operations.items()
]


def test_the_service_serves_the_committed_document(client: httpx.Client) -> None:
    assert client.get("/openapi.json").json() == COMMITTED


def test_the_document_is_openapi_3_1() -> None:
    assert COMMITTED["openapi"].startswith("3.1.")


def test_operation_ids_are_unique_camel_case_names() -> None:
    names = {operation["operationId"] for _, _, operation in OPERATIONS}
    assert {"signUp", "logIn", "getMe", "logOut"} <= names
    assert len(names) == len(OPERATIONS)


def test_every_operation_has_a_tag_a_summary_and_a_description() -> None:
    for _, _, operation in OPERATIONS:
        assert operation["tags"]
        assert operation["summary"]
        assert operation["description"]


def test_both_authentication_schemes_are_documented() -> None:
    schemes = COMMITTED["components"]["securitySchemes"]
    assert schemes["cookie"] == {"type": "apiKey", "in": "cookie", "name": "auth_session"}
    assert schemes["bearer"] == {"type": "http", "scheme": "bearer"}
    assert COMMITTED["paths"]["/me"]["get"]["security"] == [{"cookie": []}, {"bearer": []}]


def test_every_documented_error_is_a_problem_with_an_example() -> None:
    for _, _, operation in OPERATIONS:
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                content = response["content"]["application/problem+json"]
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                for example in content["examples"].values():
                    assert example["value"]["status"] == int(status)


def test_every_problem_type_is_documented() -> None:
    described = json.dumps(COMMITTED)
    for kind in PROBLEM_TYPES:
        if kind.code not in {"not_found", "method_not_allowed", "preflight_rejected"}:
            assert kind.urn in described


def test_request_examples_work(client: httpx.Client) -> None:
    properties = COMMITTED["components"]["schemas"]["SignUpRequest"]["properties"]
    username = properties["username"]["examples"][0]
    password = properties["password"]["examples"][0]
    assert sign_up(client, username, password=password).status_code == 201


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/docs", "text/html"),
        ("/docs/page.js", "text/javascript"),
        ("/docs/swagger-ui-bundle.js", "text/javascript"),
        ("/docs/swagger-ui.css", "text/css"),
    ],
)
def test_the_page_and_its_files_are_served_locally(
    client: httpx.Client, path: str, media_type: str
) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(media_type)
    assert "attachment" not in response.headers.get("content-disposition", "")


def test_the_page_loads_nothing_from_other_hosts(client: httpx.Client) -> None:
    response = client.get("/docs")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "http" not in response.text


def test_only_the_files_of_the_page_are_served(client: httpx.Client) -> None:
    for name in ("index.html", "..%2f__init__.py", "swagger-ui.js.map"):
        assert client.get(f"/docs/{name}").status_code == 404


@pytest.mark.parametrize("path", [path for path in COMMITTED["paths"] if "{" not in path])
def test_options_lists_the_methods_of_a_path(client: httpx.Client, path: str) -> None:
    response = client.options(path)
    assert response.status_code == 204
    expected = {method.upper() for method in COMMITTED["paths"][path]} | {"OPTIONS"}
    expected |= {"HEAD"} if "GET" in expected else set()
    assert set(response.headers["allow"].split(", ")) == expected
    assert client.patch(path).status_code == 405
    assert set(client.patch(path).headers["allow"].split(", ")) == expected
