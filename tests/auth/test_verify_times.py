"""The verification times that are kept."""

from __future__ import annotations

from service.auth.hashing.verify_times import KEPT_TIMES, VerifyTimes


def test_only_the_last_times_of_a_scheme_count() -> None:
    times = VerifyTimes()
    for seconds in (*[9.0] * 1000, *[1.0] * KEPT_TIMES):
        times.keep("scheme", seconds)
    assert times.p90 == times.expected("scheme") == 1.0
