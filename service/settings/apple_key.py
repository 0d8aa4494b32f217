"""The private key by which client secrets for Apple are signed, as a setting."""

from __future__ import annotations


def with_lines(text: str) -> str:
    """Return a key with its lines; some write a newline in a variable as a backslash and `n`."""
    return text.replace("\\n", "\n")


def is_p256(pem: str) -> bool:
    """Return whether a text is a private key of P-256 in PEM."""
    # Few have a provider that needs it, and each command reads the settings.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ec import (  # noqa: PLC0415
        SECP256R1,
        EllipticCurvePrivateKey,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1)
