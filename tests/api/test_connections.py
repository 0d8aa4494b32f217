"""The connections of a worker to PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path

from tests.databases import fetch_value, locked, wait_for_lock_waiters
from tests.factories import bearer, log_in, service_token, sign_up
from tests.services import NO_LIMITS, running

SIZE = 2
REQUESTS = 8

CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'ostiary'
"""


def test_a_worker_opens_its_pool_and_a_connection_each_for_look_ups_and_readiness_at_most(
    database_url: str, tmp_path: Path
) -> None:
    environment = {
        "OSTIARY_DATABASE_POOL_SIZE": str(SIZE),
        "OSTIARY_DATABASE_POOL_TIMEOUT": "1s",
        "OSTIARY_DATABASE_STATEMENT_TIMEOUT": "1m",
        **NO_LIMITS,
    }
    with (
        running(database_url, tmp_path / "service.log", environment) as service,
        service.client() as client,
        ThreadPoolExecutor(REQUESTS) as pool,
    ):
        sign_up(client)
        client.get("/me")
        with locked(database_url, "rate_limit"):
            log_ins = [pool.submit(log_in, client) for _ in range(REQUESTS)]
            wait_for_lock_waiters(database_url, SIZE)
            # Requests without a connection are refused while the others wait for the lock.
            refused = list(islice(as_completed(log_ins), REQUESTS - SIZE))
            assert {each.result().status_code for each in refused} == {503}
            assert client.get("/readyz").status_code == 200
            assert fetch_value(database_url, CONNECTIONS) == SIZE + 2


def test_programs_make_a_worker_open_one_more_for_look_ups_of_their_tokens(
    database_url: str, tmp_path: Path
) -> None:
    with running(database_url, tmp_path / "service.log") as service, service.client() as client:
        sign_up(client)
        client.get("/me")
        before = fetch_value(database_url, CONNECTIONS)
        # Without the scope there is nothing to look for but the token.
        headers = bearer(service_token(database_url, "introspect"))
        for _ in range(3):
            assert client.get("/admin/users", headers=headers).status_code == 403
        assert fetch_value(database_url, CONNECTIONS) == before + 1
