"""Sign-up: who may become a user by themselves."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.link_url import LinkURL

# In development, where none need be set.
INVITATION_URL = LinkURL("http://localhost/sign-up#invitation={token}")


class SignUpMode(StrEnum):
    """Who may sign up."""

    OPEN = "open"
    INVITED = "invited"
    CLOSED = "closed"


class SignUpSettings(Struct, frozen=True, kw_only=True):
    """Who may sign up, and the page for those who were invited."""

    prefix: ClassVar[str] = ""

    sign_up: Annotated[
        SignUpMode,
        Meta(
            description="Who may sign up: `open`, everybody; `invited`, whoever has an invitation; "
            "`closed`, nobody. Operators and programs create users in any case. With `open` an "
            "invitation that is sent counts, too: it may give roles."
        ),
    ] = SignUpMode.OPEN
    invitation_url: Annotated[
        LinkURL | None,
        Meta(
            description="The page of your application on which a person who was invited signs up, "
            "with `{token}` in it: `https://app.example.com/sign-up#invitation={token}`. "
            "Invitations are mailed only with it: without it, whoever makes one gets its token. "
            "Required with `OSTIARY_SMTP_URL` where `OSTIARY_SIGN_UP` is `invited`."
        ),
    ] = None
