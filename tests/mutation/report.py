"""The report on mutants: a table of scores, and the survivors with their explanations."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

HEAD = """# Mutation testing

`make mutate` changes the code in one small way at a time and runs the tests that are about it. A
mutant that no test notices has survived: a test is missing, or the change makes no difference. The
score is the share of killed mutants; a mutant that keeps the tests from ending counts as killed.
"""


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
    """Write the report, also to standard output. Explanations that are there already are kept."""
    explanations = _explanations(path.read_text()) if path.exists() else {}
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
            explanation = explanations.get((outcome.module, outcome.place, what), "")
            lines.append(f"| {where} | {outcome.place} | {what} | {explanation} |")
    text = "\n".join(lines) + "\n"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    sys.stdout.write(text)


def _scores(name: str, outcomes: list[Outcome]) -> str:
    killed = sum(bool(outcome.killer) for outcome in outcomes)
    survived = len(outcomes) - killed
    return f"| {name} | {len(outcomes)} | {killed} | {survived} | {killed / len(outcomes):.0%} |"


def _explanations(text: str) -> dict[tuple[str, str, str], str]:
    """By module, place and mutation: lines move."""
    found = {}
    for line in text.partition("## Survivors")[2].splitlines():
        cells = [cell.strip() for cell in line.replace("\\|", "\0").strip("|").split("|")]
        if len(cells) == 4:
            where, place, what, explanation = cells
            found[where.rpartition(":")[0], place, what.replace("\0", "\\|")] = explanation
    return found
