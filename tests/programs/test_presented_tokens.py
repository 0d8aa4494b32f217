"""The text of service tokens."""

from __future__ import annotations

import hmac
import re
import string
from binascii import crc32
from pathlib import Path
from uuid import UUID

import pytest

from service.auth.programs import presented_tokens
from service.auth.programs.presented_tokens import PresentedToken, base62, checksum

DOCUMENT = Path(__file__).parents[2] / "docs" / "service-tokens.md"


def with_checksum(text: str) -> str:
    return text + checksum(text)


def test_what_was_issued_is_parsed_to_the_same_token() -> None:
    for _ in range(300):
        issued = PresentedToken.issue()
        parsed = PresentedToken.parse(issued.text)
        assert parsed is not None
        assert (parsed.id, parsed.secret_hash) == (issued.id, issued.secret_hash)
        assert parsed.matches(issued.secret_hash)


def test_all_tokens_have_one_length_and_letters_and_digits_only() -> None:
    """So that a double click selects one, and no part of it is split off at a character."""
    for _ in range(300):
        assert re.fullmatch(r"ost_[0-9A-Za-z]{71}", PresentedToken.issue().text)


def test_the_lowest_and_the_highest_id_are_parsed() -> None:
    for number in (0, 2**128 - 1):
        text = with_checksum("ost_" + base62(number, 22) + "0" * 43)
        parsed = PresentedToken.parse(text)
        assert parsed is not None
        assert parsed.id == UUID(int=number)


@pytest.mark.parametrize("digits", [base62(2**128, 22), "z" * 22])
def test_an_id_of_more_than_sixteen_bytes_is_none(digits: str) -> None:
    assert PresentedToken.parse(with_checksum(f"ost_{digits}{'0' * 43}")) is None


def test_any_other_character_makes_another_checksum() -> None:
    text = PresentedToken.issue().text
    for place in range(4, len(text)):
        for other in "0aZ":
            changed = text[:place] + other + text[place + 1 :]
            assert changed == text or PresentedToken.parse(changed) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n",
        lambda text: "\n" + text,
        lambda text: text + "0",
        lambda text: text[:-1],
        lambda text: text.replace("ost_", "OST_"),
        lambda text: text.replace("ost_", "ost-"),
        lambda text: text.replace("ost_", "os\u0442_"),
        lambda text: text[:10] + "\u0661" + text[11:],  # a digit of Arabic
        lambda text: text[:10] + "_" + text[11:],
        lambda text: text[:10] + "-" + text[11:],
        lambda text: text[:4],
    ],
)
def test_what_is_no_token_is_not_parsed(change: object) -> None:
    assert callable(change)
    assert PresentedToken.parse(change(PresentedToken.issue().text)) is None


def test_the_checksum_is_the_crc_32_in_base62() -> None:
    """As the document tells those who write a scanner."""
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    text = PresentedToken.issue().text
    number = 0
    for character in text[69:]:
        number = number * 62 + digits.index(character)
    assert number == crc32(text[:69].encode())


def test_the_document_has_a_pattern_that_finds_tokens() -> None:
    (pattern,) = re.findall(r"^    (\\b.*)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    token = PresentedToken.issue().text
    for around in ("{}", 'TOKEN="{}"', "Authorization: Bearer {}", "https://x:{}@host/"):
        assert re.search(pattern, around.format(token)) is not None
    for other in (token[:-1], token + "0", "x" + token):
        assert re.search(pattern, other) is None


def test_neither_the_secret_nor_its_hash_are_shown() -> None:
    token = PresentedToken.issue()
    assert token.text[26:69] not in repr(token)
    assert repr(token.secret_hash) == "ServiceTokenHash(…)"


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """And that of a token that is not there with something as long."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(presented_tokens, "compare_digest", compare)
    token, other = PresentedToken.issue(), PresentedToken.issue()
    assert not token.matches(other.secret_hash)
    assert not token.matches(None)
    assert compared == [
        (token.secret_hash, other.secret_hash),
        (token.secret_hash, bytes(len(token.secret_hash))),
    ]


def test_no_secret_matches_a_token_that_is_not_there() -> None:
    assert not PresentedToken.issue().matches(None)
