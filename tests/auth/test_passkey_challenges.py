"""Challenges of passkeys, which are bound to all that they are for."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from service.auth.errors import InvalidChallenge
from service.auth.factors.passkey_challenges import PasskeyChallenges, PasskeyPurpose
from service.auth.secret_keys import Keyring
from service.auth.unstored_challenges import LIFETIME
from service.settings.relying_party import RelyingPartyId
from service.settings.secret_keys import SecretKey, SecretKeys

OLD, NEW = SecretKey("old", bytes(range(32))), SecretKey("new", bytes(32))
NOW = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=UTC)
ALICE, BOB, SESSION = UUID(int=1), UUID(int=2), UUID(int=3)
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

LOG_IN, REGISTER = PasskeyPurpose.LOG_IN, PasskeyPurpose.REGISTER


def challenges(*keys: SecretKey, rp_id: str = "example.com") -> PasskeyChallenges:
    return PasskeyChallenges(Keyring(SecretKeys(keys or (NEW, OLD))), RelyingPartyId(rp_id))


@given(
    st.sampled_from(PasskeyPurpose),
    st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.none() | st.uuids(),
    st.none() | st.uuids(),
)
def test_a_token_brings_back_its_challenge(
    purpose: PasskeyPurpose, now: datetime, user_id: UUID | None, session_id: UUID | None
) -> None:
    bound = {"user_id": user_id, "session_id": session_id}
    now = min(now, datetime(9999, 1, 1, tzinfo=UTC))
    issued = challenges().issue(purpose, now, **bound)
    read = challenges().read(purpose, issued.token, **bound)
    assert read.challenge == issued.challenge
    assert len(read.challenge) == 32
    assert read.issued_at == now
    assert read.expires_at == issued.expires_at == now + timedelta(seconds=LIFETIME)
    assert len(read.nonce) == 16


@pytest.mark.parametrize("key_id", ["k", "k" * 32])
def test_a_key_id_may_have_any_length(key_id: str) -> None:
    ours = challenges(SecretKey(key_id, bytes(32)))
    issued = ours.issue(LOG_IN, NOW)
    assert ours.read(LOG_IN, issued.token).challenge == issued.challenge


def test_each_challenge_has_a_nonce_and_bytes_of_its_own() -> None:
    issued = [challenges().issue(LOG_IN, NOW) for _ in range(100)]
    assert len({each.challenge for each in issued}) == 100
    assert len({challenges().read(LOG_IN, each.token).nonce for each in issued}) == 100


@pytest.mark.parametrize(
    ("issued_for", "read_for"),
    [
        ({"user_id": ALICE}, {"user_id": BOB}),
        ({"user_id": ALICE}, {}),
        ({}, {"user_id": ALICE}),
        ({"session_id": SESSION}, {"session_id": ALICE}),
        ({"session_id": SESSION}, {}),
        ({}, {"session_id": SESSION}),
        ({"user_id": ALICE}, {"session_id": ALICE}),
        ({"user_id": ALICE, "session_id": SESSION}, {"user_id": SESSION, "session_id": ALICE}),
    ],
)
def test_a_challenge_is_for_one_user_and_session(
    issued_for: dict[str, UUID], read_for: dict[str, UUID]
) -> None:
    issued = challenges().issue(REGISTER, NOW, **issued_for)
    with pytest.raises(InvalidChallenge):
        challenges().read(REGISTER, issued.token, **read_for)


@pytest.mark.parametrize("purpose", PasskeyPurpose)
def test_a_challenge_is_for_one_purpose(purpose: PasskeyPurpose) -> None:
    issued = challenges().issue(purpose, NOW)
    for other in set(PasskeyPurpose) - {purpose}:
        with pytest.raises(InvalidChallenge):
            challenges().read(other, issued.token)


def test_a_challenge_is_for_one_relying_party() -> None:
    issued = challenges().issue(LOG_IN, NOW)
    with pytest.raises(InvalidChallenge):
        challenges(rp_id="example.org").read(LOG_IN, issued.token)


def test_a_challenge_is_read_with_the_old_key_and_issued_with_the_new_one() -> None:
    old = challenges(OLD).issue(LOG_IN, NOW)
    assert challenges(NEW, OLD).read(LOG_IN, old.token).challenge == old.challenge
    new = challenges(NEW, OLD).issue(LOG_IN, NOW)
    assert challenges(NEW).read(LOG_IN, new.token).challenge == new.challenge


def test_a_challenge_of_another_key_with_the_same_id_is_invalid() -> None:
    issued = challenges(SecretKey("new", OLD.secret)).issue(LOG_IN, NOW)
    with pytest.raises(InvalidChallenge):
        challenges(NEW).read(LOG_IN, issued.token)


def test_the_key_id_cannot_be_exchanged_even_for_that_of_the_same_key() -> None:
    ours = challenges(SecretKey("one", bytes(32)), SecretKey("two", bytes(32)))
    raw = urlsafe_b64decode(ours.issue(LOG_IN, NOW).token + "==")
    with pytest.raises(InvalidChallenge):
        ours.read(LOG_IN, urlsafe_b64encode(b"two" + raw[3:]).decode().rstrip("="))


def test_a_challenge_whose_key_was_removed_too_early_is_told_in_the_log() -> None:
    issued = challenges(OLD).issue(LOG_IN, NOW)
    with capture_logs() as logs, pytest.raises(InvalidChallenge):
        challenges(NEW).read(LOG_IN, issued.token)
    assert logs == [{"event": "secret_key_missing", "key_id": "old", "log_level": "warning"}]


@given(st.text() | st.text(alphabet=BASE64URL, min_size=70, max_size=130))
def test_any_other_text_is_invalid(text: str) -> None:
    with capture_logs(), pytest.raises(InvalidChallenge):
        challenges().read(LOG_IN, text)


@given(st.binary(max_size=90))
def test_any_other_bytes_are_invalid(raw: bytes) -> None:
    for token in (raw, b"new" + raw, b"new" + bytes(56 - len(raw[:56])) + raw[:56]):
        with capture_logs(), pytest.raises(InvalidChallenge):
            challenges().read(LOG_IN, urlsafe_b64encode(token).decode().rstrip("="))


@given(st.integers(0, 8 * 59 - 1))
def test_a_token_that_was_changed_in_any_bit_is_invalid(bit: int) -> None:
    token = challenges().issue(LOG_IN, NOW).token
    raw = bytearray(urlsafe_b64decode(f"{token}=="))
    assert len(raw) == 59
    raw[bit // 8] ^= 1 << bit % 8
    with capture_logs(), pytest.raises(InvalidChallenge):
        challenges().read(LOG_IN, urlsafe_b64encode(raw).decode().rstrip("="))


def other_texts(token: str) -> dict[str, Any]:
    """Return texts of which lenient decoders make the same bytes."""
    last = BASE64URL.index(token[-1])
    standard = token.replace("-", "+").replace("_", "/")
    return {
        "padded": f"{token}=",
        "padded twice": f"{token}==",
        "trailing bits": token[:-1] + BASE64URL[last ^ 1],
        "line break": f"{token}\n",
        "space": f" {token}",
        "foreign character": f"{token[:5]}!{token[5:]}",
        "base64": standard if standard != token else f"+{token}",
        "more after padding": f"{token}=A",
    }


@pytest.mark.parametrize("text", other_texts("A"))
def test_a_token_has_one_text(text: str) -> None:
    """Otherwise one assertion could be presented twice, each time with another token."""
    issued = challenges().issue(LOG_IN, NOW)
    other = other_texts(issued.token)[text]
    with pytest.raises(InvalidChallenge):
        challenges().read(LOG_IN, other)


def test_no_representation_shows_a_challenge() -> None:
    issued = challenges().issue(LOG_IN, NOW, user_id=uuid4())
    assert issued.token not in repr(issued)
    assert repr(issued.challenge) not in repr(issued)
    issued = challenges().issue(LOG_IN, NOW)
    assert repr(issued.challenge) not in repr(challenges().read(LOG_IN, issued.token))
