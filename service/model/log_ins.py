"""Log-ins that wait for a second factor."""

from __future__ import annotations

from typing import Any, Self

import msgspec
from msgspec import Struct

from service.model.sessions import Transport
from service.model.users import PasswordHash


class PendingLogIn(Struct, frozen=True, kw_only=True):
    """A log-in that waits for its second factor, to go on as it began.

    ``method`` was the first proof. ``device_hash`` is that of the device token that was presented.
    ``address`` is the IP address where it began. ``new_hash`` is of the password that a reset sets.
    """

    method: str
    transport: Transport
    device_name: str | None = None
    device_hash: bytes | None = None
    is_known_device: bool = False
    address: str | None = None
    new_hash: PasswordHash | None = None

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Self:
        """Return the log-in that is the ``data`` of a challenge."""
        return msgspec.convert(data, cls)

    def as_json(self) -> dict[str, Any]:
        """Return it as the ``data`` of a challenge."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data
