"""Metadata: what is accepted comes back equal, and anything else is refused by name."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.auth.admin.metadata import MAX_BYTES, MAX_DEPTH, MAX_NUMBER, merged
from tests.admin.conftest import USERS, Program
from tests.factories import codes

JSON = {"Content-Type": "application/json"}


def send(program: Program, user_id: str, text: str) -> httpx.Response:
    content = f'{{"metadata": {text}}}'.encode()
    return program.send("PATCH", f"{USERS}/{user_id}", content=content, headers=JSON)


def nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def of_size(size: int) -> dict[str, str]:
    """Return an object whose compact JSON has so many bytes."""
    overhead = len(json.dumps({"é": ""}, separators=(",", ":"), ensure_ascii=False).encode())
    return {"é": "x" * (size - overhead)}


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"": ""},
        {"a": [None, True, 1, 1.0, -0.5, 1e-7, "x", [], {}]},
        {"n": MAX_NUMBER, "m": -MAX_NUMBER, "tiny": 1e-300, "float": 0.1, "point": 1.10},
        {"날짜": "2026-01-01T00:00:00Z", "emoji": "👩‍💻", "quote": '"\\\u2028\x7f\x01'},
        of_size(MAX_BYTES),
        nested(MAX_DEPTH),
    ],
)
def test_what_is_accepted_comes_back_equal(
    program: Program, client: httpx.Client, alice: str, value: dict[str, Any]
) -> None:
    answer = send(program, alice, json.dumps(value))
    assert answer.status_code == 200, answer.text
    for shown in (answer.json(), program.get(f"{USERS}/{alice}").json()):
        assert shown["metadata"] == value
    assert client.get("/me").json()["user"]["metadata"] == value
    created = program.create(username="Bobby", metadata=value)
    assert created.json()["metadata"] == value


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (r'{"a": "\u0000"}', "not_allowed"),
        (r'{"\u0000": 1}', "not_allowed"),
        (r'{"a": [{"b\u0000": 1}]}', "not_allowed"),
        ('{"a": 1e400}', "not_allowed"),
        ('{"a": -1e400}', "not_allowed"),
        ('{"a": 1e308}', "not_allowed"),
        (f'{{"a": {2**53}}}', "not_allowed"),
        (f'{{"a": {10**400}}}', "not_allowed"),
        (f'{{"a": {10**1000}}}', "not_allowed"),
        (json.dumps(nested(MAX_DEPTH + 1)), "not_allowed"),
        (json.dumps(of_size(MAX_BYTES + 1)), "too_long"),
        # PostgreSQL keeps and returns three hundred digits of each.
        (json.dumps({"a": [1e-300] * 14}), "too_long"),
        (json.dumps({"a": [True] * 1000}), "too_long"),
        ("[]", "wrong_type"),
        ('"text"', "not_allowed"),
    ],
)
def test_what_cannot_be_kept_is_refused(program: Program, alice: str, text: str, code: str) -> None:
    refused = send(program, alice, text)
    assert (refused.status_code, codes(refused)) == (400, {"metadata": code})
    created = program.send(
        "POST",
        USERS,
        content=f'{{"username": "Bobby", "metadata": {text}}}'.encode(),
        headers=JSON,
    )
    assert (created.status_code, codes(created)) == (400, {"metadata": code})


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        r'{"a": "\ud800"}',
        r'{"\udfff": 1}',
        '{"a":' * 5000 + "1" + "}" * 5000,
        '{"a": NaN}',
        '{"a": 01}',
    ],
    ids=["duplicate", "surrogate", "surrogate in a name", "depth", "NaN", "leading zero"],
)
def test_what_is_no_json_is_refused(program: Program, alice: str, text: str) -> None:
    refused = send(program, alice, text)
    assert (refused.status_code, refused.json()["code"]) in {
        (400, "malformed_json"),
        (413, "payload_too_large"),
    }


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    # RFC 7396, appendix A, as far as the target is an object.
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_metadata_is_merged(
    program: Program, target: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]
) -> None:
    user_id = program.create(username="Alice", metadata=target).json()["id"]
    assert program.change(user_id, metadata=patch).json()["metadata"] == result


def test_null_empties_the_metadata(program: Program) -> None:
    user_id = program.create(username="Alice", metadata={"a": 1}).json()["id"]
    assert program.change(user_id, metadata=None).json()["metadata"] == {}


def test_the_size_is_that_of_what_comes_of_a_patch(program: Program) -> None:
    user_id = program.create(username="Alice", metadata=of_size(MAX_BYTES)).json()["id"]
    grown = program.change(user_id, metadata={"b": 1})
    assert codes(grown) == {"metadata": "too_long"}
    assert program.change(user_id, metadata={"é": None, "b": 1}).json()["metadata"] == {"b": 1}


def test_the_target_of_a_merge_is_left_as_it_was() -> None:
    target = {"a": {"b": 1}}
    assert merged(target, {"a": {"c": 2}}) == {"a": {"b": 1, "c": 2}}
    assert target == {"a": {"b": 1}}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_NUMBER, MAX_NUMBER)
    | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab\u00e9"), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc"), VALUES, max_size=4))
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_any_value_comes_back_equal(program: Program, value: dict[str, Any]) -> None:
    created = program.create(email=f"a{abs(hash(str(value)))}@example.com", metadata=value)
    if created.status_code == 201:
        shown = program.get(created.headers["location"]).json()["metadata"]
        assert shown == value
        program.send("DELETE", created.headers["location"])
    else:
        assert codes(created) == {"metadata": "too_long"}
