"""The messages between the service and its hash processes, each a line of JSON."""

from __future__ import annotations

from msgspec import Struct


class Hash(Struct, frozen=True, tag=True):
    """Hash ``password``. The result is `Hashed`."""

    password: str

    def __repr__(self) -> str:
        return "Hash(…)"


class Verify(Struct, frozen=True, tag=True, kw_only=True):
    """Verify ``password_hash``. The result is `Verified`.

    ``forms`` are the strings an Argon2id hash may be made of; ``prepared`` is the one of them that
    new hashes are made of, if there is one, and ``text`` the password as it was typed. With
    ``renew``, a hash that matches is replaced if it is not of the current scheme.
    """

    password_hash: str
    forms: list[str]
    prepared: str | None
    text: str
    renew: bool

    def __repr__(self) -> str:
        return "Verify(…)"


class Hashed(Struct, frozen=True, tag=True):
    """A new hash."""

    password_hash: str

    def __repr__(self) -> str:
        return "Hashed(…)"


class Verified(Struct, frozen=True, tag=True):
    """Whether the password matches the hash, and the hash that is to replace it."""

    matches: bool
    new_hash: str | None = None

    def __repr__(self) -> str:
        return "Verified(…)"


class Failed(Struct, frozen=True, tag=True):
    """No hash could be made, for want of memory for example."""

    reason: str


Job = Hash | Verify
Result = Hashed | Verified | Failed
