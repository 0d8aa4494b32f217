"""CBOR that may be decoded: without tags and indefinite lengths, and not nested deeply."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webauthn.helpers import encode_cbor

from service.auth.factors.plain_cbor import (
    MAX_DEPTH,
    check_authenticator_data,
    check_plain_cbor,
)

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats()
    | st.binary()
    | st.text()
)


@given(st.lists(PLAIN | st.dictionaries(PLAIN, st.lists(PLAIN))))
def test_what_has_no_tags_is_plain(value: Any) -> None:
    check_plain_cbor(encode_cbor(value))


@pytest.mark.parametrize("length", [0, 23, 24, 255, 256, 65535, 65536])
def test_an_item_may_have_any_length(length: int) -> None:
    check_plain_cbor(encode_cbor([bytes(length), "x" * length, [0] * length]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut off"),
        (b"\x82\x00", "cut off"),
        (b"\xa1\x00", "cut off"),
        (b"\x9b" + b"\xff" * 8, "cut off"),
        (b"\x00\x00", "followed"),
        (b"\x42\x00", "followed"),
        (b"\x19\x00", "followed"),
        (b"\xc0\x60", "tag"),
        (b"\xd8\x1c\x80", "tag"),
        (b"\x82\x00\xd8\x1d\x00", "tag"),
        (b"\xa1\xc1\x00\x00", "tag"),
        (b"\x9f\xff", "indefinite"),
        (b"\xbf\xff", "indefinite"),
        (b"\x5f\x41\x00\xff", "indefinite"),
        (b"\x1c" + bytes(16), "indefinite"),
        (b"\xff" + bytes(128), "indefinite"),
    ],
)
def test_other_bytes_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_plain_cbor(data)


def test_nesting_is_limited() -> None:
    check_plain_cbor(b"\x81" * MAX_DEPTH + b"\x00")
    with pytest.raises(ValueError, match="nested"):
        check_plain_cbor(b"\x81" * (MAX_DEPTH + 1) + b"\x00")


@given(st.binary())
def test_any_bytes_are_plain_or_refused(data: bytes) -> None:
    for check in (check_plain_cbor, check_authenticator_data):
        try:
            check(data)
        except ValueError:
            continue
