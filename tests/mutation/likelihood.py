"""Which tests are likely to kill a mutant: those that killed others like it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping

from tests.mutation.operators import Mutant
from tests.mutation.report import Outcome


class Kills:
    """What killed earlier mutants, by what these had in common: function, module and words."""

    def __init__(self) -> None:
        self._killers: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)

    def note(self, outcome: Outcome) -> None:
        """Remember what became of a mutant."""
        for trait in _traits(outcome.module, outcome.place, outcome.mutation):
            self._killers[trait][outcome.killer] += 1

    def likelihoods(self, mutant: Mutant) -> Mapping[str, float]:
        """Return a number for each test that has killed, higher for a likelier killer.

        For each trait of the mutant a test has its share of the outcomes with that trait.
        """
        found: dict[str, float] = defaultdict(float)
        for trait in _traits(mutant.module, mutant.place, str(mutant)):
            killers = self._killers[trait]
            for test, times in killers.items():
                found[test] += times / killers.total()
        return found


def _traits(module: str, place: str, mutation: str) -> set[tuple[str, ...]]:
    # Each mutant that is cut out is described by the word "without".
    words = {*re.findall(r"[A-Za-z_]\w+", mutation)} - {"without"}
    return {("function", module, place), ("module", module), *(("word", word) for word in words)}
