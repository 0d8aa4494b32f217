"""When a process that died is started again."""

from __future__ import annotations

from service.backoff import HEALTHY_AFTER, Backoff


def test_each_death_in_a_row_is_waited_for_longer() -> None:
    backoff = Backoff()
    delays = [backoff.delay_after(lifetime=0.1) for _ in range(8)]
    assert delays == [0, 1, 2, 4, 8, 16, 30, 30]


def test_after_a_healthy_life_a_death_is_the_first_one() -> None:
    backoff = Backoff()
    for _ in range(3):
        backoff.delay_after(lifetime=0.1)
    assert backoff.delay_after(HEALTHY_AFTER) == 0
