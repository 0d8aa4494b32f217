from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.errors import InvalidField
from service.auth.passwords import Password, PasswordPolicy, common_passwords

POLICY = PasswordPolicy()


@pytest.mark.parametrize(
    "text",
    [
        "correct horse battery staple",
        "비밀번호는-여덟자-이상",
        "pässwörd mit umlaut",
        "        ",
        "🐴🔋📎✅🐴🔋📎✅",
        "x" * 247 + "ends here",
    ],
)
def test_any_script_and_spaces_are_accepted(text: str) -> None:
    assert POLICY.accept(text).prepared


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "too_short"),
        ("7 chars", "too_short"),
        ("e\u0301" * 7, "too_short"),
        ("x" * 257, "too_long"),
        ("x" * 100_000, "too_long"),
        ("tab\tin the middle", "not_allowed"),
        ("nul\x00in the middle", "not_allowed"),
        ("half a pair \ud800", "not_allowed"),
        ("password", "too_common"),
        ("PASSWORD1", "too_common"),
        ("trustno1", "too_common"),
    ],
)
def test_an_unacceptable_password_is_refused_with_a_reason(text: str, code: str) -> None:
    with pytest.raises(InvalidField) as caught:
        POLICY.accept(text)
    assert caught.value.code == code
    assert text not in caught.value.message or not text


def test_the_minimum_length_is_a_setting() -> None:
    strict = PasswordPolicy(min_length=15)
    with pytest.raises(InvalidField, match="at least 15"):
        strict.accept("fourteen chars")
    assert strict.accept("fifteen charac.").prepared


def test_the_list_of_common_passwords_is_long() -> None:
    assert len(common_passwords()) > 15_000


@given(st.text())
def test_any_text_is_accepted_or_refused(text: str) -> None:
    try:
        password = POLICY.accept(text)
    except InvalidField as error:
        assert error.code in {"too_short", "too_long", "not_allowed", "too_common"}
    else:
        assert 8 <= len(password.prepared) <= 256
        assert Password.parse(text).prepared == password.prepared


@given(st.text(min_size=1))
def test_the_repr_of_a_password_hides_it(text: str) -> None:
    password = Password(text)
    assert repr(password) == "Password(…)"
    assert f"{password}" == "Password(…)"
