"""A mailbox: an address, perhaps with a name (RFC 5322, section 3.4)."""

from __future__ import annotations

import re
from typing import Self

from msgspec import Struct

# Of the address what every server takes: an ASCII local part of dot-atoms, a domain of A-labels.
_FORM = re.compile(
    r"(?:(?P<name>[^<>\"\\,;:@]{1,64}) <)?"
    r"(?P<local>[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64})@(?P<domain>[A-Za-z0-9.-]{1,253})(?(name)>)"
)


class Mailbox(Struct, frozen=True):
    """An address, and the name that is shown for it."""

    name: str
    local: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``Name <local@domain>`` or ``local@domain``. Raises `ValueError`."""
        match = _FORM.fullmatch(text)
        if match is None or not text.isprintable():
            raise ValueError(
                "must look like no-reply@example.com or Example <no-reply@example.com>, with a "
                "domain in ASCII (xn--…)"
            )
        return cls((match["name"] or "").strip(), match["local"], match["domain"].lower())

    @property
    def address(self) -> str:
        """The address alone."""
        return f"{self.local}@{self.domain}"

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address
