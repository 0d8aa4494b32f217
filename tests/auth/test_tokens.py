from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode
from hashlib import sha256
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth import tokens
from service.auth.tokens import Token, decoded


def test_parsing_returns_the_issued_token() -> None:
    token = Token.issue()
    read = Token.parse(token.text)
    assert read is not None
    assert (read.session_id, read.secret_hash) == (token.session_id, token.secret_hash)


def test_a_token_matches_its_own_hash_only() -> None:
    token, other = Token.issue(), Token.issue()
    assert token.matches(token.secret_hash)
    assert not token.matches(other.secret_hash)


def test_tokens_are_unique() -> None:
    assert len({Token.issue().text for _ in range(1000)}) == 1000


@pytest.mark.parametrize("extra", ["!", "=", " ", "\n", "====", "é"])
def test_a_token_has_one_spelling(extra: str) -> None:
    """Those of challenges too, whose length nothing else checks."""
    text = Token.issue().text
    assert decoded(text) is not None
    assert decoded(text + extra) is None
    assert decoded(extra + text) is None


def test_a_secret_is_32_random_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_bytes", lambda length: b"random!!" * (length // 8))
    token = Token.issue()
    secret = b"random!!" * 4
    assert urlsafe_b64decode(token.text) == token.session_id.bytes + secret
    assert token.secret_hash == sha256(secret).digest()


def test_a_session_id_is_a_random_uuid() -> None:
    token = Token.issue()
    assert token.session_id.version == 4
    assert len(token.session_id.bytes) == 16


def test_a_session_keeps_its_id_when_it_gets_another_token() -> None:
    session_id = uuid4()
    one, other = Token.issue(session_id), Token.issue(session_id)
    assert one.session_id == other.session_id == session_id
    assert one.secret_hash != other.secret_hash


@pytest.mark.parametrize("text", ["é" * 64, "=" * 64, "!!!!" + "A" * 60, "A" * 32 + "+/" * 16])
def test_a_text_with_any_other_character_is_no_token(text: str) -> None:
    assert len(text) == 64
    assert Token.parse(text) is None


@pytest.mark.parametrize("padding", ["=", "==", "===="])
def test_a_text_with_padding_is_no_token(padding: str) -> None:
    text = Token.issue().text[: -len(padding)] + padding
    assert len(text) == 64
    assert Token.parse(text) is None


def test_the_id_of_an_imported_session_never_changes() -> None:
    """Databases contain it."""
    token = Token.parse("abcdefghijklmnopqrstuvwxyz0123456789abcd")
    assert token is not None
    assert token.session_id == UUID("8f7274ed-16f7-927f-7f10-e8d1dd821738")


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(tokens, "compare_digest", compare)
    token, other = Token.issue(), Token.issue()
    assert not token.matches(other.secret_hash)
    assert compared == [(token.secret_hash, other.secret_hash)]


def test_the_repr_of_a_token_hides_it() -> None:
    token = Token.issue()
    assert token.text not in repr(token)
    assert token.secret_hash.hex() not in repr(token.secret_hash)


@given(st.text() | st.text("AZaz09-_", min_size=62, max_size=66))
def test_any_text_parses_to_the_same_token_or_to_none(text: str) -> None:
    token = Token.parse(text)
    assert token is None or token.text == text
