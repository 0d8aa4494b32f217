"""The messages between the service and its hash processes, each a line of JSON."""

from __future__ import annotations

from msgspec import Struct


class Hash(Struct, frozen=True, tag=True):
    """Hash ``password``. The result is the hash."""

    password: str

    def __repr__(self) -> str:
        return "Hash(…)"


class Verify(Struct, frozen=True, tag=True):
    """Verify ``password_hash``. The result is a `Verification`.

    Any of ``forms`` may match an Argon2id hash; the first is the current form, if there is one.
    ``text`` is the password as it was typed, for legacy hashes.
    """

    password_hash: str
    forms: list[str]
    text: str

    def __repr__(self) -> str:
        return "Verify(…)"


class Verification(Struct, frozen=True, tag=True):
    """Whether the password matches the hash, and whether it should be hashed again."""

    matches: bool
    needs_rehash: bool = False


Job = Hash | Verify
Result = str | Verification
