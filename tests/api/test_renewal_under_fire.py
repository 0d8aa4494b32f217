"""Simultaneous requests with one idle session."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.databases import execute, fetch_value
from tests.factories import age_sessions, cookie, sessions_in, sign_up, token_of
from tests.services import NO_CONNECTION_IS_CLOSED, PATIENCE, UNUSED_TLS, Service

REQUESTS = 200


async def send_simultaneously(service: Service, token: str) -> list[httpx.Response]:
    async with httpx.AsyncClient(
        base_url=service.url,
        timeout=PATIENCE,
        verify=UNUSED_TLS,
        limits=NO_CONNECTION_IS_CLOSED,
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
    record_updates(service)
    responses = asyncio.run(send_simultaneously(service, token))
    assert [response.status_code for response in responses] == [200] * REQUESTS
    sessions = [response.json()["session"] for response in responses]
    for name in ("active_expires_at", "idle_expires_at"):
        assert len({session[name] for session in sessions}) == 1
        assert sessions[0][name] != before[name].isoformat().replace("+00:00", "Z")
    assert [session["fresh"] for session in sessions].count(True) == 1
    assert ["set-cookie" in response.headers for response in responses].count(True) == 1
    assert fetch_value(service.database_url, "SELECT count(*) FROM recorded_updates") == 1


def record_updates(service: Service) -> None:
    """Record each update of a row of the session table."""
    execute(service.database_url, "CREATE TABLE recorded_updates (session_id uuid)")
    execute(
        service.database_url,
        """CREATE FUNCTION record_update() RETURNS trigger LANGUAGE plpgsql AS
           $$BEGIN INSERT INTO recorded_updates VALUES (NEW.id); RETURN NEW; END$$""",
    )
    execute(
        service.database_url,
        """CREATE TRIGGER record_update BEFORE UPDATE ON session
           FOR EACH ROW EXECUTE FUNCTION record_update()""",
    )
