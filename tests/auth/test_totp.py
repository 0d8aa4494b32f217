"""Codes of authenticator apps: RFC 6238 itself, and what counts as a code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.errors import InvalidField
from service.auth.factors.totp import (
    ACCEPTED,
    PERIOD,
    SECRET_BYTES,
    TOTPCode,
    base32_of,
    generator_of,
    new_secret,
    step_of,
)

# RFC 6238, appendix B, SHA-1: the codes have eight digits there, of which ours are the last six.
SECRET = b"12345678901234567890"
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]
NOW = 1_700_000_000


def code_at(step: int) -> TOTPCode:
    return TOTPCode(generator_of(SECRET).generate_otp(step))


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_the_vectors_of_the_standard(seconds: int, code: str) -> None:
    assert step_of(SECRET, TOTPCode(code[2:]), seconds) == seconds // PERIOD


@pytest.mark.parametrize("seconds", [0, 0.1, 29, 29.999])
@pytest.mark.parametrize("steps", range(-3, 4))
def test_a_code_counts_for_its_step_and_those_beside_it(steps: int, seconds: float) -> None:
    present = NOW // PERIOD
    found = step_of(SECRET, code_at(present + steps), present * PERIOD + seconds)
    assert found == (present + steps if steps in ACCEPTED else None)


def test_a_code_of_another_secret_is_wrong() -> None:
    assert step_of(new_secret(), code_at(NOW // PERIOD), NOW) is None


def test_a_code_that_two_steps_have_is_that_of_the_present_one() -> None:
    """The later one would void it for the present step, too."""
    step = 910737
    code = code_at(step)
    assert code_at(step + 1) == code
    assert step_of(SECRET, code, step * PERIOD) == step
    assert step_of(SECRET, code, (step + 1) * PERIOD) == step + 1


def test_secrets_are_random_and_as_long_as_the_hash() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(each) for each in secrets} == {SECRET_BYTES} == {20}
    assert {len(base32_of(each)) for each in secrets} == {32}


@pytest.mark.parametrize("text", ["123456", "123 456", " 123456 ", "123-456", "1 2 3 4 5 6"])
def test_a_code_is_typed_with_separators_or_without(text: str) -> None:
    assert TOTPCode.parse(text) == "123456"


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "12345", "1234567", "12345a", "123.456", "+12345", "-12345", "0x1234", "1e5"),
        *(
            "\uff11\uff12\uff13\uff14\uff15\uff16",
            "٠١٢٣٤٥",
            "12345²",
            "é",
            "123\u00a0456",
            "123456\n",
            "123456\0",
        ),
        "1" * 10_000,
    ],
)
def test_what_has_no_six_ascii_digits_is_no_code(text: str) -> None:
    with pytest.raises(InvalidField):
        TOTPCode.parse(text)


@given(st.text())
def test_any_text_is_a_code_or_refused(text: str) -> None:
    try:
        code = TOTPCode.parse(text)
    except InvalidField:
        return
    assert len(code) == 6
    assert code.isascii()
    assert code.isdecimal()
    assert step_of(SECRET, code, NOW) in {None, *(NOW // PERIOD + each for each in ACCEPTED)}


def test_a_code_is_not_shown() -> None:
    assert "123456" not in repr(TOTPCode("123456"))
