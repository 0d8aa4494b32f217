"""Public keys of passkeys (COSE, RFC 9052 and 9053): which ones are accepted.

Each is loaded before it is stored: ``webauthn`` (3.0) only finds out at the next log-in that a key
cannot be used, when it is too late. Ed25519 is not offered: whatever makes such keys makes keys on
P-256 too, and ``cryptography`` (50) loads those for which anybody can sign.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from webauthn.helpers import parse_cbor
from webauthn.helpers.cose import COSEAlgorithmIdentifier

# ES256 and RS256, by preference: what is offered, and nothing else is accepted.
ALGORITHMS = [
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]

# Key type, algorithm and curve, by their labels (RFC 9053, section 7.1; RFC 8230, section 4).
_ES256 = {1: 2, 3: -7, -1: 1}
_RS256 = {1: 3, 3: -257}
# The labels of a point's coordinates, and of an RSA modulus and its exponent.
_X, _Y = -2, -3
_N, _E = -1, -2

_COORDINATE_BYTES = 32

# Bits of an RSA modulus (NIST SP 800-131A, and what a signature may cost).
_MIN_MODULUS, _MAX_MODULUS = 2048, 8192
# The exponents of a TPM have 32 bits.
_MAX_EXPONENT = 2**32 - 1


def check_public_key(encoded: bytes) -> None:
    """Raise an exception of any type unless a COSE key can verify signatures.

    It has the members that its type needs, each in its one form, and no others (Web Authentication,
    section 6.5.1).
    """
    key = parse_cbor(encoded)
    if not isinstance(key, dict):
        raise TypeError("the public key is no map")
    # True and 1.0 are equal to 1 in Python.
    labels = {name: each for name, each in key.items() if type(name) is type(each) is int}
    numbers = {name: each for name, each in key.items() if type(each) is bytes}
    if len(labels) + len(numbers) != len(key):
        raise ValueError("the public key has members of other types")
    if labels == _ES256 and numbers.keys() == {_X, _Y}:
        _check_point(numbers[_X], numbers[_Y])
    elif labels == _RS256 and numbers.keys() == {_N, _E}:
        _check_rsa(int.from_bytes(numbers[_N]), int.from_bytes(numbers[_E]))
    else:
        raise ValueError("the public key has another type, algorithm or curve, or more members")


def _check_point(x: bytes, y: bytes) -> None:
    """Raise `ValueError` unless two coordinates are those of a point on P-256."""
    if len(x) != _COORDINATE_BYTES or len(y) != _COORDINATE_BYTES:
        raise ValueError("a coordinate has another length")
    point = EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), SECP256R1())
    point.public_key()


def _check_rsa(modulus: int, exponent: int) -> None:
    """Raise `ValueError` for an RSA key that is weak, or of an absurd size."""
    if not _MIN_MODULUS <= modulus.bit_length() <= _MAX_MODULUS or modulus % 2 == 0:
        raise ValueError("the RSA modulus is too short, too long or even")
    if exponent > _MAX_EXPONENT:
        raise ValueError("the RSA exponent is too large")
    # Refuses small and even exponents.
    RSAPublicNumbers(exponent, modulus).public_key()
