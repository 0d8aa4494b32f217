"""Growth is found, and what is no growth is not taken for it."""

from __future__ import annotations

from collections.abc import Callable

from tests.soak.samples import ProcessSample, Sample, growths

NUMBER = 100

MAX_CONNECTIONS = 12


def samples(
    memory: Callable[[int], float],
    files: Callable[[int], int] = lambda _: 50,
    connections: Callable[[int], int] = lambda _: 10,
) -> list[Sample]:
    """Return the samples of a worker; what it occupies depends on their number."""
    return [
        Sample(
            second=number,
            connections=connections(number),
            processes=[
                ProcessSample(
                    second=number,
                    role="worker",
                    pid=1,
                    rss=2 * memory(number),
                    pss=memory(number),
                    files=files(number),
                )
            ],
        )
        for number in range(NUMBER)
    ]


def grown(found: list[Sample]) -> list[str]:
    return [each.figure for each in growths(found, MAX_CONNECTIONS) if not each.is_allowed]


def test_what_grows_until_it_is_warm_and_peaks_now_and_then_does_not_grow() -> None:
    peaks = samples(
        lambda number: min(100 + 5 * number, 200) + 30 * (number % 7 == 0),
        connections=lambda number: min(1 + number // 10, MAX_CONNECTIONS),
    )
    assert grown(peaks) == []


def test_a_leak_is_found_in_all_and_in_its_process() -> None:
    leak = samples(lambda number: 100 + 0.2 * number)
    assert grown(leak) == ["memory of all processes (PSS), MiB", "memory of worker 1 (PSS), MiB"]


def test_growing_files_and_connections_are_found() -> None:
    leak = samples(lambda _: 100, lambda number: 50 + number, lambda number: 10 + number // 20)
    assert grown(leak) == ["open files of all processes", "connections to PostgreSQL"]
