from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.guessability import MIN_POINTS, guess_points, spellings

WORDS = frozenset({"dragon", "monkey", "illicit"})


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("", 0),
        ("k", 1),
        ("한", 2),
        ("kw", 2),
        ("dragon", 2),
        ("DRAG0N", 2),
        ("d\u0336r\u0336agon", 2),
        ("d\u20ddragon", 2),
        ("1ll1c1t", 2),
        ("i11icit", 2),
        ("dragonmonkey", 4),
        ("dragon1", 3),
        ("dragon19", 4),
        ("dragon1999", 3),
        ("dragon3456", 3),
        ("dragon!!!!", 3),
        ("dragondragon", 3),
        ("monkeydragonkk", MIN_POINTS),
        ("abc", 1),
        ("cba", 1),
        ("ab", 2),
        ("acegi", 5),
        ("asdf", 1),
        ("fdsa", 1),
        ("kkkq", 2),
        ("kwkwkw", 3),
        ("kwkw", 3),
        ("2099", 1),
        ("2199", 4),
    ],
)
def test_a_password_has_the_points_of_its_parts(text: str, points: int) -> None:
    assert guess_points(text, WORDS) == points


def test_the_points_are_the_lowest_of_all_ways_to_split_a_password() -> None:
    words = frozenset({"dragon", "dragonfly", "onflykw"})
    assert guess_points("dragonflykw", words) == 4


def test_words_are_found_in_each_vocabulary() -> None:
    assert guess_points("dragonwizard", WORDS, frozenset({"wizard"})) == 4


def test_a_pattern_of_any_length_has_few_points() -> None:
    assert guess_points("x" * 10_000, WORDS) == 2
    assert guess_points("x" * 10_000 + "k", WORDS) == 2
    assert guess_points("dragon" * 1_000, WORDS) == 3


@given(st.text())
def test_points_are_bounded(text: str) -> None:
    assert 0 <= guess_points(text, WORDS) <= MIN_POINTS + 1


@given(st.text())
def test_all_spellings_have_the_same_length(text: str) -> None:
    assert {len(each) for each in spellings(text)} == {len(text)}
