"""Log-ins that wait for a second factor."""

from __future__ import annotations

from service.model.challenges import ChallengeData
from service.model.sessions import Transport
from service.model.users import PasswordHash


class PendingLogIn(ChallengeData, frozen=True, kw_only=True):
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
