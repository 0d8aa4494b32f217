"""The OpenAPI document and its page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from service.api.http.problem_types import PROBLEM_TYPES
from service.api.openapi import openapi_document
from service.api.routes import operation_ids
from service.auth.errors import FieldCode
from service.settings import Settings
from service.settings.values import Environment
from tests.factories import bearer, sign_up
from tests.service_pool import ServicePool
from tests.services import PATIENCE

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
    assert schemes["cookie"].items() >= {
        ("type", "apiKey"),
        ("in", "cookie"),
        ("name", "auth_session"),
    }
    assert schemes["bearer"].items() >= {("type", "http"), ("scheme", "bearer")}
    assert COMMITTED["paths"]["/me"]["get"]["security"] == [{"bearer": []}, {"cookie": []}]


def test_operations_that_need_no_session_say_so() -> None:
    open_to_all = {
        operation["operationId"] for _, _, operation in OPERATIONS if operation["security"] == []
    }
    sign_up = {"signUp", "signUpByEmail", "verifySignUp"}
    reset = {"requestPasswordReset", "confirmPasswordReset", "undo"}
    log_in = {"logIn", "completeLogIn", "passkeyLogInOptions", "logInByPasskey"}
    at_provider = {"beginLogInAtProvider", "logInAtProvider", "logInByIdToken", "signUpByIdentity"}
    others = {"getKeys", "getHealth", "getReadiness"}
    assert open_to_all == {*sign_up, *log_in, *at_provider, *reset, *others}


def test_all_others_take_a_bearer_token_or_the_cookie_or_are_for_programs() -> None:
    for _, _, operation in OPERATIONS:
        if operation["security"]:
            assert operation["security"] in (
                [{"bearer": []}, {"cookie": []}],
                [{"serviceToken": []}, {"serviceTokenBasic": []}],
            )


def test_all_authentication_schemes_say_where_the_token_comes_from() -> None:
    schemes = COMMITTED["components"]["securitySchemes"]
    assert list(schemes) == ["bearer", "cookie", "serviceToken", "serviceTokenBasic"]
    assert "`ostiary service-token create`" in schemes["serviceToken"]["description"]
    assert "`session.token`" in schemes["bearer"]["description"]
    assert "the browser sends it by itself" in schemes["cookie"]["description"]


def test_paths_stand_in_the_order_of_a_life() -> None:
    """Generators and pages keep the order: sign-up first, then programs, health last."""
    account = ["/signup", "/login", "/me", "/me/password", "/logout"]
    sessions = ["/sessions", "/sessions/{session_id}"]
    paths = list(COMMITTED["paths"])
    assert paths[:5] == account
    programs = [path for path, _, operation in OPERATIONS if "Programs" in operation["tags"]]
    last = [*sessions, *dict.fromkeys(programs), "/healthz", "/readyz"]
    assert paths[-len(last) :] == last
    listed = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert sorted(operation_ids()) == sorted(listed)


def test_the_text_of_the_document_is_the_same_in_every_process() -> None:
    texts = {
        subprocess.run(
            [sys.executable, "-m", "service", "openapi"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=PATIENCE,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_the_document_tells_the_settings_in_use(services: ServicePool) -> None:
    service = services.service({"OSTIARY_COOKIE_NAME": "sid", "OSTIARY_PASSWORD_MIN_LENGTH": "15"})
    with service.client() as client:
        document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["cookie"]["name"] == "sid"
    assert "`sid`" in document["info"]["description"]
    sign_up_request = document["components"]["schemas"]["SignUpRequest"]
    assert sign_up_request["properties"]["password"]["minLength"] == 15


def test_the_document_of_production_names_the_cookie_with_its_prefix() -> None:
    document = openapi_document(Settings(env=Environment.PRODUCTION))
    assert document["components"]["securitySchemes"]["cookie"]["name"] == "__Host-auth_session"


def test_request_bodies_are_closed_and_response_bodies_may_grow() -> None:
    for name, schema in COMMITTED["components"]["schemas"].items():
        is_closed = name.endswith("Request") and not name.endswith("CallbackRequest")
        assert ("additionalProperties" in schema) is is_closed


def test_no_member_of_a_request_body_has_a_default() -> None:
    """Generators differ on whether such a member may be left out."""
    for name, schema in COMMITTED["components"]["schemas"].items():
        for member in schema["properties"].values() if name.endswith("Request") else ():
            assert "default" not in member


def test_every_field_is_described() -> None:
    for schema in COMMITTED["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            assert "description" in resolved(field), field


def test_no_union_has_one_member_or_spells_out_null() -> None:
    assert '"oneOf"' not in json.dumps(COMMITTED)


def test_codes_are_enumerated_and_may_grow() -> None:
    schemas = COMMITTED["components"]["schemas"]
    codes = {kind.code for kind in PROBLEM_TYPES}
    for name, union, known in (
        ("Problem", "ProblemCode", codes),
        ("FieldError", "FieldCode", set(FieldCode)),
    ):
        assert schemas[name]["properties"]["code"] == {"$ref": f"#/components/schemas/{union}"}
        assert {"type": "string"} in schemas[union]["anyOf"]
        assert set(schemas[f"Known{union}"]["enum"]) == known


def test_examples_conform_to_their_schemas() -> None:
    for _, _, operation in OPERATIONS:
        for response in operation["responses"].values():
            for content in response.get("content", {}).values():
                examples = [each["value"] for each in content.get("examples", {}).values()]
                for example in examples or [content["example"]]:
                    validate(example, content["schema"])


def test_every_response_documents_its_headers() -> None:
    expected = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}
    for _, _, operation in OPERATIONS:
        for status, response in operation["responses"].items():
            assert {"X-Request-ID", expected.get(status, "X-Request-ID")} <= set(
                response["headers"]
            )


def test_a_session_id_is_a_uuid() -> None:
    (parameter,) = COMMITTED["paths"]["/sessions/{session_id}"]["delete"]["parameters"]
    assert parameter["schema"]["format"] == "uuid"


def test_the_user_name_of_a_sign_up_may_be_longer_as_typed_than_as_prepared(
    client: httpx.Client,
) -> None:
    typed = "a\N{COMBINING ACUTE ACCENT}" * 31
    properties = COMMITTED["components"]["schemas"]["SignUpRequest"]["properties"]
    assert len(typed) <= properties["username"]["maxLength"]
    assert sign_up(client, typed).status_code == 201


def test_the_user_name_of_a_sign_up_may_have_punctuation(client: httpx.Client) -> None:
    properties = COMMITTED["components"]["schemas"]["SignUpRequest"]["properties"]
    assert "some punctuation" in properties["username"]["description"]
    assert sign_up(client, "al.ice-o'neil_1").status_code == 201


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    referred: dict[str, Any] = COMMITTED["components"]["schemas"].get(name, {})
    return referred | schema


def validate(instance: object, schema: dict[str, Any]) -> None:
    Draft202012Validator({**schema, "components": COMMITTED["components"]}).validate(instance)


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


def test_the_examples_of_requests_work_one_after_another(client: httpx.Client) -> None:
    """In the order of a life: with the cookie, and then with a bearer token."""
    for name, success in (("cookie", 201), ("bearer", 409)):
        assert client.post("/signup", json=request_example("signUp", name)).status_code == success
        client.cookies.clear()
        logged_in = client.post("/login", json=request_example("logIn", name))
        assert ("token" in logged_in.json()["session"]) is (name == "bearer")
    client.headers.update(bearer(logged_in.json()["session"]["token"]))
    change = request_example("changePassword")
    assert change["current_password"] != change["new_password"]
    changed = client.put("/me/password", json=change)
    client.headers.update(bearer(changed.json()["session"]["token"]))
    deleted = client.request("DELETE", "/me", json=request_example("deleteMe"))
    assert deleted.status_code == 204


def request_example(operation_id: str, name: str | None = None) -> Any:
    (operation,) = (each for _, _, each in OPERATIONS if each["operationId"] == operation_id)
    content = operation["requestBody"]["content"]["application/json"]
    example = content["example"] if name is None else content["examples"][name]["value"]
    validate(example, content["schema"])
    return example


def test_the_examples_of_fields_work(client: httpx.Client) -> None:
    properties = COMMITTED["components"]["schemas"]["SignUpRequest"]["properties"]
    username = properties["username"]["examples"][0]
    password = properties["password"]["examples"][0]
    assert sign_up(client, username, password=password).status_code == 201


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/docs", "text/html"),
        ("/docs/page.js", "text/javascript"),
        ("/docs/page.css", "text/css"),
        ("/docs/callback", "text/html"),
        ("/docs/callback.js", "text/javascript"),
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


@pytest.mark.parametrize("path", ["/docs", "/docs/callback"])
def test_the_page_loads_nothing_from_other_hosts(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "http" not in policy
    assert "http" not in response.text


def test_only_the_files_of_the_page_are_served(client: httpx.Client) -> None:
    for name in ("index.html", "..%2f__init__.py", "swagger-ui.js.map"):
        assert client.get(f"/docs/{name}").status_code == 404


# With `/verify` any method asks for another request.
PATHS = [path for path in COMMITTED["paths"] if "{" not in path and path != "/verify"]


@pytest.mark.parametrize("path", PATHS)
def test_options_lists_the_methods_of_a_path(client: httpx.Client, path: str) -> None:
    response = client.options(path)
    assert response.status_code == 204
    expected = {method.upper() for method in COMMITTED["paths"][path]} | {"OPTIONS"}
    expected |= {"HEAD"} if "GET" in expected else set()
    assert set(response.headers["allow"].split(", ")) == expected
    assert client.patch(path).status_code == 405
    assert set(client.patch(path).headers["allow"].split(", ")) == expected


@pytest.mark.parametrize("path", ["/docs", "/docs/callback"])
def test_the_page_shares_its_window_with_no_other(client: httpx.Client, path: str) -> None:
    assert client.get(path).headers["cross-origin-opener-policy"] == "same-origin"


def test_no_secret_is_sent_in_a_url() -> None:
    parameters = {
        (parameter["in"], parameter["name"])
        for operations in COMMITTED["paths"].values()
        for operation in operations.values()
        for parameter in operation.get("parameters", ())
    }
    ids = {
        *("session_id", "passkey_id", "user_id", "factor_id", "invitation_id"),
        *("policy", "provider", "identity"),
    }
    queries = {"cursor", "limit", "username", "email"}
    assert parameters == {
        *(("path", each) for each in ids),
        *(("query", each) for each in queries),
        ("header", "If-Match"),
        ("header", "If-None-Match"),
    }
