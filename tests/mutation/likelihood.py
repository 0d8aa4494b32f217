"""Which tests are likely to kill a mutant: those that killed others like it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

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

    def likelihoods(self, mutant: Mutant) -> Counter[str]:
        """Return the sum of the shares that each test has killed of those with a common trait."""
        found: Counter[str] = Counter()
        for trait in _traits(mutant.module, mutant.place, str(mutant)):
            killers = self._killers[trait]
            for test, times in killers.items():
                found[test] += times / killers.total()  # type: ignore[assignment]
        return found


def _traits(module: str, place: str, mutation: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[A-Za-z_]\w+", mutation)
    return {(module, place), (module,), *(("", "", word) for word in words)}
