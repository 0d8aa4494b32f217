"""Authentication method references of a session."""

from __future__ import annotations

import pytest

from service.auth.programs.amr import amr_of


@pytest.mark.parametrize(
    ("methods", "references"),
    [
        ([], []),
        (["password"], ["pwd"]),
        (["totp"], ["otp"]),
        (["password", "totp"], ["pwd", "otp", "mfa"]),
        (["password", "recovery_code"], ["pwd", "otp", "mfa"]),
        (["password", "email_code"], ["pwd", "email"]),
        (["totp", "recovery_code"], ["otp"]),
        (["passkey"], ["pop", "mfa"]),
        (["password", "passkey"], ["pwd", "pop", "mfa"]),
        (["reset"], ["email"]),
        (["reset", "totp"], ["email", "otp"]),
        (["of_a_later_version"], ["of_a_later_version"]),
    ],
)
def test_methods_are_references_of_rfc_8176(methods: list[str], references: list[str]) -> None:
    assert amr_of(methods) == references
