"""The mutants that matter most are made, and none of what no test is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.operators import mutants_of
from tests.mutation.report import Outcome, explanations, report

REPOSITORY = Path(__file__).parents[2]


def mutants(source: str) -> set[str]:
    """Return the descriptions of the mutants of a module."""
    return {str(mutant) for mutant in mutants_of("service/module.py", source.encode())}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("S = select(t).where(a, b)", ["without `.where(a, b)`", "without `a,`", "without `, b`"]),
        ("S = s.with_for_update(read=True)", ["without `.with_for_update(read=True)`"]),
        ("S = s.with_for_update(read=True)", ["without `read=True`"]),
        ("S = text('SELECT x FROM t WHERE a AND b')", ["`a` → `true`", "without `AND b`"]),
        ("S = text('SELECT x FROM t FOR UPDATE')", ["without `FOR UPDATE`"]),
        ("S = text(f'DELETE FROM t WHERE {a} <= 1')", ["`<=` → `<`", "`{a} <= 1` → `true`"]),
        ("def f():\n    require(x)\n    g()", ["`require(x)` → `pass`", "`g()` → `pass`"]),
        ("def f():\n    if x:\n        raise E", ["`raise E` → `pass`", "`x` → `(not (x))`"]),
        ("async def f():\n    await g()", ["`await g()` → `pass`"]),
        ("if a and not b: c", ["without `a and`", "without `and not b`", "`not b` → `b`"]),
        ("with guard(): pass", ['`guard()` → `__import__("contextlib").nullcontext()`']),
        ("f(x, hidden=True)", ["without `hidden=True`", "`True` → `False`"]),
        ("x = n + 1", ["`+` → `-`", "`1` → `(1 + 1)`"]),
        ("x = {'a', 'b'}", ["without `'a',`", "without `, 'b'`", "`'a'` → `'a~'`"]),
    ],
)
def test_what_matters_is_changed(source: str, expected: list[str]) -> None:
    assert mutants(source) >= set(expected)


@pytest.mark.parametrize(
    "source",
    [
        '"""SELECT nothing WHERE documented."""',
        "def f(x: int | None = None) -> str | None: ...",
        "class A:\n    def __repr__(self) -> str:\n        return 'A(...)'",
        "log.info('done', times=1)",
        "__all__ = ['a', 'b']",
        "X: TypeAlias = int | str",
        "m = 'Password must not be empty.'",
    ],
)
def test_what_no_test_is_about_is_left_alone(source: str) -> None:
    assert mutants(source) == set()


def test_every_mutant_differs_from_the_module_and_from_the_others() -> None:
    source = b"x = a == b and c == d\nwith f(): g(1, h=2)\n"
    texts = [mutant.apply(source) for mutant in mutants_of("service/module.py", source)]
    assert len({source, *texts}) == len(texts) + 1


def test_a_survivor_is_reported_with_its_explanation() -> None:
    survivor = Outcome("service/a.py", 7, "f", 90, "`a | b` → `a`", "")
    explained = {("service/a.py", "f", "`a | b` → `a`"): "It is faster."}
    text = report([survivor], 1, explained)
    assert r"| service/a.py:7 | f | `a \| b` → `a` | It is faster. |" in text.splitlines()
    assert "It is faster." not in report([survivor], 1, {})


def test_every_explanation_is_of_a_mutant_that_is_made() -> None:
    explained = set(explanations())
    modules = {module for module, _, _ in explained}
    made = {
        (module, mutant.place, str(mutant))
        for module in modules
        for mutant in mutants_of(module, (REPOSITORY / module).read_bytes())
    }
    assert explained - made == set()
