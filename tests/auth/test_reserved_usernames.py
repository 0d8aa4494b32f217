from __future__ import annotations

import pytest

from service.auth.errors import InvalidField
from service.auth.reserved_usernames import UsernamePolicy, lookalike_form
from service.auth.usernames import Username
from service.settings.usernames import UsernameSettings

POLICY = UsernamePolicy(UsernameSettings().reserved_usernames)


@pytest.mark.parametrize(
    "text",
    ["admin", "Administrator", "ROOT", "ｒｏｏｔ", "support", "security", "postmaster", "null"],
)
def test_a_reserved_username_cannot_be_chosen(text: str) -> None:
    with pytest.raises(InvalidField, match="reserved") as caught:
        POLICY.accept(text)
    assert caught.value.code == "reserved"


@pytest.mark.parametrize(
    "text",
    [
        "4dm1n",
        "adm!n",
        "adrnin",
        "ad.min",
        "_admin_",
        "ádmìn",
        "adm\u0131n",  # dotless i
        "r00t",
        "5upp0rt",
        "5ecur1ty",
        "\ua4ee\ua4d3\ua4df\ua4f2\ua4e0",  # ADMIN in letters of Lisu
    ],
)
def test_a_username_that_looks_like_a_reserved_one_cannot_be_chosen(text: str) -> None:
    with pytest.raises(InvalidField) as caught:
        POLICY.accept(text)
    assert caught.value.code == "reserved"


@pytest.mark.parametrize("text", ["Alice", "rooter", "adminton", "badmin", "admin77", "<b>x</b>"])
def test_any_other_username_can_be_chosen(text: str) -> None:
    assert POLICY.accept(text).display_name == text


def test_an_operator_can_give_a_reserved_username() -> None:
    assert Username.parse("admin").name == "admin"


def test_which_usernames_are_reserved_is_a_setting() -> None:
    policy = UsernamePolicy(["Boss", "Начальник"])
    assert policy.accept("admin").name == "admin"
    for text in ("boss", "b0ss", "начальник"):
        with pytest.raises(InvalidField):
            policy.accept(text)


def test_letters_and_what_is_written_in_their_place_look_alike() -> None:
    assert lookalike_form("l1!|I") == "iiiii"
    assert lookalike_form("...") == ""
