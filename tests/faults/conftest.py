from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from _pytest.terminal import TerminalReporter

from tests.faults.instances import Instance, NewInstance
from tests.faults.load import Load, UnderLoad
from tests.faults.rows import Row, table
from tests.faults.servers import OwnServer
from tests.faults.serving import require_no_traceback
from tests.services import reserved_port

# How many clients are at work in a test, unless it says otherwise.
CLIENTS = 10

# Where the table of the last run is left, for a closing note.
REPORT = Path(__file__).parents[2] / ".faults" / "report.md"


@pytest.fixture
def server(used_directory: Path) -> Iterator[OwnServer]:
    """Return a PostgreSQL server of the test's own, with an empty database."""
    server = OwnServer(used_directory)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def new_instance(server: OwnServer, tmp_path: Path) -> Iterator[NewInstance]:
    """Return a function that makes an instance of the service, with a port of its own.

    Its arguments are the settings, and `before`, a command that runs the service. Nothing of it is
    left after the test, and what it logs must hold no traceback.
    """
    with ExitStack() as stack:
        instances: list[Instance] = []

        def new(before: Sequence[str] = (), **settings: str) -> Instance:
            port = stack.enter_context(reserved_port())
            log = tmp_path / f"service-{len(instances)}.log"
            instance = Instance(server.url, port, log, before, **settings)
            instances.append(instance)
            stack.callback(instance.clean_up)
            return instance

        yield new
    for instance in instances:
        require_no_traceback(instance.log)


@pytest.fixture
def under_load(record_property: Callable[[str, object], None]) -> UnderLoad:
    """Return a context manager that keeps clients at work.

    Its arguments are the fault, the URLs that the clients use, `connections_end` where the clients'
    connections cannot outlive the fault, `begins_with_it` where nothing works before the fault is
    over, and their number. The body starts when all are at work; after it they go on until they
    succeed again, then what was acknowledged is checked, the figures are recorded, and the bounds
    asserted.
    """

    @contextmanager
    def work(
        fault: str,
        *urls: str,
        connections_end: bool = False,
        begins_with_it: bool = False,
        clients: int = CLIENTS,
    ) -> Iterator[Load]:
        load = Load(urls, clients)
        try:
            load.start()
            if not begins_with_it:
                load.wait_until_at_work()
            yield load
            load.wait_until_recovered()
        finally:
            load.stop()
        row = load.row(fault)
        record_property("fault", msgspec.to_builtins(row))
        row.require_bounds(connections_end=connections_end)

    return work


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the figures of all faults, and keep them."""
    reports: list[Any] = [each for found in terminalreporter.stats.values() for each in found]
    rows = [
        msgspec.convert(value, Row)
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == "fault"
    ]
    if not rows:
        return
    terminalreporter.section("Faults")
    terminalreporter.write_line(table(rows))
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(table(rows) + "\n")
