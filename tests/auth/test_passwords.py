from __future__ import annotations

from unicodedata import normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from precis_i18n import get_profile

from service.auth.errors import InvalidField, ValidationFailed
from service.auth.guessability import LONGEST_PART, simplified
from service.auth.passwords import (
    NewCredentials,
    NewPassword,
    Password,
    PasswordPolicy,
    common_passwords,
    username_in_password,
)
from service.auth.usernames import Username
from service.settings.passwords import PasswordSettings
from service.settings.values import Words

POLICY = PasswordPolicy()


def refusal_of(text: str) -> str | None:
    """Return the code with which a new password is refused, or ``None``."""
    try:
        POLICY.accept(text)
    except InvalidField as error:
        return error.code
    return None


@pytest.mark.parametrize(
    "text",
    [
        "correct horse battery staple",
        "비밀번호는-여덟자-이상",
        "pässwörd mit umlaut",
        "🐴🔋📎✅🐴🔋📎✅",
        "correcthorsebatterystaple",
        "a password with passphrase words",
        "kx7Qwp3z",
        "83629150",
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
    strict = PasswordPolicy(PasswordSettings(min_length=15))
    with pytest.raises(InvalidField, match="at least 15"):
        strict.accept("fourteen chars")
    assert strict.accept("fifteen charac.").prepared


@pytest.mark.parametrize(
    "text",
    [
        "Pass@123",
        "Password123!",
        "P@ssw0rd1",
        "p4$$w0rd!!",
        "Summer2026!",
        "Liverpool1892",
        "!!!!!!!!password",
        "Welcome-99",
        "letmein!!!",
        "pass\u00adword1",
        "ｐａｓｓｗｏｒｄ１",
        "Пароль123",
    ],
)
def test_a_common_word_with_the_usual_decorations_is_refused(text: str) -> None:
    assert refusal_of(text) == "too_common"


@pytest.mark.parametrize(
    "text",
    ["        ", "aaaaaaaaaaaa", "abcdefgh1", "987654321", "Aa1!Aa1!", "Hunter2Hunter2", "x" * 256],
)
def test_sequences_and_repetitions_are_refused(text: str) -> None:
    assert refusal_of(text) == "too_common"


@pytest.mark.parametrize(
    "text",
    ["qwertyuiop[]", "poiuytre", "1qaz@WSX3edc", "!QAZ2wsx", "zaq1xsw2", "qwertzuiop", "йцукенгш"],
)
def test_keyboard_walks_are_refused(text: str) -> None:
    assert refusal_of(text) == "too_common"


@pytest.mark.parametrize("text", ["\u200d" * 8, "\u00ad\u200b" * 8, "\ufe0f" * 20])
def test_a_password_of_nothing_visible_is_refused(text: str) -> None:
    assert refusal_of(text) == "too_common"


@pytest.mark.parametrize("text", ["Ostiary2026!", "0st1ary1"])
def test_the_name_of_the_service_with_decorations_is_refused(text: str) -> None:
    assert refusal_of(text) == "too_common"


def test_the_words_of_a_site_are_a_setting() -> None:
    policy = PasswordPolicy(PasswordSettings(context_words=Words.parse("Zanzibarium,Łódź")))
    with pytest.raises(InvalidField, match="too easy to guess"):
        policy.accept("z4nzibarium!1")
    with pytest.raises(InvalidField, match="too easy to guess"):
        policy.accept("łódźłódź1")
    assert policy.accept("Ostiary2026!").prepared


def test_every_common_password_can_match() -> None:
    words = common_passwords()
    assert [word for word in words if simplified(word) != word or len(word) > LONGEST_PART] == []
    sample = sorted(words)[::50]
    assert [word for word in sample if refusal_of(f"{word}123!") != "too_common"] == []


def test_how_many_common_passwords_are_known() -> None:
    """The figures in `SECURITY.md`."""
    assert len(common_passwords()) == 39_773
    assert sum(len(each) >= 8 for each in common_passwords()) == 16_292


def test_the_remarks_in_the_list_are_no_passwords() -> None:
    assert not any(each.startswith("#!") for each in common_passwords())


@pytest.mark.parametrize(
    "text",
    [
        "❤️ and more ❤️",
        "👨\u200d👩\u200d👧\u200d👦 family",
        "1️⃣ keycap 7️⃣",
        "soft\u00adhyphen it is",
        "zero\u200cwidth\u200bspace",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f rules",
        "an emoji of Unicode 16: \U0001fae9",
        "middle·dot, kashida ـ and jamo ᆨ",
    ],
)
def test_emoji_sequences_and_other_invisible_characters_are_accepted(text: str) -> None:
    assert POLICY.accept(text).prepared == text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("tab\tin the middle", "control characters"),
        ("line\u2028separator", "line separators"),
        ("paragraph\u2029separator", "paragraph separators"),
        ("half a pair \ud800", "surrogate pair"),
        ("private \ue000 use", "private-use characters"),
        ("not a character \ufdd0", "Unicode does not define"),
        ("not yet assigned \u0378", "Unicode does not define"),
    ],
)
def test_what_is_not_allowed_in_a_password_is_named(text: str, named: str) -> None:
    with pytest.raises(InvalidField, match=named) as caught:
        POLICY.accept(text)
    assert caught.value.code == "not_allowed"


def test_the_length_counts_code_points_of_the_prepared_form() -> None:
    assert len(POLICY.accept("e\u0301qu\u0308xo\u0302kw7").prepared) == 8
    assert len(POLICY.accept("👨\u200d👩\u200d👧 7q").prepared) == 8


@given(st.text(min_size=1))
@example("\u00a0\u3000\u2003 spaces")
@example("e\u0301\u212b")
def test_a_password_that_was_hashed_before_has_the_same_form(text: str) -> None:
    """Hashes were made of the RFC's OpaqueString, which allows less."""
    try:
        hashed = get_profile("OpaqueString").enforce(text)
    except UnicodeEncodeError:
        return
    assert Password(text).prepared == hashed
    assert Password(text).forms[0] == hashed


@given(st.text(min_size=1))
def test_the_form_of_other_systems_is_verified_too(text: str) -> None:
    assert normalize("NFKC", text) in Password(text).forms


@given(st.text(min_size=1))
def test_preparation_is_idempotent(text: str) -> None:
    prepared = Password(text).prepared
    assert prepared is None or Password(prepared).prepared == prepared


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


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", "@l1ce wonders"),
        ("al1ce", "alice wonders"),
        ("alice", "wonders ecila"),
        ("john.smith", "JohnSmith wonders"),
        ("johnsmith", "John-Smith wonders"),
        ("jürgen", "JU\u0308RGEN wonders"),
        ("alice", "ali\u00adce wonders"),
    ],
)
def test_a_username_in_a_password_is_found_with_decorations(username: str, password: str) -> None:
    (error,) = username_in_password(username, NewPassword(password))
    assert error.code == "contains_username"


def test_credentials_are_not_made_of_a_password_that_contains_the_username() -> None:
    with pytest.raises(ValidationFailed) as caught:
        NewCredentials(Username.parse("Alice"), POLICY.accept("I am ALICE now"))
    assert [error.code for error in caught.value.errors] == ["contains_username"]


@pytest.mark.parametrize("username", ["al", "ann", "a.n"])
def test_a_short_imported_username_is_not_looked_for(username: str) -> None:
    assert username_in_password(username, POLICY.accept("annual alpine walks")) == []


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
