"""Recovery codes: their alphabet, how they are typed, and what is kept of them."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.errors import InvalidField
from service.auth.factors.recovery_codes import (
    ALPHABET,
    CODES,
    LENGTH,
    RecoveryCode,
    issue_codes,
)

CODE = RecoveryCode("0123456789ABCDEFGHJKMNPQ")


def test_there_are_ten_of_120_bits() -> None:
    codes = issue_codes()
    assert len(set(codes)) == len(codes) == CODES == 10
    assert {len(each) for each in codes} == {LENGTH}
    assert LENGTH * (len(ALPHABET).bit_length() - 1) == 120


def test_the_alphabet_is_crockfords() -> None:
    assert len(set(ALPHABET)) == 32
    assert set(ALPHABET).isdisjoint("ILOU")
    used = {letter for _ in range(200) for each in issue_codes() for letter in each}
    assert used == set(ALPHABET)


def test_a_code_is_shown_in_groups_and_read_back() -> None:
    assert CODE.grouped == "012345-6789AB-CDEFGH-JKMNPQ"
    for each in issue_codes():
        assert RecoveryCode.parse(each.grouped) == each


@pytest.mark.parametrize(
    "text",
    [
        "012345-6789AB-CDEFGH-JKMNPQ",
        "012345 6789ab cdefgh jkmnpq",
        "0123456789abcdefghjkmnpq",
        "o123456789ABCDEFGHJKMNPQ",
        "OI23456789ABCDEFGHJKMNPQ",
        " ol23-456789abc-defghjkmnpq ",
    ],
)
def test_a_code_is_typed_in_many_ways(text: str) -> None:
    assert RecoveryCode.parse(text) == CODE


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "0123456789ABCDEFGHJKMNP", "0123456789ABCDEFGHJKMNPQR"),
        *("U123456789ABCDEFGHJKMNPQ", "\uff10123456789ABCDEFGHJKMNPQ", "ß123456789ABCDEFGHJKMNP"),
        *("\u0131" * LENGTH, "\u017f" * LENGTH, "0123456789ABCDEFGHJKMNPQ\n", "é" * LENGTH),
    ],
)
def test_anything_else_is_no_code(text: str) -> None:
    with pytest.raises(InvalidField):
        RecoveryCode.parse(text)


@given(st.text(st.sampled_from(f"{ALPHABET}ilou -éß\uff10\u017f"), max_size=40) | st.text())
def test_any_text_is_a_code_or_refused(text: str) -> None:
    try:
        code = RecoveryCode.parse(text)
    except InvalidField:
        return
    assert len(code) == LENGTH
    assert set(code) <= set(ALPHABET)


def test_the_hash_is_that_of_the_code_without_separators() -> None:
    assert CODE.hash == sha256(CODE.encode()).digest()
    assert RecoveryCode.parse(CODE.grouped.lower()).hash == CODE.hash


def test_a_code_is_not_shown() -> None:
    assert CODE not in repr(CODE)
    assert CODE.hash.hex() not in repr(CODE.hash)
