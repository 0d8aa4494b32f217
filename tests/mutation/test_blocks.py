"""Which tests can kill a mutant is known by the blocks that they enter."""

from __future__ import annotations

import ast
import sys
from types import SimpleNamespace

import pytest

from tests.mutation import __main__ as tester
from tests.mutation.__main__ import REPOSITORY, SCOPE
from tests.mutation.blocks import blocks_of, constants_of, instrumented
from tests.mutation.likelihood import Kills
from tests.mutation.operators import Mutant, mutants_of
from tests.mutation.report import Outcome

SOURCE = '''
LIMIT = 3
TWICE = 2 * LIMIT

def f(x):
    """Return a number."""
    if x > TWICE:
        raise ValueError
    elif x < 0:
        for n in range(x):
            g(n)
    else:
        try:
            g(x)
        except KeyError:
            pass
        finally:
            h(x)
    return x

class A:
    def m(self):
        def inner():
            return LIMIT
        return inner()
'''


def mutant(text: str) -> Mutant:
    """Return the first mutant whose description has a text."""
    found = mutants_of("service/a.py", SOURCE.encode())
    return next(each for each in found if text in str(each))


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("`raise ValueError` → `pass`", {"f#1"}),
        ("`g(n)` → `pass`", {"f#3"}),
        ("`g(x)` → `pass`", {"f#5"}),
        ("`h(x)` → `pass`", {"f#6"}),
        ("`<` → `<=`", {"f#0"}),
        ("`3` → `(3 + 1)`", {"f#0", "A.m#0", "A.m.inner#0"}),
        ("`2` → `(2 + 1)`", {"f#0"}),
    ],
)
def test_a_mutant_is_in_a_block_or_in_those_that_use_its_constant(
    text: str, blocks: set[str]
) -> None:
    assert blocks_of(mutant(text), SOURCE, []) == blocks


@pytest.mark.parametrize(
    "other",
    ["from service.a import TWICE", "from service.a import (\n    A,\n    TWICE,\n)", "a.TWICE"],
)
def test_a_constant_that_other_modules_use_has_no_blocks(other: str) -> None:
    assert blocks_of(mutant("`3` → `(3 + 1)`"), SOURCE, [other]) == set()


def test_the_constant_of_another_module_is_another_one() -> None:
    others = ["TWICE = 4", '"""Do it TWICE."""']
    found = blocks_of(mutant("`3` → `(3 + 1)`"), SOURCE, others)
    assert found == {"f#0", "A.m#0", "A.m.inner#0"}


def test_the_constants_that_a_mutant_changes_are_known() -> None:
    assert constants_of(mutant("`3` → `(3 + 1)`"), SOURCE) == {"LIMIT", "TWICE"}
    assert constants_of(mutant("`raise ValueError` → `pass`"), SOURCE) == set()


def test_a_test_that_uses_the_constant_itself_is_run_though_it_enters_no_block_with_it() -> None:
    module = "service/storage/admin/pages.py"
    mutants = mutants_of(module, (REPOSITORY / module).read_bytes())
    changed = next(each for each in mutants if each.place == "LIST_NEWEST")
    uses_it, does_not = "tests/admin/test_pages.py::test_a", "tests/admin/test_users.py::test_b"
    enters = "tests/admin/test_scopes.py::test_c"
    seconds = dict.fromkeys((uses_it, does_not, enters), 1.0)
    tests = tester.Tests({"seconds": seconds, "entered": {f"{module}:list_newest#0": [enters]}})
    assert set(tests.of(changed, {})) == {uses_it, enters}


def test_each_block_that_is_entered_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[str] = []
    notes = SimpleNamespace(note=lambda block: entered.append(block.partition(":")[2]))
    monkeypatch.setitem(sys.modules, "tests.mutation.notes", notes)
    monkeypatch.setattr("tests.mutation.notes", notes, raising=False)
    module: dict[str, object] = {"g": lambda n: {}[n], "h": print}
    exec(instrumented(SOURCE, "service/a.py"), module)  # noqa: S102
    eval("f(4), A().m()", module)  # noqa: S307
    assert entered == ["f#0", "f#4", "f#5", "f#7", "f#6", "A.m#0", "A.m.inner#0"]


def test_every_module_in_the_scope_can_be_instrumented() -> None:
    for module in SCOPE["modules"]:
        ast.parse(instrumented((REPOSITORY / module).read_text(), module))


def test_what_killed_others_like_a_mutant_is_likely_to_kill_it() -> None:
    kills = Kills()
    for place, killer in (("f", "t::same"), ("other", "t::module"), ("other", "")):
        kills.note(Outcome("service/a.py", 1, place, 1, "unlike", killer))
    kills.note(Outcome("service/b.py", 1, "f", 1, "ValueError", "t::word"))
    found = kills.likelihoods(mutant("`raise ValueError`"))
    assert found["t::same"] > found["t::word"] > found["t::module"] > found["t::other"]
