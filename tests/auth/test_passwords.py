from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.errors import InvalidField
from service.auth.passwords import Password, PasswordPolicy, common_passwords, username_in_password

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
        ("\t" * 1025, "too_long"),
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


def test_the_remarks_in_the_list_are_no_passwords() -> None:
    assert not any(each.startswith("#!") for each in common_passwords())


@pytest.mark.parametrize(("text", "code"), [("", "too_short"), ("x" * 1025, "too_long")])
def test_an_empty_or_very_long_password_is_not_verified(text: str, code: str) -> None:
    with pytest.raises(InvalidField) as caught:
        Password.parse(text)
    assert caught.value.code == code
    assert Password.parse("x" * 1024).prepared


@pytest.mark.parametrize(
    ("username", "password"), [("alice", "I am ALICE now"), ("ALICE", "I am alice now")]
)
def test_a_username_in_a_password_is_found_in_any_case(username: str, password: str) -> None:
    (error,) = username_in_password(username, POLICY.accept(password))
    assert error.code == "contains_username"


@pytest.mark.parametrize("username", ["Bobby", None])
def test_any_other_username_is_not_in_the_password(username: str | None) -> None:
    assert username_in_password(username, POLICY.accept("I am Alice now")) == []


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
