"""A flow at a provider: what is sent with its user, and what must come back."""

from __future__ import annotations

from msgspec import Struct


class Flow(Struct, frozen=True, kw_only=True):
    """A flow (RFC 6749, section 4.1; RFC 7636). Its ``repr`` hides it.

    ``reauthenticates``: the provider is to ask its user to authenticate anew.
    """

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    reauthenticates: bool = False

    def __repr__(self) -> str:
        return "Flow(…)"
