"""The scope of the mutation tests leaves nothing out that matters to security."""

from __future__ import annotations

from pathlib import Path

from tests.mutation.__main__ import SCOPE, changed_since, still_known
from tests.mutation.__main__ import tests_of as files_about

REPOSITORY = Path(__file__).parents[2]

# Where all code has to be in the scope, and what of the statements.
WHOLE = ("service/auth", "service/api/security")
STATEMENTS = (
    *("session*.py", "users.py", "keys.py", "rate_limits.py", "log_in_attempts.py"),
    *("factors/*.py", "ways_in.py"),
    *("challenges.py", "emails.py", "password_resets.py", "devices.py", "username_holds.py"),
)


def paths(patterns: dict[str, tuple[str, ...]]) -> set[str]:
    return {
        str(path.relative_to(REPOSITORY))
        for room, names in patterns.items()
        for name in names
        for path in (REPOSITORY / room).rglob(name)
        if path.name != "__init__.py"
    }


def test_the_rules_the_guards_and_their_statements_are_in_the_scope() -> None:
    expected = paths({**dict.fromkeys(WHOLE, ("*.py",)), "service/storage": STATEMENTS})
    assert expected - SCOPE["modules"].keys() == set()


def test_the_scope_has_paths_that_exist() -> None:
    modules: dict[str, list[str]] = SCOPE["modules"]
    named = {*modules, *SCOPE["elsewhere"], *(test for tests in modules.values() for test in tests)}
    assert [path for path in named if not (REPOSITORY / path).exists()] == []
    assert [module for module in modules if not files_about(module)] == []


def test_a_test_file_is_measured_again_only_if_it_or_its_module_has_changed() -> None:
    modules = ["service/auth/tokens.py"]
    measured = changed_since({}, modules)
    assert "tests/storage/test_other_users.py" in measured
    assert "tests/auth/test_tokens.py" in measured
    assert changed_since(measured, modules) == {}
    before = {**measured, "tests/auth/test_tokens.py": "of what it was"}
    assert list(changed_since(before, modules)) == ["tests/auth/test_tokens.py"]


def test_what_tests_enter_in_a_module_that_has_changed_is_not_known() -> None:
    """The blocks of a function are numbered: another one may have the number."""
    seconds = {"a.py::one": 1.0, "b.py::two": 2.0}
    entered = {block: [*seconds, "-"] for block in ("same.py:f#0", "other.py:f#1")}
    before = {"seconds": seconds, "entered": entered}
    taken, known = still_known(before, changed={"b.py"}, same={"same.py"})
    assert taken == {"a.py::one": 1.0}
    assert known == {"same.py:f#0": {"a.py::one", "-"}}


def test_no_test_file_is_named_twice_for_a_module() -> None:
    modules: dict[str, list[str]] = SCOPE["modules"]
    assert [name for name, tests in modules.items() if len(tests) != len(set(tests))] == []
