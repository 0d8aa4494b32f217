"""Metrics: what is counted, by all workers together, and where it is served."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from service.metrics.kinds import METRICS
from service.metrics.table import metrics_table
from service.model.service_tokens import Scope
from service.server import metrics_files as metrics_files_of_service
from service.server.metrics_files import FILE_SIZE
from service.server.supervisor import CannotServe, metrics_place, require_resources
from service.settings import Settings
from service.settings.metrics import MetricsSettings
from tests.databases import execute, wait_until
from tests.factories import PASSWORD, age_sessions, bearer, log_in, service_token, sign_up
from tests.flows.conftest import confirm_reset
from tests.identities.conftest import App, environment_for, provider, session_of
from tests.oidc.stub_provider import StubProvider
from tests.services import (
    PATIENCE,
    UNUSED_TLS,
    Service,
    reserved_port,
    running,
    wait_for,
    wait_until_measured,
)

__all__ = ["provider"]

ROOT = Path(__file__).parents[2]
SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")


@contextmanager
def measured_service(database_url: str, tmp_path: Path, **more: str) -> Iterator[Service]:
    """Run a service with metrics; `Service.url` is followed by their port."""
    with reserved_port() as port:
        environment = {"OSTIARY_METRICS_PORT": str(port), **more}
        with running(database_url, tmp_path / "service.log", environment) as service:
            service.metrics_url = f"http://127.0.0.1:{port}/metrics"
            yield service


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    with measured_service(database_url, tmp_path) as service:
        yield service


@pytest.fixture
def metrics_files(service: Service) -> Path:
    """Return the directory with the files of the metrics, which the workers have open."""
    (path,) = {
        Path(each.path).parent
        for process in service.process.children()
        for each in process.memory_maps()
        if "ostiary-metrics-" in each.path
    }
    return path


def kill_worker(service: Service) -> None:
    """Kill the only worker."""
    (worker,) = [each for each in service.process.children() if any(each.net_connections("tcp"))]
    worker.kill()


def has_started(service: Service, number: int) -> bool:
    """Return whether so many workers have been started, and one serves the metrics."""
    try:
        return sample(service, "ostiary_workers_started_total") == number
    except httpx.TransportError:
        return False


def samples(service: Service) -> dict[tuple[str, str], float]:
    """Return the value of each sample by its name and labels."""
    response = httpx.get(service.metrics_url, timeout=PATIENCE, verify=UNUSED_TLS)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    found = [SAMPLE.fullmatch(line) for line in response.text.splitlines() if line[:1] != "#"]
    return {(match[1], match[2] or ""): float(match[3]) for match in found if match}


def sample(service: Service, name: str, labels: str = "") -> float:
    return samples(service).get((name, labels), 0)


def bearer_token_of(response: httpx.Response) -> str:
    token: str = response.json()["session"]["token"]
    return token


def new_token(client: httpx.Client) -> str:
    return bearer_token_of(sign_up(client, transport="bearer"))


def test_requests_are_counted_by_method_route_and_status(
    service: Service, client: httpx.Client
) -> None:
    token = new_token(client)
    for _ in range(3):
        client.get("/me", headers=bearer(token))
    client.get("/me")
    client.head("/healthz")
    client.delete("/sessions/00000000-0000-0000-0000-000000000000", headers=bearer(token))
    found = samples(service)

    def requests(method: str, route: str, status: str) -> float:
        labels = f'method="{method}",route="{route}",status="{status}"'
        return found["ostiary_requests_total", labels]

    assert requests("POST", "/signup", "201") == 1
    assert requests("GET", "/me", "200") == 3
    assert requests("GET", "/me", "401") == 1
    assert requests("HEAD", "/healthz", "200") == 1
    assert requests("DELETE", "/sessions/{session_id}", "404") == 1
    duration = "ostiary_request_duration_seconds"
    assert found[f"{duration}_count", 'method="GET",route="/me"'] == 4
    assert found[f"{duration}_sum", 'method="GET",route="/me"'] > 0
    assert found["ostiary_problems_total", 'code="not_authenticated"'] == 1


def test_a_client_cannot_add_series(service: Service, client: httpx.Client) -> None:
    for n in range(20):
        client.request(f"X{n}", f"/nowhere-{n}")
        client.get(f"/sessions/{n}/{n}", headers={"Host": f"{n}.example"})
    found = samples(service)
    labels = {key for name, key in found if name == "ostiary_requests_total"}
    assert labels <= {
        'method="other",route="none",status="404"',
        'method="GET",route="none",status="400"',
        'method="GET",route="none",status="404"',
    }


def test_the_figures_are_those_of_all_workers(database_url: str, tmp_path: Path) -> None:
    with (
        measured_service(database_url, tmp_path, OSTIARY_WORKERS="3") as service,
        ThreadPoolExecutor(16) as threads,
    ):
        labels = 'method="GET",route="/healthz",status="200"'

        def ask(_: int) -> int:
            return httpx.get(
                f"{service.url}/healthz", timeout=PATIENCE, verify=UNUSED_TLS
            ).status_code

        assert set(threads.map(ask, range(60))) == {200}
        # A connection each: whichever worker answers.
        assert {sample(service, "ostiary_requests_total", labels) for _ in range(8)} == {60}
        assert sample(service, "ostiary_workers_started_total") == 3


def test_what_a_worker_counted_stays_when_it_dies(database_url: str, tmp_path: Path) -> None:
    with measured_service(database_url, tmp_path) as service:
        with service.client() as client:
            client.get("/healthz")
        kill_worker(service)
        wait_for(partial(has_started, service, 2), "another worker serves the metrics")
        labels = 'method="GET",route="/healthz",status="200"'
        assert sample(service, "ostiary_requests_total", labels) == 1


def test_files_have_room_for_everything_before_a_worker_writes(
    service: Service, metrics_files: Path
) -> None:
    """A full disk would kill the worker otherwise: the library writes through memory."""
    assert sample(service, "ostiary_workers_started_total") == 1
    found = {each.name: each.stat() for each in metrics_files.iterdir()}
    kinds = ("counter", "gauge_sum", "gauge_mostrecent", "histogram")
    assert set(found) == {f"{kind}_0.db" for kind in kinds}
    assert all(each.st_size == FILE_SIZE <= 512 * each.st_blocks for each in found.values())


def test_a_worker_that_replaces_another_one_goes_on_in_its_files(
    service: Service, metrics_files: Path
) -> None:
    before = sorted(metrics_files.iterdir())
    for number in (2, 3):
        kill_worker(service)
        wait_for(partial(has_started, service, number), f"worker {number} serves the metrics")
    assert sorted(metrics_files.iterdir()) == before


def test_a_file_that_cannot_be_read_is_told_in_the_log(
    service: Service, metrics_files: Path
) -> None:
    (metrics_files / "counter_9.db").touch()
    assert httpx.get(service.metrics_url, timeout=PATIENCE, verify=UNUSED_TLS).status_code == 500
    wait_for(lambda: "metrics_not_sent" in service.log.read_text(), "the event is logged")


def test_a_lack_of_space_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(metrics_files_of_service, "allocate", fail)
    settings = Settings(metrics=MetricsSettings(port=1))
    with pytest.raises(CannotServe, match="No space left"), metrics_place(settings):
        pass


def test_log_ins_are_counted_by_result(database_url: str, tmp_path: Path) -> None:
    limit = {"OSTIARY_LOG_IN_FAILURES_PER_NAME": "1/1h"}
    with measured_service(database_url, tmp_path, **limit) as service, service.client() as client:
        sign_up(client, "Alice")
        log_in(client, "Alice")
        for _ in range(3):
            log_in(client, "Bob", password="wrong password")
        found = samples(service)
    events = {key: value for (name, key), value in found.items() if "audit_events" in name}
    assert events['event="logged_in"'] == 1
    assert events['event="log_in_failed"'] == 1
    assert events['event="log_in_throttled"'] == 2


def test_sessions_are_counted_when_they_open_are_renewed_and_end(
    service: Service, client: httpx.Client
) -> None:
    kept = bearer(new_token(client))
    tokens = [bearer_token_of(log_in(client, transport="bearer")) for _ in range(3)]
    age_sessions(service.database_url, days=2)
    execute(service.database_url, "UPDATE session SET authenticated_at = now()")
    client.get("/me", headers=kept)
    client.get("/me", headers=kept)
    client.post("/logout", headers=bearer(tokens[0]))
    client.delete("/sessions", headers=kept)
    found = samples(service)
    assert found["ostiary_sessions_opened_total", 'event="signed_up"'] == 1
    assert found["ostiary_sessions_opened_total", 'event="logged_in"'] == 3
    assert found["ostiary_sessions_renewed_total", ""] == 1
    assert found["ostiary_sessions_ended_total", 'event="logged_out"'] == 1
    assert found["ostiary_sessions_ended_total", 'event="other_sessions_revoked"'] == 2


def test_the_sessions_that_a_change_of_password_ends_are_counted(
    service: Service, client: httpx.Client
) -> None:
    kept = bearer(new_token(client))
    for _ in range(3):
        log_in(client, transport="bearer")
    change = {"current_password": PASSWORD, "new_password": "an entirely different one"}
    assert client.put("/me/password", json=change, headers=kept).status_code == 200
    assert sample(service, "ostiary_sessions_ended_total", 'event="password_changed"') == 3


def test_the_sessions_that_disabling_a_user_ends_are_counted(
    service: Service, client: httpx.Client
) -> None:
    user_id = sign_up(client, transport="bearer").json()["user"]["id"]
    log_in(client, transport="bearer")
    program = bearer(service_token(service.database_url, Scope.USERS_WRITE))
    disabled = client.patch(f"/admin/users/{user_id}", json={"disabled": True}, headers=program)
    assert disabled.status_code == 200
    assert sample(service, "ostiary_sessions_ended_total", 'event="user_disabled"') == 2


def test_the_session_that_a_reset_of_the_password_opens_and_those_that_it_ends_are_counted(
    service: Service, client: httpx.Client
) -> None:
    user_id = sign_up(client, transport="bearer").json()["user"]["id"]
    for _ in range(2):
        log_in(client, transport="bearer")
    program = bearer(service_token(service.database_url, Scope.USERS_RECOVER))
    made = client.post(
        f"/admin/users/{user_id}/password-reset", json={"deliver": "return"}, headers=program
    )
    assert confirm_reset(client, made.json()["token"]).status_code == 200
    found = samples(service)
    assert found["ostiary_sessions_opened_total", 'event="password_reset"'] == 1
    assert found["ostiary_sessions_ended_total", 'event="password_reset"'] == 3


def test_the_sessions_that_end_with_an_account_at_a_provider_are_counted(
    database_url: str, tmp_path: Path, provider: StubProvider
) -> None:
    environment = environment_for(provider)
    with (
        measured_service(database_url, tmp_path, **environment) as service,
        service.client() as client,
    ):
        app = App(client=client, provider=provider)
        session = session_of(app.sign_up("7"))
        linked = app.link(session, "8").json()
        for _ in range(2):
            assert app.log_in("8").status_code == 200
        removed = client.delete(f"/me/identities/{linked['id']}", headers=session)
        assert removed.status_code == 204
        assert sample(service, "ostiary_sessions_ended_total", 'event="identity_unlinked"') == 2


def test_expired_sessions_are_counted_when_they_are_deleted(
    database_url: str, tmp_path: Path
) -> None:
    with measured_service(database_url, tmp_path) as service, service.client() as client:
        sign_up(client, transport="bearer")
        log_in(client, transport="bearer")
        age_sessions(database_url, days=40)
    interval = {"OSTIARY_CLEANUP_INTERVAL": "1h"}
    with measured_service(database_url, tmp_path, **interval) as service:
        wait_until(database_url, "NOT EXISTS (SELECT FROM session)")
        labels = 'event="expired"'
        wait_for(lambda: sample(service, "ostiary_sessions_ended_total", labels) == 2, labels)


def test_the_waits_of_a_log_in_are_counted(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    before = samples(service)
    log_in(client)
    after = samples(service)
    for name in ("hash_wait_seconds", "hash_duration_seconds", "database_pool_wait_seconds"):
        key = f"ostiary_{name}_count", ""
        assert after[key] > before[key], name
    assert after["ostiary_hash_queue_length", ""] == 0


def test_look_ups_are_counted_by_the_size_of_their_batch(
    service: Service, client: httpx.Client
) -> None:
    token = new_token(client)
    for _ in range(5):
        assert client.get("/me", headers=bearer(token)).status_code == 200
    found = samples(service)
    assert found["ostiary_session_lookup_batch_size_count", ""] == 5
    assert found["ostiary_session_lookup_batch_size_bucket", 'le="1.0"'] == 5
    assert found["ostiary_session_lookup_duration_seconds_count", ""] == 5


def test_a_password_that_waits_is_in_the_queue(database_url: str, tmp_path: Path) -> None:
    slow = {
        "OSTIARY_HASH_PROCESSES": "1",
        "OSTIARY_HASH_QUEUE_TIMEOUT": "1s",
        "OSTIARY_LOG_LEVEL": "debug",
    }
    with (
        measured_service(database_url, tmp_path, **slow) as service,
        service.client() as client,
        ThreadPoolExecutor(4) as threads,
    ):
        # The start of the process may take longer than a password may wait, and the measurement
        # waits in the same queue.
        wait_for(lambda: sign_up(client).status_code == 201, "the hash process has started")
        wait_until_measured(service)
        before = sample(service, "ostiary_hashes_refused_total")
        hash_process = hash_process_of(service)
        hash_process.suspend()
        answers = [threads.submit(log_in, client, f"Bob{n}") for n in range(4)]
        wait_for(lambda: sample(service, "ostiary_hash_queue_length") == 3, "three wait")
        assert {each.result().status_code for each in answers} == {503}
        assert sample(service, "ostiary_hashes_refused_total") == before + 4
        assert sample(service, "ostiary_hash_queue_length") == 0
        hash_process.resume()


def test_a_password_that_had_its_turn_is_no_longer_in_the_queue(
    database_url: str, tmp_path: Path
) -> None:
    one = {"OSTIARY_HASH_PROCESSES": "1", "OSTIARY_LOG_LEVEL": "debug"}
    with (
        measured_service(database_url, tmp_path, **one) as service,
        service.client() as client,
        ThreadPoolExecutor(4) as threads,
    ):
        sign_up(client)
        wait_until_measured(service)
        hash_process = hash_process_of(service)
        hash_process.suspend()
        answers = [threads.submit(log_in, client, f"Bob{n}") for n in range(4)]
        wait_for(lambda: sample(service, "ostiary_hash_queue_length") == 3, "three wait")
        hash_process.resume()
        assert {each.result().status_code for each in answers} == {401}
        assert sample(service, "ostiary_hash_queue_length") == 0


def hash_process_of(service: Service) -> psutil.Process:
    """Return the hash process of a service that has one."""
    (hash_process,) = [
        each
        for each in service.process.children(recursive=True)
        if "service.auth.hashing.program" in each.cmdline()
    ]
    return hash_process


def test_without_the_setting_there_is_no_server_and_no_directory(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with running(database_url, tmp_path / "service.log") as service:
        processes = [service.process, *service.process.children(recursive=True)]
        ports = {
            each.laddr.port
            for process in processes
            for each in process.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN
        }
        assert ports == {httpx.URL(service.url).port}
    assert not list(tmp_path.glob("ostiary-metrics-*"))


def test_the_service_leaves_no_directory_behind(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with measured_service(database_url, tmp_path):
        (directory,) = tmp_path.glob("ostiary-metrics-*")
        assert directory.stat().st_mode & 0o777 == 0o700
    assert not directory.exists()


def test_a_port_that_is_in_use_is_told_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(metrics=MetricsSettings(port=port))
        with pytest.raises(CannotServe, match=f"Cannot listen on 127.0.0.1:{port}"):
            require_resources(settings)


def test_nothing_else_is_served(service: Service) -> None:
    for path in ("/", "/metrics/", "/me"):
        url = httpx.URL(service.metrics_url).copy_with(path=path)
        assert httpx.get(url, timeout=PATIENCE, verify=UNUSED_TLS).status_code == 404


def test_a_client_that_sends_nothing_does_not_hold_others_up(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(service.metrics_url).port or 0)):
        assert sample(service, "ostiary_workers_started_total") == 1


def test_every_metric_is_documented() -> None:
    document = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert metrics_table() in document


def test_the_dashboard_shows_metrics_that_exist() -> None:
    path = ROOT / "examples" / "grafana" / "ostiary.json"
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    expressions = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])
    ]
    assert expressions
    used = {name for each in expressions for name in re.findall(r"\bostiary_\w+", each)}
    exposed = {each.exposed_name for each in METRICS}
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in used} == exposed
