"""Names under which the service is reached, as in the header ``Host``."""

from __future__ import annotations

import re
from typing import Self

_NAME = re.compile(r"\*|(\*\.)?[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")


class HostNames(frozenset[str]):
    """Host names without ports, separated by commas: ``*.example.com`` is every host below it.

    ``*`` is any host.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of host names. Raises `ValueError`."""
        names = [part.strip().lower().removesuffix(".") for part in text.split(",")]
        for name in filter(None, names):
            if _NAME.fullmatch(name) is None:
                raise ValueError(
                    f"{name!r} is not a host name: no scheme, no port, in ASCII; "
                    "IP addresses are always allowed"
                )
        return cls(filter(None, names))

    def include(self, name: str) -> bool:
        """Return whether a name, in lower case, is one of these."""
        if "*" in self or name in self:
            return True
        labels = name.split(".")
        return any("*." + ".".join(labels[n:]) in self for n in range(1, len(labels)))

    def __str__(self) -> str:
        return ",".join(sorted(self))
