from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.auth.errors import InvalidField
from service.auth.usernames import (
    ClaimedUsername,
    Username,
    imported_name,
    prepare,
)

# What sites take for a user name that RFC 8265 does not.
REFUSED_NAMES = [
    "emoji🦊",
    "John Smith",
    " padded ",
    "ﬁve5",
    "alice☃",
    "al\u200bice",
    "tab\tname",
    "alic\u1f98",
    "Al",
    "x" * 255,
    "jane@example.com",
]
ANY_STORABLE_TEXT = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=255
)


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
        ("<b>x</b>", "<b>x</b>", "<b>x</b>"),
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


@pytest.mark.parametrize("text", ["jane@example.com", "jane＠example", "@jane"])
def test_a_username_that_looks_like_an_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidField, match='must not contain "@"') as caught:
        Username.parse(text)
    assert caught.value.code == "not_allowed"


@pytest.mark.parametrize(
    "text",
    [
        "\u0430dministrator",  # Cyrillic а among Latin letters
        "р\u0430ypal",
        "αlice",
        "Алисa",
        "김철수ひら",
        "\u16b1\u16a2\u16be\u16d6",  # runes
    ],
)
def test_a_username_of_scripts_that_are_not_usually_mixed_is_refused(text: str) -> None:
    with pytest.raises(InvalidField, match="must not mix scripts") as caught:
        Username.parse(text)
    assert caught.value.code == "mixed_scripts"


@pytest.mark.parametrize(
    "text",
    [
        "山田たろう",
        "taroヤマダ山田",
        "김철수kim",
        "陳ㄔㄣˊchen",
        "Алиса99",
        "ꓮꓡꓲꓚꓰ",
        "ⵣⵉⵔⵉ",
        "jürgen.müller",
        "1234",
    ],
)
def test_one_script_and_scripts_that_are_usually_mixed_are_accepted(text: str) -> None:
    assert Username.parse(text).name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\u0301alice", "begin with a combining mark"),
        ("\u093fकवि", "begin with a combining mark"),
        ("alix\u0302\u0302", "combining marks in a row"),
        ("z\u0335\u0321algo", "combining marks in a row"),
        ("alix\u20d0\u0301", "combining marks in a row"),
        ("कविताा\u093f\u0940\u0941\u0942", "combining marks in a row"),
    ],
)
def test_stacked_or_leading_combining_marks_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidField, match=message) as caught:
        Username.parse(text)
    assert caught.value.code == "not_allowed"


@pytest.mark.parametrize("text", ["सिंह१२", "ज़िंदगी", "สมศักดิ์", "ตั้งใจ", "မြန်မာ", "Ẹ̀kọ́", "Nguyễn"])
def test_the_marks_of_real_names_are_accepted(text: str) -> None:
    assert Username.parse(text).name


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
        assert error.code in {"too_short", "too_long", "not_allowed", "mixed_scripts"}
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


@given(ANY_STORABLE_TEXT)
def test_a_username_that_sign_up_ever_accepted_can_log_in(text: str) -> None:
    try:
        stored = prepare(text)
    except InvalidField:
        return
    assert ClaimedUsername.parse(text).name == stored


@pytest.mark.parametrize("text", ["alice\0", "\ud800lice"])
def test_text_that_cannot_be_stored_is_nobody_at_log_in(text: str) -> None:
    assert ClaimedUsername.parse(text).name is None


@pytest.mark.parametrize("text", REFUSED_NAMES)
def test_a_name_that_sign_up_would_refuse_is_imported_as_it_is_and_logs_in(text: str) -> None:
    imported = imported_name(text)
    assert ClaimedUsername.parse(text).name == imported.name
    assert imported.display_name == text


@pytest.mark.parametrize("text", REFUSED_NAMES)
def test_an_imported_name_tells_why_sign_up_would_refuse_it(text: str) -> None:
    refusal = imported_name(text).refusal
    assert refusal is not None
    assert refusal.message.startswith("Username ")


def test_a_name_that_sign_up_accepts_is_imported_as_sign_up_stores_it() -> None:
    imported = imported_name("ＡＬＩＣＥ")
    assert (imported.name, imported.display_name, imported.refusal) == ("alice", "ALICE", None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "too_short"),
        ("x" * 256, "too_long"),
        ("\U0001d160" * 255, "too_long"),
        ("a\0b", "not_allowed"),
        ("\udfff", "not_allowed"),
    ],
)
def test_a_name_that_could_never_log_in_is_not_imported(text: str, code: str) -> None:
    with pytest.raises(InvalidField) as caught:
        imported_name(text)
    assert caught.value.code == code


@given(ANY_STORABLE_TEXT)
def test_an_imported_name_logs_in_by_what_was_imported_and_by_its_display_form(text: str) -> None:
    try:
        imported = imported_name(text)
    except InvalidField as error:
        assert error.code == "too_long"
        return
    assert ClaimedUsername.parse(text).name == imported.name
    if imported.display_name != text:
        assert ClaimedUsername.parse(imported.display_name).name == imported.name


@given(ANY_STORABLE_TEXT, ANY_STORABLE_TEXT)
@example("ﬁve5", "five5")
@example("alice\u00ad", "alice")
@example("alice ", "alice")
@example("jürgen\ufe0f", "jürgen")
def test_a_name_that_sign_up_refuses_never_takes_the_place_of_a_valid_one(
    refused: str, valid: str
) -> None:
    try:
        stored = prepare(valid)
    except InvalidField:
        return
    try:
        prepare(refused)
    except InvalidField:
        assert ClaimedUsername.parse(refused).name != stored


@pytest.mark.parametrize("other", ["ALICE☃", "ＡＬＩＣＥ☃"])
def test_an_imported_name_is_the_same_in_any_case_and_width(other: str) -> None:
    assert imported_name(other).name == imported_name("alice☃").name


def test_an_imported_name_of_any_length_can_log_in() -> None:
    assert ClaimedUsername.parse("Al").name == "al"
    assert ClaimedUsername.parse("A" * 100).name == "a" * 100


@pytest.mark.parametrize(("text", "code"), [("", "too_short"), ("a" * 256, "too_long")])
def test_an_empty_or_very_long_username_cannot_log_in(text: str, code: str) -> None:
    with pytest.raises(InvalidField) as caught:
        ClaimedUsername.parse(text)
    assert caught.value.code == code
