"""Several instances migrate one database at once, and others serve meanwhile."""

from __future__ import annotations

from pathlib import Path
from subprocess import PIPE, STDOUT, Popen

from service.storage.schema import revisions
from tests.cli.running import OSTIARY, run
from tests.cli.running import environment as command_environment
from tests.databases import fetch_value
from tests.faults.load import UnderLoad
from tests.faults.servers import OwnServer
from tests.faults.serving import environment, serving
from tests.services import PATIENCE


def migrate_twice_at_once(url: str) -> None:
    """Run ``ostiary migrate`` on two machines, as it were."""
    command = [*OSTIARY, "migrate"]
    variables = command_environment(**environment(url))
    processes = [Popen(command, env=variables, stdout=PIPE, stderr=STDOUT) for _ in range(2)]
    outputs = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert fetch_value(url, "SELECT version_num FROM alembic_version") == revisions()[-1]


def test_two_instances_migrate_an_empty_database_at_once(server: OwnServer) -> None:
    migrate_twice_at_once(server.url)


def test_two_instances_migrate_an_older_schema_at_once_while_another_one_serves(
    server: OwnServer, under_load: UnderLoad, tmp_path: Path
) -> None:
    """The third one is too new for the schema until then: what needs the new columns is 503."""
    with (
        serving(server.url, tmp_path / "service.log") as service,
        under_load("schema of an older version, two instances migrate", service.url) as load,
    ):
        older = run("migrate", "--to", revisions()[0], **environment(server.url))
        assert older.returncode == 0, older.stderr
        load.go_on(1)
        migrate_twice_at_once(server.url)
        load.fault_is_over()
    assert "503 schema_behind" in load.failures("POST")
