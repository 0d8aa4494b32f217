"""Authentication method references (``amr``, RFC 8176) of the methods of a session."""

from __future__ import annotations

from collections.abc import Iterable

from service.model.sessions import Method

PASSWORD = "pwd"  # noqa: S105
ONE_TIME_CODE = "otp"
PROOF_OF_POSSESSION = "pop"
SEVERAL_FACTORS = "mfa"

# A link to reset the password has none: a password or a factor is proven with it.
REFERENCES: dict[str, str] = {
    Method.PASSWORD: PASSWORD,
    Method.TOTP: ONE_TIME_CODE,
    Method.RECOVERY_CODE: ONE_TIME_CODE,
    Method.EMAIL_CODE: ONE_TIME_CODE,
    Method.PASSKEY: PROOF_OF_POSSESSION,
}


def amr_of(methods: Iterable[str]) -> list[str]:
    """Return the references of the methods that have proven a user, each once.

    Several factors are a passkey, which verifies its user itself, or two kinds of method.
    """
    references = list(dict.fromkeys(REFERENCES[each] for each in methods if each in REFERENCES))
    if PROOF_OF_POSSESSION in references or len(references) > 1:
        references.append(SEVERAL_FACTORS)
    return references
