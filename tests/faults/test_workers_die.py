"""Processes of the service are killed: workers, the supervisor."""

from __future__ import annotations

from tests.faults.instances import NewInstance, require_ended
from tests.faults.load import UnderLoad
from tests.services import wait_for

WORKERS = 2

DEATHS = 6


def test_workers_are_killed_again_and_again(
    new_instance: NewInstance, under_load: UnderLoad
) -> None:
    """The other worker serves meanwhile, and no hash process outlives its worker."""
    instance = new_instance()
    instance.start()
    with under_load(
        f"worker killed with -9, {DEATHS} times", instance.url, connections_end=True
    ) as load:
        killed = []
        for _ in range(DEATHS):
            wait_for(lambda: len(instance.workers()) == WORKERS, "all workers run")
            oldest = instance.workers()[0]
            killed += [oldest, *oldest.children()]
            oldest.kill()
            load.go_on(0.5)
        load.fault_is_over()
    require_ended(killed)
    wait_for(lambda: len(instance.workers()) == WORKERS, "all workers run")
    assert instance.log.read_text().count('"worker_died"') == DEATHS
    instance.stop()


def test_the_supervisor_is_killed_and_the_service_started_again(
    new_instance: NewInstance, under_load: UnderLoad
) -> None:
    """Its workers end by themselves, and then the port is free."""
    instance = new_instance()
    instance.start()
    with under_load(
        "supervisor killed with -9, service started again", instance.url, connections_end=True
    ) as load:
        family = instance.family()
        instance.kill()
        require_ended(family)
        instance.start()
        load.fault_is_over()
    instance.stop()


def test_the_service_is_restarted(new_instance: NewInstance, under_load: UnderLoad) -> None:
    """Requests that have begun are answered; there is no other instance to take new ones."""
    instance = new_instance()
    instance.start()
    with under_load(
        "service stopped and started again", instance.url, connections_end=True
    ) as load:
        instance.stop()
        instance.start()
        load.fault_is_over()
    instance.stop()
