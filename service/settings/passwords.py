"""Passwords and their hashing."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.values import Duration, Words


class PasswordSettings(Struct, frozen=True, kw_only=True):
    """Which passwords are accepted."""

    prefix: ClassVar[str] = "PASSWORD_"

    min_length: Annotated[
        int, Meta(description="Minimum length of a new password, in characters.", ge=8, le=64)
    ] = 8
    context_words: Annotated[
        Words,
        Meta(
            description="Words that attackers try first on this site, such as its name and that "
            "of the organisation; those of fewer than four letters have no effect. `-` is none."
        ),
    ] = Words.parse("ostiary")


class Argon2Cost(Struct, frozen=True, kw_only=True):
    """The cost of a hash; the defaults are the minimum that OWASP recommends for Argon2id."""

    prefix: ClassVar[str] = "ARGON2_"

    time_cost: Annotated[
        int, Meta(description="Passes of Argon2id over its memory.", ge=1, le=100)
    ] = 2
    memory_kib: Annotated[
        int, Meta(description="Memory of one hash, in KiB.", ge=64, le=4194304)
    ] = 19456
    parallelism: Annotated[int, Meta(description="Lanes of one hash.", ge=1, le=16)] = 1


class HashingSettings(Struct, frozen=True, kw_only=True):
    """The processes that hash, and their queue."""

    prefix: ClassVar[str] = "HASH_"

    processes: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        Meta(
            description="Processes that hash passwords, for each worker. Default: the number of "
            "cores, divided among the workers."
        ),
    ] = None
    queue_length: Annotated[
        int,
        Meta(
            description="Maximum number of passwords that wait to be hashed, in each worker. If "
            "there are more, those of the busiest address or name get 503.",
            ge=0,
            le=10000,
        ),
    ] = 32
    known_queue_length: Annotated[
        int,
        Meta(
            description="The same for known devices and live sessions, which have every other "
            "turn.",
            ge=0,
            le=10000,
        ),
    ] = 16
    queue_timeout: Annotated[
        Duration,
        Meta(description="Maximum time for queueing and hashing a password; then 503."),
    ] = Duration.parse("4s")
    time_limit: Annotated[
        Duration,
        Meta(
            description="Maximum time of hashing one password; then its process is killed and "
            "replaced."
        ),
    ] = Duration.parse("10s")
