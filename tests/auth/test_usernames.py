from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.errors import InvalidField
from service.auth.usernames import ClaimedUsername, Username, comparison_form, prepare


@pytest.mark.parametrize(
    ("text", "name", "display_name"),
    [
        ("Alice", "alice", "Alice"),
        ("ＡＬＩＣＥ", "alice", "ALICE"),
        ("Straße", "straße", "Straße"),
        ("Ame\u0301lie", "amélie", "Amélie"),
        ("Алиса", "алиса", "Алиса"),
        ("אליסה", "אליסה", "אליסה"),
        ("a.b-c_d", "a.b-c_d", "a.b-c_d"),
        ("a" * 31, "a" * 31, "a" * 31),
    ],
)
def test_a_username_has_a_prepared_and_a_display_form(
    text: str, name: str, display_name: str
) -> None:
    username = Username.parse(text)
    assert (username.name, username.display_name) == (name, display_name)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "too_short"),
        ("abc", "too_short"),
        ("a" * 32, "too_long"),
        ("a" * 100_000, "too_long"),
        (" " * 256, "too_long"),
        ("al ice", "not_allowed"),
        ("alice\x00", "not_allowed"),
        ("alice\n", "not_allowed"),
        ("al\u200bice", "not_allowed"),
        ("al\u202eice", "not_allowed"),
        ("ﬁve5", "not_allowed"),
        ("alice☃", "not_allowed"),
        ("\ud800lice", "not_allowed"),
        ("alic\u1f98", "not_allowed"),
    ],
)
def test_an_invalid_username_is_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidField) as caught:
        Username.parse(text)
    assert caught.value.code == code


def test_a_refusal_states_the_reason() -> None:
    with pytest.raises(InvalidField, match="must not contain spaces"):
        Username.parse("al ice")


def test_the_length_is_that_of_the_prepared_form() -> None:
    with pytest.raises(InvalidField):
        Username.parse("e\u0301e\u0301e\u0301")


@given(st.text())
def test_any_text_is_accepted_or_refused(text: str) -> None:
    try:
        username = Username.parse(text)
    except InvalidField as error:
        assert error.code in {"too_short", "too_long", "not_allowed"}
    else:
        assert 4 <= len(username.name) <= 31


@given(st.text(st.characters(categories=["L", "N"]), min_size=4, max_size=31))
def test_preparation_is_idempotent(text: str) -> None:
    try:
        username = Username.parse(text)
    except InvalidField:
        return
    assert prepare(username.name) == username.name
    assert prepare(username.display_name) == username.name


@given(st.text(min_size=1, max_size=255))
def test_a_claimed_username_has_a_comparison_form_unless_it_cannot_be_stored(text: str) -> None:
    claimed = ClaimedUsername.parse(text)
    try:
        assert claimed.name == prepare(text)
    except InvalidField:
        assert claimed.name == (None if "\0" in text else comparison_form(text))


def test_an_imported_name_of_any_length_can_log_in() -> None:
    assert ClaimedUsername.parse("Al").name == "al"
    assert ClaimedUsername.parse("A" * 100).name == "a" * 100


@pytest.mark.parametrize(("text", "code"), [("", "too_short"), ("a" * 256, "too_long")])
def test_an_empty_or_very_long_username_cannot_log_in(text: str, code: str) -> None:
    with pytest.raises(InvalidField) as caught:
        ClaimedUsername.parse(text)
    assert caught.value.code == code
