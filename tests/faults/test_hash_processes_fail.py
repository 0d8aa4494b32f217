"""Hash processes are killed, and hang."""

from __future__ import annotations

import signal
from contextlib import suppress
from time import monotonic

import psutil

from tests.faults.instances import NewInstance
from tests.faults.load import UnderLoad
from tests.services import wait_for

HASH_PROCESSES = 2


def test_hash_processes_are_killed_in_a_loop(
    new_instance: NewInstance, under_load: UnderLoad
) -> None:
    """Jobs wait while processes start, and are tried again; what needs no hash goes on."""
    instance = new_instance()
    instance.start()
    with under_load("hash processes killed with -9 in a loop for 4 s", instance.url) as load:
        killed, until = set(), monotonic() + 4
        while monotonic() < until:
            for process in instance.hash_processes():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
                killed.add(process.pid)
            load.go_on(0.2)
        load.fault_is_over()
    assert len(killed) > 2 * HASH_PROCESSES
    assert load.failures("GET") == {}
    assert len(instance.hash_processes()) <= HASH_PROCESSES
    instance.stop()


def test_a_hash_process_hangs(new_instance: NewInstance, under_load: UnderLoad) -> None:
    """It is replaced after `OSTIARY_HASH_TIME_LIMIT`."""
    instance = new_instance()
    instance.start()
    with under_load("a hash process stopped (SIGSTOP) until it is killed", instance.url) as load:
        hanging = instance.hash_processes()[0]
        hanging.send_signal(signal.SIGSTOP)
        wait_for(lambda: not hanging.is_running(), "the service has killed it")
        load.fault_is_over()
    assert load.failures("GET") == {}
    assert set(load.failures()) <= {"503 overloaded"}
    instance.stop()


def test_the_service_stops_although_all_hash_processes_hang(
    new_instance: NewInstance, under_load: UnderLoad
) -> None:
    instance = new_instance()
    instance.start()
    with under_load(
        "all hash processes stopped (SIGSTOP), service restarted",
        instance.url,
        connections_end=True,
    ) as load:
        for process in instance.hash_processes():
            process.send_signal(signal.SIGSTOP)
        load.go_on(1)
        instance.stop()
        instance.start()
        load.fault_is_over()
    instance.stop()
