"""CBOR as authenticators write it (CTAP 2.1, section 8): without tags and indefinite lengths.

To be checked before ``webauthn`` decodes it. ``cbor2`` (6.3) follows tags, one of which refers to
an earlier item (28 and 29, value sharing); ``webauthn`` (3.0) encodes what it has decoded, before
it checks any signature. So 280 bytes, in which each of 22 items contains the one before twice, take
seconds and gigabytes.
"""

from __future__ import annotations

# Authenticators nest four levels (CTAP 2.1, section 8), clients put some around them.
MAX_DEPTH = 8

# Major types (RFC 8949, section 3.1).
_BYTES, _TEXT, _ARRAY, _MAP, _TAG = 2, 3, 4, 5, 6

# Up to 23, the argument is in the first byte; from 24 on, in the next 1, 2, 4 or 8 bytes.
_FIRST_LONG, _LAST_LONG = 24, 27

# Where attested credential data begin and where their credential id does, and the flag for them
# (Web Authentication, section 6.1).
_ATTESTED, _CREDENTIAL_ID = 37, 55
_FLAGS, _HAS_ATTESTED = 32, 0x40


def check_plain_cbor(data: bytes) -> None:
    """Raise `ValueError` unless some bytes are one plain item."""
    if _end_of_item(data, 0, MAX_DEPTH) != len(data):
        raise ValueError("CBOR is followed by something else")


def check_authenticator_data(data: bytes) -> None:
    """Raise `ValueError` unless what is CBOR in authenticator data is plain: key and extensions."""
    at = _ATTESTED
    if len(data) > _ATTESTED and data[_FLAGS] & _HAS_ATTESTED:
        at = _CREDENTIAL_ID + int.from_bytes(data[_CREDENTIAL_ID - 2 : _CREDENTIAL_ID])
    while at < len(data):
        at = _end_of_item(data, at, MAX_DEPTH)


def _end_of_item(data: bytes, start: int, depth: int) -> int:
    """Return where the item that begins at ``start`` ends. Raises `ValueError`."""
    major, argument, at = _head(data, start)
    if major == _TAG:
        raise ValueError("CBOR has a tag")
    if major in {_BYTES, _TEXT}:
        # Beyond the end, ``cbor2`` finds it cut off.
        at += argument
    if major in {_ARRAY, _MAP}:
        if depth == 0:
            raise ValueError("CBOR is nested too deeply")
        for _ in range(argument * (2 if major == _MAP else 1)):
            at = _end_of_item(data, at, depth - 1)
    return at


def _head(data: bytes, start: int) -> tuple[int, int, int]:
    """Return an item's major type, its argument and where that ends. Raises `ValueError`."""
    if start >= len(data):
        raise ValueError("CBOR is cut off")
    major, info = divmod(data[start], 32)
    if info < _FIRST_LONG:
        return major, info, start + 1
    if info > _LAST_LONG:
        raise ValueError("CBOR has an indefinite length")
    end = start + 1 + (1 << (info - _FIRST_LONG))
    return major, int.from_bytes(data[start + 1 : end]), end
