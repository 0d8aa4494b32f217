"""A changed schema, and whom the change could surprise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from tests.compatibility.document import Object


class Sender(Enum):
    """Who sends a value."""

    CLIENT = "client"
    SERVICE = "service"


@dataclass(frozen=True)
class Change:
    """A schema before and after, with the place where it is used."""

    old: Object
    new: Object
    place: str
    sender: Sender

    @property
    def narrow(self) -> Object:
        """The schema of what is sent. The other one has to permit all that it permits."""
        return self.old if self.sender is Sender.CLIENT else self.new

    @property
    def wide(self) -> Object:
        """The schema that the receiver knows."""
        return self.new if self.sender is Sender.CLIENT else self.old

    @property
    def what_is_wrong(self) -> str:
        """What the receiver has against a value that it does not know."""
        return "no longer permitted" if self.sender is Sender.CLIENT else "new"

    def of(self, narrow: Object, wide: Object, place: str = "") -> Change:
        """Return the change of a part of the schema."""
        old, new = (narrow, wide) if self.sender is Sender.CLIENT else (wide, narrow)
        return replace(self, old=old, new=new, place=self.place + place)
