"""The limit of open files: too low for the service, and reached by its clients."""

from __future__ import annotations

import re
from contextlib import closing

from service.server.open_files import raise_limit
from tests.faults.crowds import Crowd
from tests.faults.instances import NewInstance
from tests.faults.load import UnderLoad
from tests.services import wait_for

# For the client, whose connections are files too.
THOUSANDS = min(3000, raise_limit() - 1000)

# More than a worker needs at least, and much less than the clients.
LIMIT = 500


def limited(number: int) -> list[str]:
    """Return the command that runs another one with a limit of open files."""
    return ["prlimit", f"--nofile={number}:{number}"]


def test_too_low_a_limit_is_told_at_the_start(new_instance: NewInstance) -> None:
    instance = new_instance(limited(64))
    instance.begin_to_start()
    assert instance.wait() == 1
    assert re.match(r"The limit of open files is 64, but a worker needs", instance.log.read_text())


def test_thousands_of_silent_connections_reach_the_limit(
    new_instance: NewInstance, under_load: UnderLoad
) -> None:
    """Those that were connected before go on, and workers have files left for all else."""
    instance = new_instance(limited(LIMIT))
    instance.start()
    with (
        under_load(
            f"limit of {LIMIT} open files reached by {THOUSANDS:,} silent connections",
            instance.url,
        ) as load,
        closing(Crowd(instance.url, THOUSANDS)) as crowd,
    ):
        wait_for(
            lambda: max(each.num_fds() for each in instance.workers()) > LIMIT * 0.7,
            "a worker has as many connections as it may",
        )
        # They are closed after `OSTIARY_HEAD_TIMEOUT`, and opened again.
        for _ in range(80):
            crowd.keep_up()
            load.go_on(0.1)
            assert max(each.num_fds() for each in instance.workers()) < LIMIT
    assert crowd.opened > THOUSANDS
    assert load.failures() == {}
    assert "Too many open files" not in instance.log.read_text()
    instance.stop()
