"""Known devices: browsers and apps on which a user has logged in before."""

from __future__ import annotations


class DeviceHash(bytes):
    """The SHA-256 of a device token. Its ``repr`` hides it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "DeviceHash(…)"
