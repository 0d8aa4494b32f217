"""Identifiers: what a person types to say who they are, a user name or an e-mail address."""

from __future__ import annotations

from typing import Self

from service.auth.email_addresses import name_of_address
from service.auth.usernames import ClaimedUsername


class Identifier:
    """A user name or an address that was typed, to log in for example.

    What has the form of an address is looked up as one first, and else as a user name: one with an
    ``@`` may have moved in from elsewhere. Text that can be neither is that of an unknown user.
    """

    __slots__ = ("address", "username")

    def __init__(self, username: str | None, address: str | None) -> None:
        self.username = username
        self.address = address

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an identifier. Raises `InvalidField` if it is empty or too long."""
        return cls(ClaimedUsername.parse(text).name, name_of_address(text))

    @property
    def name(self) -> str:
        """The form by which attempts are counted, which all spellings share."""
        return self.address or self.username or ""
