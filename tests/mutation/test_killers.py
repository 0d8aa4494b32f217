"""A mutant is killed by a test that fails, and not by chance."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.mutation import __main__ as tester

TESTS = ["t.py::first", "t.py::second", "t.py::third"]


def killer(monkeypatch: pytest.MonkeyPatch, *runs: list[str]) -> tuple[str, list[list[str]]]:
    """Return the killer if the tests of each run fail like this, and which tests were run."""
    failures, ran = iter(runs), list[list[str]]()

    def run_tests(
        _: object, __: object, tests: Sequence[str], ___: object
    ) -> tuple[list[str], None]:
        ran.append(list(tests))
        return next(failures), None

    monkeypatch.setattr(tester, "_tree", None, raising=False)
    monkeypatch.setattr(tester, "run_tests", run_tests)
    return tester.killer_among(TESTS, {}), ran


def test_a_test_that_fails_again_by_itself_is_the_killer(monkeypatch: pytest.MonkeyPatch) -> None:
    found = killer(monkeypatch, ["t.py::second"], ["t.py::second"])
    assert found == ("t.py::second", [TESTS, ["t.py::second"]])


def test_a_test_that_failed_by_chance_is_none_and_the_others_are_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = killer(monkeypatch, ["t.py::second"], [], [])
    assert found == ("", [TESTS, ["t.py::second"], ["t.py::third"]])


def test_a_test_that_fails_after_one_that_failed_by_chance_is_the_killer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, _ = killer(monkeypatch, ["t.py::second"], [], ["t.py::third"], ["t.py::third"])
    assert found == "t.py::third"


def test_a_mutant_that_no_test_notices_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    assert killer(monkeypatch, []) == ("", [TESTS])


def test_what_keeps_tests_from_running_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert killer(monkeypatch, ["not importable"]) == ("not importable", [TESTS])
