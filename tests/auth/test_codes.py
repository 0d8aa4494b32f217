"""Codes and links, which derive from a challenge and a secret key."""

from __future__ import annotations

from collections import Counter
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.codes import Code, code_of, link_token_of
from service.auth.errors import InvalidField, SecretKeyMissing
from service.auth.secret_keys import Keyring
from service.auth.tokens import decoded
from service.model.challenges import Purpose
from service.settings.secret_keys import SecretKey, SecretKeys

RING = Keyring(SecretKeys((SecretKey("k1", bytes(range(32))), SecretKey("k2", bytes(32)))))
NAUGHT = UUID(int=0)


@given(st.uuids(), st.sampled_from(Purpose))
def test_a_code_has_eight_ascii_digits(challenge_id: UUID, purpose: Purpose) -> None:
    code = code_of(RING, "k1", challenge_id, purpose)
    assert len(code) == 8
    assert set(code) <= set("0123456789")
    assert Code.parse(code) == code


def test_all_digits_are_equally_likely_in_every_place() -> None:
    codes = [code_of(RING, "k1", UUID(int=n), Purpose.SIGN_UP) for n in range(2000)]
    assert len(set(codes)) == 2000
    for place in range(8):
        counts = Counter(code[place] for code in codes)
        chi_squared = sum((counts[str(digit)] - 200) ** 2 / 200 for digit in range(10))
        # Exceeded once in a million samples with 9 degrees of freedom; these are always the same.
        assert chi_squared < 45


def test_codes_and_links_differ_by_challenge_purpose_and_key() -> None:
    other = uuid4()
    answers = {
        derive(RING, key_id, challenge_id, purpose)
        for derive in (code_of, link_token_of)
        for key_id in ("k1", "k2")
        for challenge_id in (NAUGHT, other)
        for purpose in Purpose
    }
    assert len(answers) == 2 * 2 * 2 * len(Purpose)


def test_codes_and_links_are_the_same_in_every_version() -> None:
    """A mail that was sent before an update is answered after it."""
    assert code_of(RING, "k1", NAUGHT, Purpose.SIGN_UP) == "40456552"
    assert (
        link_token_of(RING, "k1", NAUGHT, Purpose.PASSWORD_RESET)
        == "AAAAAAAAAAAAAAAAAAAAADE1UCPs2btjOuI-oGw1r6GcdpVi8G0Tkqan5geWsvw4"
    )


def test_the_token_of_a_link_has_256_derived_bits() -> None:
    token = link_token_of(RING, "k1", NAUGHT, Purpose.PASSWORD_RESET)
    parts = decoded(token)
    assert parts is not None
    assert parts[0] == NAUGHT
    assert len(parts[1]) == 32


def test_without_the_key_there_is_neither_code_nor_link() -> None:
    with pytest.raises(SecretKeyMissing):
        code_of(RING, "k3", NAUGHT, Purpose.SIGN_UP)
    with pytest.raises(SecretKeyMissing):
        link_token_of(RING, "k3", NAUGHT, Purpose.PASSWORD_RESET)


@pytest.mark.parametrize("typed", ["01234567", " 0123 4567", "0123-4567", "0 1 2 3 4 5 6 7 "])
def test_spaces_and_hyphens_in_a_code_do_not_matter(typed: str) -> None:
    assert Code.parse(typed) == "01234567"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "1234567",
        "0012345678",
        "\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18",
        "١٢٣٤٥٦٧٨",
        "1234567a",
        "1234\t5678",
        "12345678\n",
    ],
)
def test_what_is_no_code_is_no_answer(typed: str) -> None:
    with pytest.raises(InvalidField):
        Code.parse(typed)


def test_the_representation_of_a_code_hides_it() -> None:
    assert "1234" not in repr(Code.parse("12345678"))
