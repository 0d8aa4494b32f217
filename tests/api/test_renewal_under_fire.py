"""Many requests with one idle session."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.databases import execute, fetch_value
from tests.factories import age_sessions, cookie, sessions_in, sign_up, token_of
from tests.services import PATIENCE, UNUSED_TLS, Service

REQUESTS = 200


async def fire(service: Service, token: str) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=REQUESTS)
    async with httpx.AsyncClient(
        base_url=service.url, timeout=PATIENCE, verify=UNUSED_TLS, limits=limits
    ) as client:
        requests = [client.get("/me", headers=cookie(token)) for _ in range(REQUESTS)]
        return await asyncio.gather(*requests)


@pytest.mark.own_service
def test_simultaneous_requests_renew_an_idle_session_once(
    service: Service, client: httpx.Client
) -> None:
    token = token_of(sign_up(client))
    age_sessions(service.database_url, days=3)
    (before,) = sessions_in(service.database_url)
    count_updates(service)
    answers = asyncio.run(fire(service, token))
    assert [answer.status_code for answer in answers] == [200] * REQUESTS
    sessions = [answer.json()["session"] for answer in answers]
    for name in ("active_expires_at", "idle_expires_at"):
        assert len({session[name] for session in sessions}) == 1
        assert sessions[0][name] != before[name].isoformat().replace("+00:00", "Z")
    assert [session["fresh"] for session in sessions].count(True) == 1
    assert ["set-cookie" in answer.headers for answer in answers].count(True) == 1
    assert fetch_value(service.database_url, "SELECT count(*) FROM noted") == 1


def count_updates(service: Service) -> None:
    """Note each update of a session, as only one that found a row to update is."""
    execute(service.database_url, "CREATE TABLE noted (session_id uuid)")
    execute(
        service.database_url,
        """CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
           $$BEGIN INSERT INTO noted VALUES (NEW.id); RETURN NEW; END$$""",
    )
    execute(
        service.database_url,
        "CREATE TRIGGER note BEFORE UPDATE ON session FOR EACH ROW EXECUTE FUNCTION note()",
    )
