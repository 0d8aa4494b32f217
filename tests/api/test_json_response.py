"""JSON of responses: times with six decimals, a newline at the end."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.http.json_response import encode_json
from tests.databases import execute
from tests.factories import JSON_VALUES, sign_up, token_of
from tests.services import Service

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
NAMES = re.compile(r"_at$")

WHOLE_SECONDS = """
UPDATE session SET
    created_at = date_trunc('second', created_at), renewed_at = date_trunc('second', renewed_at),
    active_expires_at = date_trunc('second', active_expires_at),
    idle_expires_at = date_trunc('second', idle_expires_at)"""
WHOLE_DAY = """UPDATE "user" SET created_at = date_trunc('day', created_at)"""


class Moment(msgspec.Struct):
    at: datetime
    text: str = ""
    id: UUID = UUID(int=0)
    moments: tuple[datetime, ...] = ()
    unset: str | msgspec.UnsetType = msgspec.UNSET


def times_in(value: Any) -> list[str]:
    """Return the values of members whose names end in ``_at``."""
    if isinstance(value, list):
        return [time for each in value for time in times_in(each)]
    if not isinstance(value, dict):
        return []
    own = [each for name, each in value.items() if NAMES.search(name) and each is not None]
    return own + [time for each in value.values() for time in times_in(each)]


def test_times_have_six_decimals_in_every_answer(service: Service, client: httpx.Client) -> None:
    """An imported session can have a time of a whole second, as Lucia's milliseconds can be 0."""
    sign_up(client)
    execute(service.database_url, WHOLE_SECONDS)
    execute(
        service.database_url, """UPDATE "user" SET created_at = date_trunc('day', created_at)"""
    )
    answers = [client.get("/me"), client.get("/sessions")]
    for answer in answers:
        times = times_in(answer.json())
        assert len(times) >= 4
        assert [time for time in times if not TIME.fullmatch(time)] == []
        assert any(".000000Z" in time for time in times)


@given(st.datetimes(timezones=st.just(UTC)), st.booleans())
def test_a_time_round_trips_with_six_decimals(moment: datetime, whole: bool) -> None:
    moment = moment.replace(microsecond=0) if whole else moment
    text = json.loads(encode_json(Moment(moment)))["at"]
    assert TIME.fullmatch(text)
    assert datetime.fromisoformat(text) == moment


def test_a_text_that_looks_like_a_time_stays_as_it_is() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    value = Moment(moment, text="2026-01-01T00:00:00Z", moments=(moment,))
    assert json.loads(encode_json(value)) == {
        "at": "2026-01-01T00:00:00.000000Z",
        "text": "2026-01-01T00:00:00Z",
        "id": str(UUID(int=0)),
        "moments": ["2026-01-01T00:00:00.000000Z"],
    }


@given(JSON_VALUES)
def test_other_values_are_encoded_as_they_are(value: Any) -> None:
    member = {"value": value, "time": "2026-01-01T00:00:00Z"}
    assert json.loads(encode_json(member)) == json.loads(json.dumps(member))


@pytest.mark.parametrize("path", ["/me", "/sessions", "/healthz", "/openapi.json", "/nothing"])
def test_a_body_ends_with_one_newline(client: httpx.Client, path: str) -> None:
    assert_ends_with_newline(sign_up(client))
    assert_ends_with_newline(client.get(path))
    assert_ends_with_newline(client.post("/login", json={}))
    assert_ends_with_newline(client.patch("/me"))


def assert_ends_with_newline(response: httpx.Response) -> None:
    assert response.content.endswith(b"}\n")
    assert response.headers["content-length"] == str(len(response.content))


def test_an_answer_without_content_has_no_newline(client: httpx.Client) -> None:
    assert token_of(sign_up(client))
    assert client.post("/logout").content == b""
