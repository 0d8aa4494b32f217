"""The report on mutants: a table of scores, and the survivors with their explanations."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

HEAD = """# Mutation testing

`make mutate` removes one thing at a time from the security-relevant code, such as a condition of a
statement, a lock, a guard or a `raise`, and runs the tests that are about it (statement deletion
and condition deletion: Deng, Offutt and Li, ICST 2013). A mutant that no test kills has survived: a
test is missing, or the removal makes no difference. The score is the share of killed mutants; a
mutant that keeps the tests from ending counts as killed, and a test that fails has to fail again by
itself. `python -m tests.mutation --all` also replaces operators, constants and names, which takes
twice as long.
"""

# Why some survivors need no test: a table for each, by module, place and mutation, as lines move.
EXPLANATIONS = Path(__file__).with_name("explanations.toml")


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant; ``killer`` is the test that failed, empty for a survivor."""

    module: str
    line: int
    place: str
    start: int
    mutation: str
    killer: str


def write(outcomes: Iterable[Outcome], made: int, path: Path) -> None:
    """Write the report, also to standard output."""
    text = report(outcomes, made, explanations())
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    sys.stdout.write(text)


def report(
    outcomes: Iterable[Outcome], made: int, explained: Mapping[tuple[str, str, str], str]
) -> str:
    """Return the report on the outcomes of ``made`` mutants, or of those that were tried."""
    ordered = sorted(outcomes, key=lambda outcome: (outcome.module, outcome.start))
    lines = [HEAD]
    if len(ordered) < made:
        lines.append(f"This run is not over: {len(ordered)} of {made} mutants were tried.\n")
    lines += ["| module | mutants | killed | survived | score |", "|---|--:|--:|--:|--:|"]
    for module, group in groupby(ordered, key=lambda outcome: outcome.module):
        lines.append(_scores(f"`{module}`", list(group)))
    lines.append(_scores("all", ordered))
    lines += [
        "",
        "## Survivors",
        "",
        "| where | in | mutation | explanation |",
        "|---|---|---|---|",
    ]
    for outcome in ordered:
        if not outcome.killer:
            where = f"{outcome.module}:{outcome.line}"
            what = outcome.mutation.replace("|", "\\|")
            why = explained.get((outcome.module, outcome.place, outcome.mutation), "")
            lines.append(f"| {where} | {outcome.place} | {what} | {why} |")
    return "\n".join(lines) + "\n"


def explanations() -> dict[tuple[str, str, str], str]:
    """Return the explanations by module, place and mutation."""
    survivors = tomllib.loads(EXPLANATIONS.read_text()).get("survivor", [])
    return {(s["module"], s["place"], s["mutation"]): s["explanation"] for s in survivors}


def _scores(name: str, outcomes: list[Outcome]) -> str:
    killed = sum(bool(outcome.killer) for outcome in outcomes)
    survived = len(outcomes) - killed
    return f"| {name} | {len(outcomes)} | {killed} | {survived} | {killed / len(outcomes):.0%} |"
