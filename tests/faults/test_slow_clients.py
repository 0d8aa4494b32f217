"""Clients that are slow, or say nothing, beside others that are not."""

from __future__ import annotations

from contextlib import ExitStack, closing

from tests.faults.crowds import HALF_A_HEAD, MUCH, Crowd
from tests.faults.instances import Instance, NewInstance
from tests.faults.load import UnderLoad
from tests.services import wait_for

NUMBER = 100


def open_files(instance: Instance) -> int:
    return sum(each.num_fds() for each in instance.workers())


def test_slow_clients_harm_nobody_else(new_instance: NewInstance, under_load: UnderLoad) -> None:
    instance = new_instance(OSTIARY_CLIENT_TIMEOUT="5s")
    instance.start()
    files = open_files(instance)
    with (
        under_load(
            f"{NUMBER} silent clients, {NUMBER} with half a head, {NUMBER} that do not read",
            instance.url,
        ) as load,
        closing(Crowd(instance.url, NUMBER, MUCH)) as not_reading,
        ExitStack() as stack,
    ):
        crowds = [
            stack.enter_context(closing(Crowd(instance.url, NUMBER, sent)))
            for sent in (b"", HALF_A_HEAD)
        ]

        def were_all_closed() -> bool:
            for crowd in (*crowds, not_reading):
                crowd.keep_up()
            return min(crowd.opened for crowd in crowds) >= 2 * NUMBER

        wait_for(were_all_closed, "silent clients were disconnected, and came again")
        stack.close()
        # Clients that do not read are not told.
        wait_for(
            lambda: open_files(instance) < files + NUMBER / 2,
            "the connections of those that do not read are closed",
        )
    assert load.failures() == {}
    instance.stop()
