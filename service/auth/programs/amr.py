"""``amr``: how the user of a session was proven, in the terms of RFC 8176."""

from __future__ import annotations

from collections.abc import Iterable

from service.model.sessions import Method

# RFC 8176 has nothing for a mailbox. A recovery code is a password that works once.
_VALUES: dict[str, str] = {
    Method.PASSWORD: "pwd",
    Method.TOTP: "otp",
    Method.RECOVERY_CODE: "otp",
    Method.PASSKEY: "pop",
    Method.EMAIL_CODE: "email",
    Method.RESET: "email",
}


def amr_of(methods: Iterable[str]) -> list[str]:
    """Return the values for the methods of a session; `mfa` comes last.

    A passkey is more than one factor by itself: it asks for a PIN or a fingerprint. An address is
    none: who has the mailbox resets the password. A method of a later version keeps its name.
    """
    values = list(dict.fromkeys(_VALUES.get(method, method) for method in methods))
    is_two = "otp" in values and any(each == "pwd" or each.startswith("oidc:") for each in values)
    if "pop" in values or is_two:
        values.append("mfa")
    return values
