"""How users were proven, in the terms of RFC 8176."""

from __future__ import annotations

import pytest

from service.auth.programs.amr import amr_of
from service.model.sessions import Method


@pytest.mark.parametrize(
    ("methods", "amr"),
    [
        ([], []),
        ([Method.PASSWORD], ["pwd"]),
        ([Method.TOTP], ["otp"]),
        ([Method.PASSWORD, Method.TOTP], ["pwd", "otp", "mfa"]),
        ([Method.TOTP, Method.PASSWORD], ["otp", "pwd", "mfa"]),
        ([Method.PASSWORD, Method.RECOVERY_CODE], ["pwd", "otp", "mfa"]),
        ([Method.TOTP, Method.RECOVERY_CODE], ["otp"]),
        ([Method.PASSKEY], ["pop", "mfa"]),
        ([Method.PASSWORD, Method.PASSKEY], ["pwd", "pop", "mfa"]),
        ([Method.EMAIL_CODE], ["email"]),
        ([Method.EMAIL_CODE, Method.PASSWORD], ["email", "pwd"]),
        ([Method.RESET, Method.EMAIL_CODE], ["email"]),
        ([Method.RESET, Method.TOTP], ["email", "otp"]),
        (["oidc:corp"], ["oidc:corp"]),
        (["oidc:corp", "password"], ["oidc:corp", "pwd"]),
    ],
)
def test_each_method_has_a_value_and_two_factors_are_mfa(
    methods: list[str], amr: list[str]
) -> None:
    assert amr_of(methods) == amr


def test_every_method_of_this_version_has_a_value() -> None:
    assert set(amr_of(Method)) == {"pwd", "otp", "pop", "email", "mfa"}
