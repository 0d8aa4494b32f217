"""User names."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.values import Duration, Words


class UsernameSettings(Struct, frozen=True, kw_only=True):
    """Which user names sign-up does not give."""

    prefix: ClassVar[str] = ""

    reserved_usernames: Annotated[
        Words,
        Meta(
            description="Reserved user names. Users cannot choose them, nor names that look like "
            "them (`4dm1n`, `ad.min`); operators can assign them with `ostiary user create` or "
            "the admin API. Users who already have such a name keep it. A value replaces the "
            "default list; `-` reserves no name."
        ),
    ] = Words.parse(
        "abuse,account,accounts,admin,administrator,administrators,admins,anonymous,billing,"
        "contact,everyone,guest,help,helpdesk,hostmaster,info,login,logout,mail,moderator,"
        "nobody,noreply,null,official,operator,ostiary,owner,password,postmaster,register,root,"
        "sales,security,service,signup,staff,superuser,support,sysadmin,system,team,undefined,"
        "user,username,webmaster"
    )
    username_hold: Annotated[
        Duration,
        Meta(
            description="How long a user name stays reserved after it was given up, by a change of "
            "the name or by deletion: applications may know a user by name. Until then only its "
            "former owner, unless deleted, can take it back. Operators, programs and imports "
            "ignore the reservation."
        ),
    ] = Duration.parse("30d")
