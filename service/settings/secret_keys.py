"""The secret keys of the service: how they are written in the environment."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from typing import Self

from msgspec import Struct

# Bytes of a secret key.
LENGTH = 32

_ID = re.compile(r"[a-z0-9-]{1,32}")


class SecretKey(Struct, frozen=True):
    """A secret key and the id that is stored beside what depends on it. Its ``repr`` hides it."""

    id: str
    secret: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``id:base64``. Raises `ValueError`, whose message does not show the secret."""
        key_id, separator, encoded = text.partition(":")
        if not separator or _ID.fullmatch(key_id) is None:
            raise ValueError(
                "each key must look like id:base64, with an id of at most 32 of a-z, 0-9 and -"
            )
        try:
            secret = b64decode(encoded, validate=True)
        except Error:
            raise ValueError(f"the key {key_id} is not base64") from None
        if len(secret) != LENGTH:
            raise ValueError(f"the key {key_id} has {len(secret)} bytes instead of {LENGTH}")
        return cls(key_id, secret)

    def write(self) -> str:
        """Return the key as `parse` reads it: the only text that shows it."""
        return f"{self.id}:{b64encode(self.secret).decode()}"

    def __repr__(self) -> str:
        return f"SecretKey({self.id})"


class SecretKeys(tuple[SecretKey, ...]):
    """Secret keys ``id:base64``, separated by commas, newest first. Its text form hides them."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of keys. Raises `ValueError`."""
        keys = cls(SecretKey.parse(part.strip()) for part in text.split(","))
        ids = [key.id for key in keys]
        if twice := next((each for each in ids if ids.count(each) > 1), None):
            raise ValueError(f"there are two keys with the id {twice}")
        return keys

    def __str__(self) -> str:
        return ",".join(f"{key.id}:…" for key in self)
